"""What stands beside a prediction: its limits in sentences, and what made it."""

from __future__ import annotations

import datetime
import platform
from collections.abc import Mapping
from dataclasses import replace
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import numpy as np
import torch

from amkd_core import __version__
from amkd_core.bag import FeatureBag
from amkd_core.bundle import Bundle
from amkd_core.bundle_card import OUT_OF_FOLD
from amkd_core.inference.pathway_table import patient_of_slide
from amkd_core.inference.prediction import Prediction
from amkd_core.notices import Notice
from amkd_core.private_names import looks_like_accession
from amkd_core.seen_slides import slide_digests

_LIBRARIES = ("torch", "numpy", "openslide-bin", "tifffile")


def notices_of(bag: FeatureBag, bundle: Bundle) -> tuple[Notice, ...]:
    """Notices of a prediction: of the model, of the bag, and of how well the two fit."""
    notices = [Notice("research_only", bundle.card.research_use_notice)]
    if bundle.card.synthetic:
        notices.append(
            Notice(
                "synthetic_bundle",
                "The model was trained on simulated slides; its prediction means nothing for a real patient.",
            )
        )
    if not set(bundle.card.training_slides).isdisjoint(slide_digests(bag)):
        which = "this very slide" if bag.n_slides == 1 else "slides of this very patient"
        notices.append(
            Notice(
                "trained_on",
                f"The model was trained on {which}, outcome included; its prediction is flattered and proves nothing.",
            )
        )
    if bundle.card.provenance.get("reference") != OUT_OF_FOLD:
        notices.append(
            Notice(
                "seen_reference",
                "This risk is compared with patients whom the model had seen in training: their groups lie further "
                "apart than new patients' do, of whom more than half may count as high risk.",
            )
        )
    notices.extend(bag.notices)
    if bundle.feature_range.has_too_few(bag.features):
        notices.append(
            Notice(
                "few_patches",
                f"Only {len(bag)} patch{'' if len(bag) == 1 else 'es'}: too few to tell whether they lie in the range "
                "of the slides that the model was trained on.",
            )
        )
    elif bundle.feature_range.is_outside(bag.features):
        what = "The slide lies" if bag.n_slides == 1 else "The patient's tissue lies"
        notices.append(
            Notice(
                "out_of_range",
                f"{what} outside the range of the slides that the model was trained on "
                f"({bundle.feature_range.distance(bag.features):.1f} times the limit); do not rely on the prediction.",
            )
        )
    if not (bag.has_map and bag.n_slides == 1) and all(notice.code != "no_map" for notice in bag.notices):
        notices.append(Notice("no_map", "The features have no place on one slide, so no map can be drawn."))
    licence = bundle.card.encoder.licence.lower()
    if "-nc" in licence or "non-commercial" in licence:
        notices.append(
            Notice(
                "encoder_licence",
                f"The model was trained on features of {bundle.card.encoder.name}, whose terms reach it: "
                f"{bundle.card.encoder.licence}.",
            )
        )
    return with_name_notice(tuple(dict.fromkeys(notices)), bag.slide_id)


def with_name_notice(notices: tuple[Notice, ...], slide_id: str) -> tuple[Notice, ...]:
    """The notices with a warning where this name points to a patient, and without one of a former name."""
    others = tuple(notice for notice in notices if notice.code != "identifying_name")
    if not looks_like_accession(slide_id):
        return others
    warning = Notice(
        "identifying_name",
        "The name of the slide or patient looks like an accession number or a date; what is exported shows a "
        "pseudonym instead, but the file itself, its label and its metadata should be de-identified before it "
        "is shared (wsi-anon and ImageDePHI do that).",
    )
    return (*others, warning)


def provenance_of(
    bag: FeatureBag, bundle: Bundle, genes: Mapping[str, float] | None, device: str
) -> dict[str, Any]:
    """JSON-able record of software, model, slide and scale; it names no path."""
    return {
        "software": {
            "amkd": __version__,
            **_versions(),
            "python": platform.python_version(),
        },
        "created": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "device": device,
        "threads": torch.get_num_threads(),
        "bundle": {"name": bundle.card.name, "sha256": bundle.sha256, "synthetic": bundle.card.synthetic},
        "encoder": bag.encoder.to_dict(),
        "slide": slide_record(bag),
        "patches": {"count": len(bag), "size_px": bag.patch_size_px, "mpp": bag.mpp},
        "verified": bag.verified,
        "genes": _gene_record(bundle, genes),
    }


def with_patient_of_genes(prediction: Prediction, patient: str) -> Prediction:
    """The prediction with whose expression it was made from in its record; as it is where there was none.

    Where the patient's name does not begin the slide's, nor is that of its patient, a notice says so and names nobody.
    """
    genes = prediction.provenance["genes"]
    if genes is None:
        return prediction
    named = replace(prediction, provenance={**prediction.provenance, "genes": {**genes, "patient": patient}})
    joined = prediction.patient
    if patient_of_slide([patient], prediction.slide_id) or (joined and joined.patient_id == patient):
        return named
    sentence = (
        "The teacher read the expression of a patient whose name does not begin that of the slide; nothing tells that "
        "both are of one tumour."
    )
    return replace(named, notices=(*named.notices, Notice("expression_patient", sentence)))


def slide_record(bag: FeatureBag) -> dict[str, Any]:
    """JSON-able record of the slide that a bag is of."""
    return {
        "id": bag.slide_id,
        "fingerprint": bag.slide_fingerprint,
        "scene": bag.slide_scene,
        "size_level0_px": bag.slide_size_level0,
        "mpp": bag.slide_mpp,
        "mpp_source": bag.slide_mpp_source,
    }


def _versions() -> dict[str, str]:
    """Versions of the libraries that decide the numbers; those installed in another way are left out."""
    found = {}
    for name in _LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def _gene_record(bundle: Bundle, genes: Mapping[str, float] | None) -> dict[str, Any] | None:
    if genes is None:
        return None
    missing = [name for name in bundle.card.genes if not np.isfinite(genes.get(name, np.nan))]
    return {"needed": len(bundle.card.genes), "missing": missing}
