"""Feature bags drawn without rendering slides, on expression that was really measured.

Real expression gives genes their real correlations; what is made up is what the slide shows of it and who dies when.
docs/simulation.md gives every equation. Everything that comes out is SYNTHETIC, whatever went in.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from amkd_core.bag import EncoderIdentity, FeatureBag
from amkd_core.cohort.genes import ExpressionTable
from amkd_core.cohort.pathways import GeneSet, cover
from amkd_core.errors import CohortError
from amkd_core.pathway_effects import pathway_activities
from amkd_core.simulate.biology import SHORTEST_MONTHS, survival_months

Array = NDArray[np.float64]

# Raised with every change that alters a number of a simulated bag or of its follow-up.
BAG_SIMULATION_VERSION = 1

# Roles of the driver pathways and their coefficients in the log hazard. The slide shows the first three; the fourth is
# in the genes alone; the fifth acts only together with a pattern of the slide that no gene tells of.
LOG_HAZARD = {"seen_1": 0.8, "seen_2": 0.6, "seen_3": -0.6, "genes_only": 0.35, "joint": 0.4}
SEEN = 3
_LEAST_GENES = 10
_CORRELATION_LIMITS = (0.3, 0.4, 0.5, 0.6)
_LATENT = 48
_TISSUES = 12
_SHARE_SLOPE = 0.8


class BagSimulationConfig(BaseModel):
    """What simulated bags are made of.

    Attributes
    ----------
    seed
        Of everything; patient i draws from a stream of its own.
    n_patches, d_encoder
        Shape of a bag.
    fidelity
        Correlation between a pathway's activity and what the slide shows of it.
    planted_share
        Share of patches that carry one pattern in a patient of average activity.
    planted_strength
        Shift of a planted patch along its pattern, in standard deviations of a patch within its tissue.
    hazard_scale
        Factor on all coefficients of the log hazard.
    censoring_months
        Mean of the exponential censoring time.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    seed: int = Field(default=0, ge=0)
    n_patches: int = Field(default=4096, ge=16, le=200_000)
    d_encoder: int = Field(default=1024, ge=64, le=4096)
    fidelity: float = Field(default=0.85, ge=0, le=1)
    planted_share: float = Field(default=0.06, gt=0, lt=0.15)
    planted_strength: float = Field(default=6.0, ge=0)
    hazard_scale: float = Field(default=1.0, ge=0, le=5)
    censoring_months: float = Field(default=60.0, gt=0)


@dataclass(frozen=True, eq=False, repr=False)
class SimulatedPatients:
    """The truth about patients whose expression was given.

    Attributes
    ----------
    patients : tuple of str, length n
    drivers : tuple of str
        Pathways in the roles of `LOG_HAZARD`.
    activities : array, shape (n, 5)
        Of the drivers, standardised over the patients.
    shown : array, shape (n, 4)
        What the slide shows: of the three seen pathways, and the pattern that the joint term needs.
    log_hazard, slide_hazard, gene_hazard : array, shape (n,)
        Truth; the best risk from what the slide shows; the best risk from the genes.
    time : array, shape (n,)
        Months.
    event : bool array, shape (n,)
        True when the death was seen.
    """

    patients: tuple[str, ...]
    drivers: tuple[str, ...]
    activities: Array
    shown: Array
    log_hazard: Array
    slide_hazard: Array
    gene_hazard: Array
    time: Array
    event: NDArray[np.bool_]

    def __repr__(self) -> str:
        return f"SimulatedPatients({len(self.patients)} patients, {int(self.event.sum())} deaths, SYNTHETIC)"


def simulate_patients(
    expression: ExpressionTable, pathways: Sequence[GeneSet], config: BagSimulationConfig
) -> SimulatedPatients:
    """Activities of real expression, what a slide would show of them, and a follow-up that depends on both.

    An activity is the mean of the standardised genes of a pathway. The log hazard is the sum over `LOG_HAZARD` of
    coefficient times activity, where the joint pathway's activity is multiplied by the slide's own pattern; the slide
    shows ``fidelity * activity + sqrt(1 - fidelity^2) * noise``.

    Raises
    ------
    CohortError
        When fewer than five pathways are large and different enough to be drivers.
    """
    rng = np.random.default_rng([config.seed, 11])
    activity, names = _activities(expression, pathways)
    chosen = _choose_drivers(activity, rng)
    drivers = activity[:, chosen]
    shown = np.empty((len(drivers), SEEN + 1))
    noise = rng.normal(size=shown.shape)
    shown[:, :SEEN] = config.fidelity * drivers[:, :SEEN] + np.sqrt(1 - config.fidelity**2) * noise[:, :SEEN]
    shown[:, SEEN] = noise[:, SEEN]
    weights = config.hazard_scale * np.array(list(LOG_HAZARD.values()))
    acting = drivers.copy()
    acting[:, -1] *= shown[:, SEEN]
    log_hazard = acting @ weights
    death = survival_months(log_hazard, rng.uniform(1e-12, 1, len(drivers)))
    censored = rng.exponential(config.censoring_months, len(drivers))
    return SimulatedPatients(
        patients=expression.patients,
        drivers=tuple(names[index] for index in chosen),
        activities=drivers,
        shown=shown,
        log_hazard=log_hazard,
        slide_hazard=shown[:, :SEEN] @ weights[:SEEN],
        gene_hazard=drivers[:, :-1] @ weights[:-1],
        time=np.maximum(np.minimum(death, censored), SHORTEST_MONTHS),
        event=death <= censored,
    )


def simulate_bag(
    truth: SimulatedPatients, index: int, config: BagSimulationConfig, *, slide_id: str = ""
) -> tuple[FeatureBag, NDArray[np.int8]]:
    """One patient's bag, and which pattern each patch carries.

    A patch is one of twelve tissues (their shares differ between patients) plus its own variation, the patient's
    staining, and, where a pattern is planted, a shift along that pattern. The share of patches with pattern k is
    ``planted_share * exp(0.8 * shown_k)``, at most 0.2.

    Returns
    -------
    FeatureBag, array of int8 (n_patches,)
        0 to 3 for a planted pattern, -1 for none.
    """
    world = np.random.default_rng([config.seed, 12])
    tissues = world.normal(size=(_TISSUES, _LATENT))
    patterns = world.normal(size=(SEEN + 1, _LATENT))
    patterns *= config.planted_strength / np.linalg.norm(patterns, axis=1, keepdims=True)
    mixing = world.normal(size=(_LATENT, config.d_encoder)) / np.sqrt(_LATENT)

    rng = np.random.default_rng([config.seed, 13, index])
    n = config.n_patches
    shares = rng.dirichlet(np.full(_TISSUES, 3.0))
    latent = tissues[rng.choice(_TISSUES, size=n, p=shares)] + rng.normal(size=(n, _LATENT))
    latent += 0.2 * rng.normal(size=_LATENT)  # staining and scanner
    share = np.minimum(config.planted_share * np.exp(_SHARE_SLOPE * truth.shown[index]), 0.2)
    planted = rng.choice(np.arange(-1, SEEN + 1, dtype=np.int8), size=n, p=[1 - share.sum(), *share])
    carrying = planted >= 0
    latent[carrying] += patterns[planted[carrying]] * rng.uniform(0.7, 1.3, (int(carrying.sum()), 1))
    features = latent @ mixing + 0.3 * rng.normal(size=(n, config.d_encoder))
    side = int(np.ceil(np.sqrt(n)))
    rows, columns = np.divmod(np.arange(n), side)
    bag = FeatureBag(
        features=features.astype(np.float32),
        encoder=simulated_encoder(config),
        patch_size_px=256,
        mpp=0.5,
        slide_id=slide_id or truth.patients[index],
        coords=256 * np.stack([columns, rows], axis=1),
        patch_size_level0=(256, 256),
        slide_size_level0=(256 * side, 256 * side),
        slide_mpp=(0.5, 0.5),
        slide_mpp_source="user",
    )
    return bag, planted


def hazard_from_shares(planted: NDArray[np.int8], config: BagSimulationConfig) -> float:
    """Log hazard that a bag's planted patches tell of to one who knows them all and what each pattern means.

    `slide_hazard` but for the chance in a bag's counts, so the most that can be read from bags of this size.

    Parameters
    ----------
    planted : array of int8, shape (n_patches,)
        As `simulate_bag` gives it.
    """
    counts = np.array([np.count_nonzero(planted == pattern) for pattern in range(SEEN)])
    shown = np.log((counts + 0.5) / (config.planted_share * len(planted))) / _SHARE_SLOPE
    return float(config.hazard_scale * (shown @ np.array(list(LOG_HAZARD.values())[:SEEN])))


def simulated_encoder(config: BagSimulationConfig) -> EncoderIdentity:
    """Name under which simulated features go, so that no bundle made on them opens a real bag."""
    return EncoderIdentity(
        name="simulated",
        version=str(BAG_SIMULATION_VERSION),
        dimension=config.d_encoder,
        weights_sha256="",
        transform=f"drawn with seed {config.seed}; SYNTHETIC",
        token_policy="none",
        licence="none: simulated features",
    )


def _activities(expression: ExpressionTable, pathways: Sequence[GeneSet]) -> tuple[Array, tuple[str, ...]]:
    membership = cover(pathways, expression.genes)
    values = expression.rows(expression.patients, membership.genes)
    spread = values.std(axis=0)
    standard = (values - values.mean(axis=0)) / np.where(spread > 0, spread, 1.0)
    sizes = membership.matrix.sum(axis=1)
    activity = pathway_activities(standard, membership.matrix)
    large = np.flatnonzero(sizes >= _LEAST_GENES)
    activity = activity[:, large]
    activity = (activity - activity.mean(axis=0)) / activity.std(axis=0)
    return activity, tuple(membership.pathways[index] for index in large)


def _choose_drivers(activity: Array, rng: np.random.Generator) -> list[int]:
    """Five pathways that correlate as little as the table allows, in an order drawn by the seed."""
    correlation = np.abs(np.corrcoef(activity, rowvar=False))
    order = rng.permutation(activity.shape[1]).tolist()
    for limit in _CORRELATION_LIMITS:
        chosen: list[int] = []
        for candidate in order:
            if all(correlation[candidate, other] < limit for other in chosen):
                chosen.append(candidate)
            if len(chosen) == len(LOG_HAZARD):
                return chosen
    raise CohortError(
        f"the expression and pathways give fewer than {len(LOG_HAZARD)} pathways of {_LEAST_GENES} or more genes that "
        f"correlate by less than {_CORRELATION_LIMITS[-1]}, which are needed to carry the simulated risk"
    )
