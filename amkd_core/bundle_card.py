"""The card of a model bundle: what the model is, what made it and what it may be used on.

The card is the bundle's ``manifest.json``. It is validated field by field and unknown fields are
refused, so that a card means the same to whoever reads it.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from amkd_core.bag import EncoderIdentity
from amkd_core.cohort.subgroup_names import ALL_BY, FEWEST_PATIENTS, LONGEST_NAME, MOST_SITES, NAMES, By
from amkd_core.errors import BundleError
from amkd_core.survival.endpoints import Endpoint
from amkd_core.survival.metrics import FEW_EVENTS

FORMAT_VERSION = 1
OUT_OF_FOLD = "out of fold"
"""``provenance["reference"]`` where no member had seen the patients of its reference."""
RESEARCH_USE_ONLY = "Research use only. Not for diagnosis or treatment decisions."


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class EncoderCard(_Strict):
    """Identity of the encoder whose features the model reads; fields as in `EncoderIdentity`."""

    name: str
    version: str
    dimension: int = Field(ge=1, le=65_536)
    weights_sha256: str
    transform: str
    token_policy: str
    licence: str

    @property
    def identity(self) -> EncoderIdentity:
        """The same as the dataclass that bags carry."""
        return EncoderIdentity(**self.model_dump())


class ModelCard(_Strict):
    """Architecture of one network: a key of `amkd_core.models.MODELS` and its settings."""

    name: str
    config: dict[str, Any]


class MemberCard(_Strict):
    """One member of the ensemble: the networks of one training fold."""

    student: ModelCard
    teacher: ModelCard | None = None
    risk_cut: float
    time_bins: list[float] = Field(min_length=2, max_length=65)


class _Figure(_Strict):
    """C-index of one network on some test patients.

    Attributes
    ----------
    model
        "student" or "teacher".
    n_patients, n_events
        Of those patients.
    c_index, lower, upper, level
        With the interval by patient and its coverage; None when no two patients can be compared, never 0.5 then.
    reason
        Why there is none; empty otherwise.
    """

    model: Literal["student", "teacher"]
    n_patients: int = Field(ge=0)
    n_events: int | None = Field(ge=0)
    c_index: float | None = Field(default=None, ge=0, le=1)
    lower: float | None = Field(default=None, ge=0, le=1)
    upper: float | None = Field(default=None, ge=0, le=1)
    level: float | None = Field(default=None, gt=0, lt=1)
    reason: str = Field(default="", max_length=500)

    @model_validator(mode="after")
    def _is_whole(self) -> Self:
        numbers = (self.c_index, self.lower, self.upper, self.level)
        if len({number is None for number in numbers}) > 1 or (self.c_index is None) != bool(self.reason):
            raise ValueError("expected a C-index with its interval and level, or a reason why there is none")
        if self.lower is not None and self.upper is not None and self.lower > self.upper:
            raise ValueError(f"its interval goes from {self.lower} to {self.upper}")
        if self.n_events is not None and self.n_events > self.n_patients:
            raise ValueError(f"{self.n_events} events among {self.n_patients} patients")
        return self


class Measured(_Figure):
    """C-index of one network, or of all folds' together, on test patients whom it had not seen.

    Attributes
    ----------
    fold
        Counted from 1; None of all folds' test patients, each pair within one fold.
    """

    n_events: int = Field(ge=0)
    fold: int | None = Field(default=None, ge=1, le=100)


class SubgroupMeasured(_Figure):
    """C-index of one network on the test patients of one subgroup, each pair within one fold.

    Attributes
    ----------
    group
        Which of the subgroups.
    n_patients, n_events
        Of the subgroup, whom the network scored. Of a group of fewer than five nothing is told. Events are None where
        those of so small a group could be worked out from them.
    """

    group: str = Field(min_length=1, max_length=LONGEST_NAME)
    n_patients: int = Field(ge=FEWEST_PATIENTS)
    n_events: int | None = Field(default=None, ge=0)

    @model_validator(mode="after")
    def _has_events(self) -> Self:
        if self.c_index is not None and self.n_events is not None and self.n_events < FEW_EVENTS:
            raise ValueError(f"a C-index of {self.n_events} events, expected {FEW_EVENTS} or more")
        return self


class MeasuredSubgroups(_Strict):
    """C-indices of the test patients told apart by one property; no patient is named.

    Attributes
    ----------
    by
        The property.
    measured
        Of each subgroup and network.
    pooled_groups, pooled_patients
        Subgroups that are only counted, for they are small, have few events (sites) or a name that could be a person's.
    unknown
        Test patients of whom the property is not told.
    """

    by: By
    measured: list[SubgroupMeasured] = Field(max_length=2 * MOST_SITES)
    pooled_groups: int = Field(default=0, ge=0)
    pooled_patients: int = Field(default=0, ge=0)
    unknown: int = Field(default=0, ge=0)

    @model_validator(mode="after")
    def _fits(self) -> Self:
        told = [(item.model, item.group) for item in self.measured]
        if len(set(told)) != len(told):
            raise ValueError("a C-index is given twice")
        names = NAMES.get(self.by)
        strange = next((group for _, group in told if names is not None and group not in names), None)
        if names is not None and strange is not None:
            raise ValueError(f"{strange!r} is none of its subgroups, {' and '.join(names)}")
        if self.pooled_patients < self.pooled_groups or (self.pooled_patients > 0 and not self.pooled_groups):
            raise ValueError(
                f"{self.pooled_patients} patients in {self.pooled_groups} groups that are only counted"
            )
        return self

    def n_patients(self, model: str) -> int:
        """Patients of all its subgroups by themselves whom a network scored."""
        return sum(item.n_patients for item in self.measured if item.model == model)


class Sites(_Strict):
    """The training cohort's patients by hospital; no patient is named.

    Attributes
    ----------
    source
        "tcga_site": the two letters in TCGA's barcodes; "group": the column whose groups the folds keep apart.
    patients
        By code.
    pooled_sites, pooled_patients
        Groups that are not named, for they are small or look like a person's name or number, and their patients.
    unknown
        Patients of whom no hospital is told.
    """

    source: Literal["tcga_site", "group"]
    patients: dict[Annotated[str, Field(min_length=1, max_length=64)], Annotated[int, Field(ge=1)]] = Field(
        max_length=2_000
    )
    pooled_sites: int = Field(default=0, ge=0)
    pooled_patients: int = Field(default=0, ge=0)
    unknown: int = Field(default=0, ge=0)

    @property
    def n_patients(self) -> int:
        """All of them."""
        return sum(self.patients.values()) + self.pooled_patients + self.unknown


class BundleCard(_Strict):
    """Everything about a bundle that is not a weight.

    Attributes
    ----------
    name
        Short name for people.
    synthetic
        True when the model was trained on simulated slides; shown wherever a result appears.
    research_use_only
        Always true; a card that says otherwise is refused.
    encoder
        Encoder that a bag must come from.
    patch_size_px, mpp
        Patch side in pixels and micrometres per pixel, as it is given to the encoder.
    endpoint
        "os", "dss" or "pfi".
    expression_scale
        On which the values of the training cohort's expression file stood before they were brought to logarithms; a
        patient's file for the teacher is read alike (`amkd_core.inference.expression`).
    cohort_size, cohort_events
        Patients and deaths of the training cohort.
    metrics
        Measured figures by name, such as the C-index on held-out patients.
    measured
        C-index with interval of each fold and of all together; empty in bundles of before it was kept, and where no
        patient was kept for testing.
    subgroups
        C-indices by age, sex, stage and site; empty in bundles of before they were computed, and where the cohort tells
        none of these of its test patients.
    sites
        Hospitals of the cohort's patients; None where nothing tells them.
    limits
        What the model was not tried on, in sentences; empty in bundles of before.
    provenance
        What made the bundle: configuration, seeds, versions, data; JSON-able.
    licences
        Terms that reach users of the bundle, such as the encoder's.
    pathways, genes
        Names in the order of the teacher's inputs; empty without a teacher.
    training_slides
        Digests of the slides that any member was trained on, or its epoch chosen by (`amkd_core.seen_slides`); empty
        where not recorded.
    members
        One per fold.
    parts
        SHA-256 of every other file of the bundle, by name.
    """

    format_version: Literal[1] = 1
    name: str = Field(min_length=1, max_length=200)
    synthetic: bool
    research_use_only: Literal[True] = True
    research_use_notice: str = RESEARCH_USE_ONLY
    encoder: EncoderCard
    patch_size_px: int = Field(ge=1, le=8_192)
    mpp: float = Field(gt=0, lt=50)
    endpoint: Endpoint
    expression_scale: Literal["log", "linear", "zscore"] = "log"
    created: str
    software_version: str
    cohort_size: int = Field(ge=1)
    cohort_events: int = Field(ge=0)
    metrics: dict[str, float] = Field(default_factory=dict)
    measured: list[Measured] = Field(default_factory=list, max_length=202)
    subgroups: list[MeasuredSubgroups] = Field(default_factory=list, max_length=len(ALL_BY))
    sites: Sites | None = None
    limits: list[Annotated[str, Field(min_length=1, max_length=500)]] = Field(
        default_factory=list, max_length=30
    )
    provenance: dict[str, Any] = Field(default_factory=dict)
    licences: list[str] = Field(default_factory=list)
    pathways: list[str] = Field(default_factory=list, max_length=20_000)
    genes: list[str] = Field(default_factory=list, max_length=200_000)
    training_slides: list[str] = Field(default_factory=list, max_length=40_000)
    members: list[MemberCard] = Field(min_length=1, max_length=100)
    parts: dict[str, str] = Field(default_factory=dict)


def fill_card(
    card: BundleCard, *, members: list[dict[str, Any]], parts: dict[str, str], file_name: str
) -> BundleCard:
    """Card with what only the writer of the file knows: its members as they are, and the hashes of its parts.

    Raises
    ------
    BundleError
        When a value of the card cannot be written, such as a figure that is not finite; its field is named.
    """
    try:
        filled = BundleCard.model_validate({**card.model_dump(), "members": members, "parts": parts})
    except ValidationError as error:
        raise _card_error(error, file_name) from error
    return filled


def parse_card(text: str, *, file_name: str) -> BundleCard:
    """Read a manifest.

    Raises
    ------
    BundleError
        When it is no JSON of this format; the sentence names the first field at fault.
    """
    try:
        return BundleCard.model_validate_json(text)
    except ValidationError as error:
        raise _card_error(error, file_name) from error


def _card_error(error: ValidationError, file_name: str) -> BundleError:
    """One sentence about the first field at fault."""
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"]) or "manifest.json"
    if where == "format_version":
        return BundleError(
            f"{file_name}: bundle format {first['input']!r}, this release reads {FORMAT_VERSION}; upgrade AMKD Viewer"
        )
    return BundleError(f"{file_name}: manifest.json is not a bundle's card: {where}: {first['msg']}")
