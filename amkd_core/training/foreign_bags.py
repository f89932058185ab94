"""What a cohort states about bags of other tools, and how it is asked for what it does not state."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

from amkd_core.bag import FeatureBag
from amkd_core.bag_file import read_bag
from amkd_core.bag_formats import BagAssumptions
from amkd_core.cohort.cohort import Cohort, CohortFile
from amkd_core.errors import BagError, CohortError, IncompleteBagError
from amkd_core.file_names import bag_of_slide
from amkd_core.hash_beside import bare
from amkd_core.slides.encoders import ENCODERS, card_of, stated_identity

_KEYS = MappingProxyType(
    {
        "encoder": "encoder",
        "mpp": "bag_mpp",
        "patch_size_px": "patch_size",
        "patch_size_level0": "patch_size_level0",
        "slide_mpp": "slide_mpp",
    }
)


def bag_assumptions(file: CohortFile) -> BagAssumptions:
    """What a cohort's file and flags state, for `read_bag`.

    The encoder counts where it was stated: its default is no word on what made a foreign bag. One that the registry
    does not know may still be what our own bags, or foreign ones that record it, were made by.
    """
    stated = _states_encoder(file) and file.encoder in ENCODERS
    return BagAssumptions(
        stated_identity(file.encoder) if stated else None,
        file.bag_mpp,
        file.patch_size,
        file.patch_size_level0,
        file.slide_mpp,
    )


def require_complete_bags(cohort: Cohort, folder: Path) -> None:
    """Refuse a cohort whose first bag records too little, before a run has claimed its folder with other statements.

    All bags of a cohort come from one tool as a rule; `amkd_core.training.inputs.read_bags` looks at each of them.

    Parameters
    ----------
    folder
        Of the bags; one that is missing, or holds none of the cohort's, is not refused here.

    Raises
    ------
    CohortError
        Saying how to state what is missing.
    EncoderError
        As `how_to_state`.
    """
    paths = (bag_of_slide(folder, name) for patient in cohort.patients for name in patient.slide_ids)
    first = next((path for path in paths if path.is_file()), None)
    if first is None:
        return
    try:
        read_bag(first, assume=bag_assumptions(cohort.file))
    except IncompleteBagError as error:
        raise CohortError(f"{first.name}: {how_to_state(error.missing, cohort.file)}") from error
    except BagError:
        return  # damaged bags are named all together when all are read


def how_to_state(missing: Sequence[str], file: CohortFile) -> str:
    """What a cohort's bags do not record, and the keys and flags that state it.

    Parameters
    ----------
    missing
        As `IncompleteBagError` names it.

    Raises
    ------
    EncoderError
        When the encoder is missing and the one that the cohort states is unknown.
    """
    if "encoder" in missing and _states_encoder(file):
        card_of(file.encoder)
    keys = [_KEYS[name] for name in missing]
    flags = [f"--{key.replace('_', '-')}" for key in keys]
    return (
        f"the bag does not record {', '.join(missing)}; state {', '.join(keys)} under [cohort], "
        f"or give amkd-train {', '.join(flags)}"
    )


def warned_of_foreign_bags(cohort: Cohort, bags: Mapping[str, FeatureBag], folder: Path) -> Cohort:
    """The cohort with a warning, where bags of other tools are among those that were read.

    Parameters
    ----------
    bags
        By patient, as `amkd_core.training.inputs.read_bags` gives them.
    folder
        Where they were read from.
    """
    foreign = [patient for patient in cohort.patients if not bags[patient.patient_id].verified]
    if not foreign:
        return cohort
    who = "1 patient" if len(foreign) == 1 else f"{len(foreign)} patients"
    paths = [bag_of_slide(folder, name) for patient in foreign for name in patient.slide_ids]
    n_bare = sum(bare(path) for path in paths)
    warning = (
        f"The bags of {who} come from other tools and record neither the encoder's weights nor the slide's content, so "
        "that nothing tells whether they are what they are stated to be"
    )
    if n_bare:
        warning += (
            f"; no SHA-256 lies beside {n_bare} of their {len(paths)} files, so that damaged numbers would not be "
            "noticed either"
        )
    return replace(cohort, warnings=(*cohort.warnings, f"{warning}."))


def another_encoder(what: str, made_by: str, file: CohortFile) -> str:
    """That bags were made by another encoder than the cohort's, and what to do about it.

    Parameters
    ----------
    what
        Subject with its verb, such as "the bag was".
    """
    said = f"{what} made by encoder {made_by}, but the cohort "
    if _states_encoder(file):
        return f"{said}file says {file.encoder}; correct one of them"
    return f'{said}states none, which is {file.encoder}; state encoder = "{made_by}"'


def _states_encoder(file: CohortFile) -> bool:
    return "encoder" in file.model_fields_set
