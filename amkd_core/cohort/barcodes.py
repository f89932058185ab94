"""TCGA barcodes: slides, samples and aliquots belong to the patient in their first three parts."""

from __future__ import annotations

import re
from collections.abc import Sequence

# R writes the dashes of columns' names as dots.
_PATIENT = re.compile(r"^(TCGA[-.][A-Z0-9]{2}[-.][A-Z0-9]{4})(?:[-.](\d{2})([A-Z])?.*)?$", re.IGNORECASE)
_NORMAL = range(10, 20)


def patient_of(name: str) -> str:
    """The patient's part of a TCGA barcode; any other name as it is, without spaces around it."""
    found = _PATIENT.match(name.strip())
    return found.group(1).upper().replace(".", "-") if found else name.strip()


def site_of(patient: str) -> str:
    """Tissue source site of a TCGA patient; empty for others."""
    found = _PATIENT.match(patient)
    return patient_of(patient).split("-")[1] if found else ""


def is_normal_tissue(name: str) -> bool:
    """Whether a TCGA barcode is that of a sample of normal tissue, type 10 to 19; no other name tells."""
    return _sample_type(name) in _NORMAL


def choose_samples(names: Sequence[str]) -> tuple[list[int], int, int]:
    """One sample a patient: the tumour sample with the lowest type code, then the first name in sorted order.

    Type 01 is the primary tumour, 02 to 09 are other tumours; 10 to 19 are normal tissue and never taken. Names that
    are no sample barcodes count as tumour samples.

    Returns
    -------
    rows : list of int
        Places of the samples taken, in their order.
    n_normal, n_further : int
        Normal samples, and further samples of a patient, that were left out.
    """
    best: dict[str, tuple[int, str, int]] = {}
    n_normal = 0
    for place, name in enumerate(names):
        code = _sample_type(name)
        if code in _NORMAL:
            n_normal += 1
            continue
        candidate = (code, name, place)
        patient = patient_of(name)
        best[patient] = min(best.get(patient, candidate), candidate)
    rows = sorted(place for _, _, place in best.values())
    return rows, n_normal, len(names) - n_normal - len(rows)


def _sample_type(name: str) -> int:
    """Type code of a TCGA sample; 0 where a name tells none."""
    found = _PATIENT.match(name.strip())
    return int(found.group(2) or 0) if found else 0
