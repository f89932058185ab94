"""Losses that carry a frozen teacher's knowledge into the student (paper sections 2.4 and 2.5)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import log_softmax, logsigmoid, softplus

from amkd_core.errors import ConfigError
from amkd_core.models.base import Lengths, ModelOutput, split_bags

Direction = Literal["student_to_teacher", "teacher_to_student"]
RedundancyForm = Literal["balanced", "printed_minus", "printed_plus", "attract", "gated", "none"]
DIRECTIONS: tuple[Direction, ...] = ("student_to_teacher", "teacher_to_student")
FORMS: tuple[RedundancyForm, ...] = ("balanced", "printed_minus", "printed_plus", "attract", "gated", "none")

_SMALLEST_KD = 1e-6  # the paper's epsilon, where log p would leave the reals
_RATIO_OFFSET = 1e-6
_RATIO_RANGE = (0.1, 10.0)


def gene_enhancement_loss(
    student: Tensor,
    teacher: Tensor,
    lengths: Lengths,
    *,
    tau: float = 1.0,
    direction: Direction = "student_to_teacher",
) -> Tensor:
    """``L_GE``: divergence of the student's gene-guided features from the teacher's ``h_p2g``.

    ``KL(p_s || p_t)`` with ``p = softmax(features / tau)`` along the feature axis; mean over a patient's
    patches, then over patients, so that a large slide weighs no more than a small one.

    Parameters
    ----------
    student, teacher : Tensor, shape (total_patches, d)
        The teacher's side is detached.
    lengths : tuple of int
        Patches per patient.
    tau : float
        Temperature, above 0; its value is not in the paper.
    direction : {"student_to_teacher", "teacher_to_student"}
        ``KL(p_s || p_t)`` as printed, or reversed.

    Raises
    ------
    ConfigError
        When the two have different shapes, which needs models of one width.
    """
    if student.shape != teacher.shape:
        raise ConfigError(
            f"student and teacher must give patch features of one shape, found {tuple(student.shape)} and "
            f"{tuple(teacher.shape)}; train both with the same dim on the same patches"
        )
    log_s = log_softmax(student / tau, dim=1)
    log_t = log_softmax(teacher.detach().to(student) / tau, dim=1)
    first, second = (log_s, log_t) if direction == "student_to_teacher" else (log_t, log_s)
    per_patch = (first.exp() * (first - second)).sum(dim=1)  # (total_patches,)
    return torch.stack([bag.mean() for bag in split_bags(per_patch, lengths)]).mean()


def distillation_loss(
    student_logits: Tensor,
    teacher_logits: Tensor,
    *,
    tau: float = 1.0,
    reduction: Literal["mean", "none"] = "mean",
) -> Tensor:
    """``L_KD``: Bernoulli ``KL(sigmoid(L_s / tau) || sigmoid(L_t / tau))``, summed over bins.

    Parameters
    ----------
    student_logits, teacher_logits : Tensor, shape (batch, n_bins)
        The teacher's side is detached.
    tau : float
        Temperature, above 0.
    reduction : {"mean", "none"}
        Over patients; "none" returns shape (batch,).

    Returns
    -------
    Tensor
        Never negative, and zero only where the logits agree.

    Raises
    ------
    ConfigError
        When the two heads have different numbers of bins.
    """
    if student_logits.shape != teacher_logits.shape:
        raise ConfigError(
            f"student and teacher must have heads of one size, found logits of shapes "
            f"{tuple(student_logits.shape)} and {tuple(teacher_logits.shape)}"
        )
    s, t = student_logits / tau, teacher_logits.detach().to(student_logits) / tau
    death = torch.sigmoid(s) * (logsigmoid(s) - logsigmoid(t))
    life = torch.sigmoid(-s) * (logsigmoid(-s) - logsigmoid(-t))
    per_patient = (death + life).sum(dim=1)
    return per_patient.mean() if reduction == "mean" else per_patient


class PathwayTargets(NamedTuple):
    """What a student is to tell of a batch's pathways; `amkd_core.training.pathway_guidance` makes it.

    Attributes
    ----------
    activities : Tensor, shape (batch, n_pathways)
        In standard scores of the training patients.
    shares : Tensor, shape (batch, n_pathways)
        How much of the teacher's risk goes along with each; they sum to 1, or are all 0.
    """

    activities: Tensor
    shares: Tensor


def pathway_loss(student: Tensor, targets: PathwayTargets) -> Tensor:
    """``L_PW``: squared error of pathway activities, each pathway by its share of the risk, mean over patients.

    Ours, not the paper's. A student that tells everyone the mean has a loss of about 1.

    Parameters
    ----------
    student : Tensor, shape (batch, n_pathways)

    Raises
    ------
    ConfigError
        When student and targets have different shapes.
    """
    if student.shape != targets.activities.shape:
        raise ConfigError(
            f"student and targets must tell of the same pathways, found activities of shapes "
            f"{tuple(student.shape)} and {tuple(targets.activities.shape)}"
        )
    error = student - targets.activities.to(student)
    return (targets.shares.to(student) * error.square()).sum(dim=1).mean()


def survival_ratio(student_loss: Tensor, teacher_loss: Tensor) -> Tensor:
    """``r = L_SURV_student / L_SURV_teacher``, detached and clipped to [0.1, 10].

    Above 1 the student is the worse of the two. It carries no gradient: otherwise two of the printed
    readings of `redundancy_reduction_loss` would reward a student for a larger survival loss.
    """
    ratio = (student_loss.detach() + _RATIO_OFFSET) / (teacher_loss.detach().to(student_loss) + _RATIO_OFFSET)
    return ratio.clamp(*_RATIO_RANGE)


def redundancy_reduction_loss(
    kd: Tensor, ratio: Tensor, *, form: RedundancyForm = "balanced", gate_steepness: float = 1.0
) -> Tensor:
    """``L_ARR``, the adaptive redundancy reduction, mean over patients.

    With ``x = L_KD`` and ``p = 2 sigmoid(x) - 1 = tanh(x / 2)`` in [0, 1). The print of section 2.5 lost
    its minus signs, and no choice of signs satisfies all of its prose.

    Parameters
    ----------
    kd : Tensor, shape (batch,) or scalar
        ``x``, the distillation loss; floored at 1e-6. Its gradient near 0 is ``1 / x``: clip gradients.
    ratio : Tensor, broadcastable to ``kd``
        ``r`` of `survival_ratio`.
    form : str
        ``balanced``: ``-log p - r log(1 - p)``. A reconstruction: the only reading that is bounded below
        with a stable equilibrium, ``p* = 1 / (1 + r)`` or ``x* = ln(1 + 2 / r)``; a student worse than its
        teacher is drawn close, a better one is let go.
        ``printed_minus``: ``-log p + r log(1 - p)``, unbounded, always pushes away.
        ``printed_plus``: ``log p + r log(1 - p)``, unbounded at both ends, its equilibrium is unstable.
        ``attract``: ``log p - r log(1 - p)``, collapses onto the teacher whatever ``r`` is.
        ``gated``: ``sigmoid(gate_steepness * log r) * x``, plain distillation that fades as the student wins.
        ``none``: zero.
    gate_steepness : float
        Of the ``gated`` form.

    Returns
    -------
    Tensor, scalar

    Raises
    ------
    ConfigError
        When the form is unknown.
    """
    x, r = kd.clamp(min=_SMALLEST_KD), ratio.detach()
    log_p = torch.log(-torch.expm1(-x)) - torch.log1p(torch.exp(-x))
    log_rest = math.log(2) - softplus(x)  # log(1 - p), exact without an epsilon
    if form == "balanced":
        return (-log_p - r * log_rest).mean()
    if form == "printed_minus":
        return (-log_p + r * log_rest).mean()
    if form == "printed_plus":
        return (log_p + r * log_rest).mean()
    if form == "attract":
        return (log_p - r * log_rest).mean()
    if form == "gated":
        return (torch.sigmoid(gate_steepness * torch.log(r)) * kd).mean()
    if form == "none":
        return torch.zeros_like(kd).mean()
    raise ConfigError(f"there is no redundancy form {form!r}; known are {', '.join(FORMS)}")


@dataclass(frozen=True, eq=False)
class TeacherTargets:
    """What a frozen teacher says of a batch; free of gradients, so it may be cached per patient.

    Attributes
    ----------
    logits : Tensor, shape (batch, n_bins)
    guided : Tensor, shape (total_patches, d)
        ``h_p2g``.
    survival_loss : Tensor, shape (batch,)
        The teacher's own loss for each patient, preferably from a fold that had not seen him: on its
        training patients a teacher's loss tends to 0 and the ratio to its clip.
    loss_logits : Tensor, shape (batch, 1), optional
        Under the Cox loss, which no patient has alone: the log risks from which the teacher's loss is computed over the
        same patients as the student's; `survival_loss` says nothing then.
    pathways : PathwayTargets, optional
        Where the student is to tell the activities of pathways.
    """

    logits: Tensor
    guided: Tensor
    survival_loss: Tensor
    loss_logits: Tensor | None = None
    pathways: PathwayTargets | None = None

    @classmethod
    def from_output(cls, output: ModelOutput, survival_loss: Tensor) -> TeacherTargets:
        """Targets from a teacher's output, detached.

        A model without gene-informed patch features gives features of no width: a student imitates its logits alone.
        """
        guided = output.guided_patches
        if guided is None:
            guided = output.logits.new_zeros(sum(output.lengths), 0)
        return cls(output.logits.detach(), guided.detach(), survival_loss.detach())


@dataclass(frozen=True, eq=False)
class DistillationTerms:
    """The student's total loss and what it is made of, each a scalar Tensor."""

    total: Tensor
    survival: Tensor
    gene_enhancement: Tensor
    distillation: Tensor
    redundancy: Tensor
    pathways: Tensor


@dataclass(frozen=True)
class DistillationObjective:
    """``L = alpha (L_GE + L_KD + L_SURV + w L_PW) + (1 - alpha) L_ARR`` (paper section 2.5; ``L_PW`` is ours).

    Attributes
    ----------
    alpha : float
        0.75 in the paper; 1 is plain distillation without the redundancy term.
    guidance_weight, distillation_weight : float
        Of ``L_GE`` and ``L_KD``; 1 in the paper, 0 leaves the term out.
    pathway_weight : float
        ``w`` of ``L_PW``, see `pathway_loss`; 0 leaves it out, as the paper does.
    tau_features, tau_logits : float
        Temperatures of ``L_GE`` and ``L_KD``; the paper has one symbol and no value, ours is 1.
    form : str
        Reading of ``L_ARR``, see `redundancy_reduction_loss`.
    direction : str
        Of ``L_GE``, see `gene_enhancement_loss`.
    gate_steepness : float
        Of the ``gated`` form.
    """

    alpha: float = 0.75
    guidance_weight: float = 1.0
    distillation_weight: float = 1.0
    tau_features: float = 1.0
    tau_logits: float = 1.0
    form: RedundancyForm = "gated"
    direction: Direction = "student_to_teacher"
    gate_steepness: float = 1.0
    pathway_weight: float = 0.0

    def __post_init__(self) -> None:
        if not 0 <= self.alpha <= 1:
            raise ConfigError(f"alpha must lie in [0, 1], found {self.alpha!r}")
        for name in ("tau_features", "tau_logits"):
            if not getattr(self, name) > 0:
                raise ConfigError(f"{name} must be above 0, found {getattr(self, name)!r}")
        for value, known in ((self.form, FORMS), (self.direction, DIRECTIONS)):
            if value not in known:
                raise ConfigError(f"{value!r} is unknown; known are {', '.join(known)}")

    def __call__(
        self, output: ModelOutput, targets: TeacherTargets, survival_losses: Tensor
    ) -> DistillationTerms:
        """Loss of a batch.

        Parameters
        ----------
        output : ModelOutput
            The student's.
        targets : TeacherTargets
            Of the same patients in the same order.
        survival_losses : Tensor, shape (batch,)
            The student's loss per patient (`nll_loss` with ``reduction="none"``); a scalar where the loss
            exists only for the batch as a whole (`cox_loss`).

        Returns
        -------
        DistillationTerms

        Raises
        ------
        ConfigError
            When student and teacher do not fit together.
        """
        if output.guided_patches is None:
            raise ConfigError("the student gives no gene-guided patch features; use amkd_student")
        kd = distillation_loss(
            output.logits, targets.logits, tau=self.tau_logits, reduction="none"
        )  # (batch,)
        guidance = self._guidance(output.guided_patches, targets.guided, output.lengths)
        ratio = survival_ratio(survival_losses, targets.survival_loss)
        redundancy = redundancy_reduction_loss(kd, ratio, form=self.form, gate_steepness=self.gate_steepness)
        distillation, survival = kd.mean(), survival_losses.mean()
        pathways = self._pathways(output, targets)
        imitation = self.guidance_weight * guidance + self.distillation_weight * distillation
        total = self.alpha * (imitation + survival + self.pathway_weight * pathways)
        total = total + (1 - self.alpha) * redundancy
        return DistillationTerms(total, survival, guidance, distillation, redundancy, pathways)

    def _pathways(self, output: ModelOutput, targets: TeacherTargets) -> Tensor:
        """``L_PW``; zero where nobody asks for it."""
        if not self.pathway_weight:
            return output.logits.new_zeros(())
        if output.pathway_activities is None or targets.pathways is None:
            raise ConfigError("student and targets must have pathway activities, unless pathway_weight is 0")
        return pathway_loss(output.pathway_activities, targets.pathways)

    def _guidance(self, student: Tensor, teacher: Tensor, lengths: Lengths) -> Tensor:
        """``L_GE``; zero where the teacher has no such features and nobody asks for them."""
        if not teacher.shape[1]:
            if self.guidance_weight:
                raise ConfigError(
                    "the teacher gives no gene-informed patch features; use amkd_teacher, or a guidance_weight of 0"
                )
            return student.new_zeros(())
        return gene_enhancement_loss(
            student, teacher, lengths, tau=self.tau_features, direction=self.direction
        )
