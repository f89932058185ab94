"""Which slides a model was trained on, kept so that nobody tests it on them unawares."""

from __future__ import annotations

import hashlib

import numpy as np

from amkd_core.bag import FeatureBag, fingerprints_of

LENGTH = 16


def slide_digests(bag: FeatureBag) -> tuple[str, ...]:
    """Short hashes of a bag's slides, by their features and, where it is known, by the file's content.

    They tell that a slide is the same, and nothing of whose it is. Features are rounded to half precision, so that bags
    stored with either precision agree.

    Parameters
    ----------
    bag
        Of one slide, or of several slides of a patient.
    """
    found = [file_digest(name) for name in fingerprints_of(bag)]
    with np.errstate(over="ignore"):
        halves = bag.features.astype(np.float16)
    for index in np.unique(bag.slide_index):  # of a slide without a patch there is nothing to hash
        found.append(_short(b"features " + halves[bag.slide_index == index].tobytes()))
    return tuple(found)


def file_digest(fingerprint: str) -> str:
    """That of `slide_digests` which a slide's file has, by its `amkd_core.slides.opening.fingerprint_of`."""
    return _short(b"slide " + fingerprint.encode())


def _short(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:LENGTH]
