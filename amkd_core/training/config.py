"""Configuration of a training run: validated, frozen, and written in full into the run."""

from __future__ import annotations

import reprlib
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from amkd_core.cohort.pathways import MIN_COVERAGE
from amkd_core.errors import ConfigError
from amkd_core.toml_text import parsed_toml, read_toml
from amkd_core.training.distillation import Direction, RedundancyForm


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ModelConfig(_Section):
    """Sizes and pooling of teacher and student (METHOD sections 3 and 4).

    Attributes
    ----------
    dim
        Width of tokens in both networks.
    dropout
        On projections and in the perceptrons, never inside attention.
    pooling
        Of the teacher, within each modality.
    """

    dim: int = Field(default=256, ge=4, le=1024)
    dropout: float = Field(default=0.25, ge=0, lt=1)
    pooling: Literal["attention", "mean"] = "attention"


class OptimConfig(_Section):
    """Optimisation of either stage (METHOD section 6).

    Attributes
    ----------
    learning_rate, weight_decay
        Of Adam.
    epochs
        At most so many.
    patience
        Epochs without a better validation loss before a stage stops.
    batch_patients
        Patients per optimiser step.
    patches_per_bag
        Patches drawn from a larger bag in each epoch of training; evaluation uses all.
    clip_norm
        Largest norm of the gradient.
    bags_at_once
        Patients whose graphs are held in memory at a time; a step over more accumulates their gradients, exactly. 0 is
        as many as `batch_patients`.
    cox_window
        Patients per optimiser step under the Cox loss, in place of `batch_patients`: they are each other's risk sets.
    """

    learning_rate: float = Field(default=5e-5, gt=0)
    weight_decay: float = Field(default=1e-5, ge=0)
    epochs: int = Field(default=100, ge=1)
    patience: int = Field(default=15, ge=1)
    batch_patients: int = Field(default=8, ge=1)
    patches_per_bag: int = Field(default=4096, ge=1)
    clip_norm: float = Field(default=5.0, gt=0)
    bags_at_once: int = Field(default=0, ge=0)
    cox_window: int = Field(default=32, ge=2)


class DistillConfig(_Section):
    """The student's objective (METHOD section 5).

    Attributes
    ----------
    alpha
        Weight of guidance, distillation and survival against redundancy reduction.
    guidance_weight, distillation_weight
        Weights of the guidance of features (L_GE) and of the imitated logits (L_KD) beside survival; 1 in the paper.
    pathway_weight
        Weight of the pathways' activities (L_PW), which the student learns to tell from the slide by a head that is not
        kept, each pathway by its share of the teacher's risk; the epoch is chosen by it as well. Ours, not the paper's,
        which 0 is. It lifts the student and what its map finds where it was measured (benchmarks/RESULTS.md).
    tau_features, tau_logits
        Temperatures.
    arr
        Reading of the redundancy term. "gated" helps most where it was measured; "balanced", the reconstruction
        nearest to the print, drives the student away from its teacher (benchmarks/RESULTS.md).
    guidance_direction
        Of the Kullback-Leibler divergence between guided features.
    guidance_features
        The teacher's features as they are, or standardised over the training patients: raw ones hardly differ from
        patch to patch, and their divergence is a hundredth of the other terms.
    teacher_loss
        Where the teacher's loss in the ratio comes from: patients it had not seen, or those it was trained on.
    teacher_logits
        The same for the logits that the student imitates. On patients it was trained on a teacher repeats their
        outcomes; on others it tells what genes and slide say.
    inner_folds
        Teachers that are trained for out-of-fold losses.
    patch_share
        Share of a bag's patches that the student sees in each epoch, drawn anew; what the teacher said of the whole bag
        stays its target. At least 32 are drawn, never more than `patches_per_bag`, and evaluation uses all. A quarter
        nearly doubled what distillation is worth where it was measured (benchmarks/RESULTS.md); 1 shows all of them.
    """

    alpha: float = Field(default=0.75, ge=0, le=1)
    guidance_weight: float = Field(default=1.0, ge=0)
    distillation_weight: float = Field(default=1.0, ge=0)
    pathway_weight: float = Field(default=4.0, ge=0)
    tau_features: float = Field(default=1.0, gt=0)
    tau_logits: float = Field(default=1.0, gt=0)
    arr: RedundancyForm = "gated"
    guidance_direction: Direction = "student_to_teacher"
    guidance_features: Literal["raw", "standardised"] = "raw"
    teacher_loss: Literal["out_of_fold", "in_sample"] = "out_of_fold"
    teacher_logits: Literal["out_of_fold", "in_sample"] = "in_sample"
    inner_folds: int = Field(default=4, ge=2, le=20)
    patch_share: float = Field(default=0.25, gt=0, le=1)


class ReportConfig(_Section):
    """How much the report computes; it changes no prediction, and may differ when a run is repeated.

    Attributes
    ----------
    resamples
        Of each bootstrap interval.
    shuffles
        Of the chance line; 0 leaves it out.
    network_shuffles
        Of the chance line of the networks themselves, on demand: each is a whole cross-validation. Repeating a
        finished run with a larger number goes on from there.
    """

    resamples: int = Field(default=1000, ge=10)
    shuffles: int = Field(default=40, ge=0)
    network_shuffles: int = Field(default=0, ge=0, le=999)


class TrainingConfig(_Section):
    """Everything that decides a run's numbers, beside the cohort.

    Attributes
    ----------
    seed
        Of weights, order of patients, drawn patches and dropout.
    survival_loss
        Of both stages: "nll", the likelihood of discrete time bins, or "cox", the partial likelihood (Breslow) of a
        head with one output, the log risk. The paper names both.
    n_bins
        Time bins, cut at quantiles of the uncensored training times; the Cox loss has none.
    min_coverage
        Least share of a pathway's genes in the expression table.
    device
        As torch names it.
    precision
        Of products and attention in training; "auto" is bfloat16 on a GPU, where it doubles the speed and reaches the
        flash kernels, and float32 on a CPU, where it is slower. Weights, losses and evaluation stay float32.
    deterministic
        Only kernels that give the same bits each time, which on a GPU are slower; on a CPU all are.
    threads
        Of torch on the CPU in each process; equal seeds give equal numbers for equal threads. 0 shares this
        machine's cores out among the folds under way.
    folds
        Of the cross-validation; a cohort with a split of its own, or a file of folds, overrides it.
    cache_dtype
        Of the features that parallel folds share on disk; "auto" takes float16 where it holds every feature
        exactly, so that no number changes.
    """

    seed: int = Field(default=0, ge=0)
    folds: int = Field(default=5, ge=2, le=100)
    survival_loss: Literal["nll", "cox"] = "nll"
    n_bins: int = Field(default=4, ge=2, le=50)
    min_coverage: float = Field(default=MIN_COVERAGE, ge=0, le=1)
    device: str = "cpu"
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    deterministic: bool = False
    threads: int = Field(default=0, ge=0)
    cache_dtype: Literal["auto", "float32", "float16"] = "auto"
    model: ModelConfig = ModelConfig()
    teacher: OptimConfig = OptimConfig()
    student: OptimConfig = OptimConfig()
    distill: DistillConfig = DistillConfig()
    report: ReportConfig = ReportConfig()

    @property
    def is_cox(self) -> bool:
        """Whether patients are compared with each other, by a head of one output."""
        return self.survival_loss == "cox"

    def record(self) -> dict[str, Any]:
        """All that decides a run's numbers, JSON-able; settings of this release only where they are set."""
        unset = set() if self.deterministic else {"deterministic"}
        return self.model_dump(mode="json", exclude={"report"} | unset)


def load_config(path: Path | None, overrides: Sequence[str] = ()) -> TrainingConfig:
    """Read a TOML file of settings, or the defaults, and apply overrides such as ``student.epochs=40``.

    Raises
    ------
    ConfigError
        When a key is unknown (the nearest known one is named) or a value is out of its range.
    """
    values: dict[str, Any] = {}
    if path is not None:
        try:
            values = read_toml(path)
        except FileNotFoundError:
            raise ConfigError(f"{path}: no such configuration file") from None
        found = {"cohort": "a table [cohort]", "clinical": "the key clinical", "pathways": "the key pathways"}
        of_cohort = next((said for name, said in found.items() if name in values), None)
        if of_cohort is not None:
            raise ConfigError(f"{path.name}: holds {of_cohort}, so this is a cohort's file: --cohort")
    merge_overrides(values, overrides)
    return validated(values)


def validated(values: Mapping[str, Any]) -> TrainingConfig:
    """Settings of nested mappings.

    Raises
    ------
    ConfigError
        As `load_config`.
    """
    _refuse_unknown(values, TrainingConfig, "")
    try:
        return TrainingConfig.model_validate(values)
    except ValidationError as error:
        # A value may be of any size and depth.
        said = [
            f"setting {'.'.join(map(str, one['loc']))} is {reprlib.repr(one['input'])}: {one['msg']}"
            for one in error.errors()
        ]
        raise ConfigError("; ".join(said)) from error


def merge_overrides(values: dict[str, Any], overrides: Sequence[str]) -> None:
    """Put overrides such as ``student.epochs=40`` into nested settings.

    Raises
    ------
    ConfigError
        When one has another form, or goes below a setting.
    """
    for override in overrides:
        _apply(values, override)


def _apply(values: dict[str, Any], override: str) -> None:
    key, separator, text = override.partition("=")
    if not separator or not key.strip():
        raise ConfigError(f"override {override!r} must look like section.key=value")
    *sections, name = key.strip().split(".")
    for section in sections:
        values = values.setdefault(section, {})
        if not isinstance(values, dict):
            raise ConfigError(f"override {override!r}: {section} has no settings below it")
    try:
        values[name] = parsed_toml(f"value = {text.strip()}", override)["value"]
    except ConfigError:
        values[name] = text.strip()  # a bare word, such as a form's name


def _refuse_unknown(values: Mapping[str, Any], kind: type[BaseModel], prefix: str) -> None:
    for key, value in values.items():
        if key not in kind.model_fields:
            near = get_close_matches(key, kind.model_fields, n=1)
            hint = f"did you mean {prefix}{near[0]}?" if near else f"known are {', '.join(kind.model_fields)}"
            raise ConfigError(f"there is no setting {prefix}{key}; {hint}")
        section = kind.model_fields[key].annotation
        if isinstance(value, dict) and isinstance(section, type) and issubclass(section, BaseModel):
            _refuse_unknown(value, section, f"{prefix}{key}.")
