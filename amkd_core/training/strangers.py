"""Whether a cohort is external: nobody in it was trained on, and its bags and endpoint are the models' own."""

from __future__ import annotations

import re
from collections.abc import Collection, Generator, Mapping, Sequence
from pathlib import Path

import numpy as np

from amkd_core.bag import FeatureBag
from amkd_core.bag_kind import BagKind
from amkd_core.cohort.cohort import Cohort
from amkd_core.cohort.expression import UNITS, same_units
from amkd_core.cohort.genes import GeneScaling
from amkd_core.cohort.patients import listed
from amkd_core.cohort.same_scale import cohort_fault
from amkd_core.errors import CohortError, SlideError
from amkd_core.progress import Progress
from amkd_core.seen_slides import file_digest
from amkd_core.slides.opening import fingerprint_of
from amkd_core.training.cohort_golden import cohort_golden
from amkd_core.training.inputs import scale_of_model
from amkd_core.training.packed_cache import digests_of

# `amkd simulate` numbers the patients of every cohort from 1, so that two cohorts share these names and nobody.
_RUNNING_NUMBER = re.compile(r"SIM-\d{4,}")


def check_external_bags(
    bags: Mapping[str, FeatureBag], cohort: Cohort, trained: Mapping[str, FeatureBag]
) -> None:
    """Refuse an external cohort whose bags the models of a cohort have seen, or cannot read.

    Parameters
    ----------
    bags
        Of the external cohort, by patient.
    cohort, trained
        What the models are trained on, and its bags by patient, packed or not.

    Raises
    ------
    CohortError
        When the two share slides.
    BundleMismatchError
        When encoder, patch size or scale differ.
    """
    seen = {digest for bag in trained.values() for digest in digests_of(bag)}
    refuse_training_slides(bags, seen, f"the models of cohort {cohort.file.name} are")
    first = next(iter(trained.values()))
    kind = BagKind(
        f"a model of cohort {cohort.file.name}", first.encoder, first.patch_size_px, scale_of_model(trained.values()),
        cohort_golden(trained),
    )  # fmt: skip
    for bag in bags.values():
        kind.check_bag(bag)


def check_external_patients(external: Cohort, cohort: Cohort, *, have_slides: bool) -> None:
    """Refuse an external cohort that shares patients with the training cohort, whatever their slides are.

    Other slides of a patient make nobody a stranger: follow-up and genes were trained on.

    Parameters
    ----------
    have_slides
        Simulated patients that bear the running number of another one are told apart by their slides, where there are
        any; `numbered_alike` names them.

    Raises
    ------
    CohortError
        Naming them.
    """
    shared = _shared(external, cohort)
    if have_slides:
        shared = [name for name in shared if not _RUNNING_NUMBER.fullmatch(name)]
    _refuse(
        shared, len(external.patients), f"the models of cohort {cohort.file.name} are trained on",
        ", or give those who are other people identifiers of their own",
    )  # fmt: skip


def numbered_alike(external: Cohort, cohort: Cohort) -> str:
    """A warning that names external patients who are called as patients of the training cohort; empty without any."""
    shared = _shared(external, cohort)
    if not shared:
        return ""
    return (
        f"Warning: {len(shared)} of these patients bear identifiers of patients that the models were trained on "
        f"({listed(shared)}), on other slides; the figures are external only if they are others."
    )


def _shared(external: Cohort, cohort: Cohort) -> list[str]:
    known = {patient.patient_id for patient in cohort.patients}
    return [patient.patient_id for patient in external.patients if patient.patient_id in known]


def check_external_expression(external: Cohort, cohort: Cohort) -> None:
    """Refuse an external cohort whose expression is of other units than that which the models are trained on.

    Raises
    ------
    CohortError
        Naming both.
    """
    own, other = cohort.expression_scale, external.expression_scale
    if cohort.expression.patients and external.expression.patients and not same_units(own, other):
        raise CohortError(
            f"{external.file.expression.name}: the expression of the external cohort holds {UNITS[other]}, expected "
            f"{UNITS[own]} as in cohort {cohort.file.name}; leave it out to compare models that read slides alone"
        )


def expression_unlike(external: Cohort, cohort: Cohort) -> str:
    """A warning that an external cohort's expression is on another scale than the training cohort's; empty if not.

    The genes of pathways are compared, over all patients of the training cohort: nothing is scored by it.
    """
    measured = set(cohort.expression.genes) & set(external.expression.genes)
    genes = sorted(measured & {gene for found in cohort.pathways for gene in found.genes})
    if not genes or not cohort.expression.patients or not external.expression.patients:
        return ""
    own, others = (item.expression.rows(item.expression.patients, genes) for item in (cohort, external))
    known = np.isfinite(own).all(axis=1)  # a cache has a row for everyone
    if not known.any():
        return ""
    rows = dict(zip(external.expression.patients, others, strict=True))
    having = {name: row for name, row in rows.items() if np.isfinite(row).any()}
    scaling = GeneScaling.fit(own[known])
    return cohort_fault(having, scaling, cohort.expression_scale, trained=f"cohort {cohort.file.name}'s")


def refuse_training_slides(bags: Mapping[str, FeatureBag], seen: Collection[str], models: str) -> None:
    """Refuse patients of whom a slide was trained on.

    Parameters
    ----------
    bags
        By patient.
    seen
        `slide_digests` of the training slides.
    models
        Subject of the sentence with its verb, such as "model TCGA-BRCA was".

    Raises
    ------
    CohortError
        Naming the patients.
    """
    seen = set(seen)
    shared = [name for name, bag in bags.items() if not seen.isdisjoint(digests_of(bag))]
    _refuse(shared, len(bags), f"{models} trained on slides of")


def refuse_training_files(
    cohort: Cohort, slides: Mapping[str, Path], seen: Collection[str], models: str
) -> Generator[Progress, None, None]:
    """Refuse patients of whom a slide was trained on by its file, before anything is encoded.

    Features alone tell it as well (`refuse_training_slides`), but for those the slide must be encoded first.

    Parameters
    ----------
    slides
        Files by name; one that cannot be read is passed over, for its extraction will say so.
    seen, models
        As for `refuse_training_slides`.

    Raises
    ------
    CohortError
        Naming the patients.
    """
    seen, shared = set(seen), []
    for number, patient in enumerate(cohort.patients):
        yield Progress(
            "Comparing slides with the training's", number, len(cohort.patients), patient.patient_id
        )
        files = [slides[name] for name in patient.slide_ids if name in slides]
        if any(_digest_of(file) in seen for file in files):
            shared.append(patient.patient_id)
    _refuse(shared, len(cohort.patients), f"{models} trained on slides of")


def _digest_of(slide: Path) -> str | None:
    try:
        return file_digest(fingerprint_of(slide))
    except SlideError:
        return None


def _refuse(shared: Sequence[str], n_patients: int, beginning: str, remedy: str = "") -> None:
    if shared:
        raise CohortError(
            f"{beginning} {len(shared)} of the {n_patients} patients "
            f"({listed(shared)}), so this is no external cohort; leave them out of the clinical table{remedy}"
        )


def unlike_the_training(cohort: Cohort, models: str, *, endpoint: str, synthetic: bool) -> tuple[str, ...]:
    """Warnings where an external cohort's patients are followed up for something else, or are of another sort.

    Parameters
    ----------
    models
        Subject of the sentences with its verb, such as "the model was".
    endpoint, synthetic
        Of the training cohort.
    """
    found = []
    if cohort.file.endpoint != endpoint:
        found.append(
            f"Warning: {models} trained for endpoint {endpoint}, but this cohort's is {cohort.file.endpoint}."
        )
    if synthetic != cohort.file.synthetic:
        one, other = ("simulated", "real") if synthetic else ("real", "simulated")
        found.append(f"Warning: {models} trained on {one} patients, but these are {other}.")
    return tuple(found)
