"""Latent pathway activities, expression, hazard and follow-up of simulated patients."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from amkd_core.cohort.pathways import read_gmt
from amkd_core.errors import CohortError
from amkd_core.simulate.config import SimulationConfig

Array = NDArray[np.float64]

# Pathways that carry risk, and their coefficients in the log hazard. The first three are seen on the slide; the
# fourth only in expression.
LOG_HAZARD = {
    "SIM_PROLIFERATION": 0.9,
    "SIM_HYPOXIA": 0.5,
    "SIM_IMMUNE_INFILTRATE": -0.5,
    "SIM_DNA_REPAIR": 0.6,
}
VISIBLE = ("SIM_PROLIFERATION", "SIM_HYPOXIA", "SIM_IMMUNE_INFILTRATE")
# What a set of a user's file may be called to take the part of each of them; the first that fits is taken.
STAND_INS = {
    "SIM_PROLIFERATION": ("PROLIFERATION", "G2M_CHECKPOINT", "E2F_TARGETS", "CELL_CYCLE", "CELL CYCLE"),
    "SIM_HYPOXIA": ("HYPOXIA", "GLYCOLYSIS"),
    "SIM_IMMUNE_INFILTRATE": ("IMMUNE_INFILTRATE", "INTERFERON_GAMMA", "INFLAMMATORY", "IMMUNE"),
    "SIM_DNA_REPAIR": ("DNA_REPAIR", "DNA REPAIR"),
}
ACTIVITY_CORRELATION = 0.1
WEIBULL_SHAPE = 1.3
MEDIAN_MONTHS = 36.0
SHORTEST_MONTHS = 0.03


@dataclass(frozen=True, eq=False)
class Pathways:
    """Gene sets and how activity moves their genes.

    Attributes
    ----------
    names : tuple of str, length n_pathways
    genes : tuple of str, length n_genes
    drivers : tuple of int
        Pathways that take the parts of `LOG_HAZARD`, in its order.
    membership : bool array, shape (n_pathways, n_genes)
    loadings : array, shape (n_pathways, n_genes)
        log2 units that one standard deviation of activity moves a gene; 0 outside the pathway.
    baseline : array, shape (n_genes,)
        Mean log2 expression.
    """

    names: tuple[str, ...]
    genes: tuple[str, ...]
    drivers: tuple[int, ...]
    membership: NDArray[np.bool_]
    loadings: Array
    baseline: Array


@dataclass(frozen=True, eq=False)
class Patients:
    """The truth about simulated patients, and what would be observed of them.

    Attributes
    ----------
    activities : array, shape (n, n_pathways)
        Latent activity of each pathway, standard normal.
    visible : array, shape (n, 3)
        What the slide shows of the activities named in `VISIBLE`.
    log_hazard : array, shape (n,)
        The true log hazard ratio; higher is worse.
    time : array, shape (n,)
        Months to death or censoring.
    event : bool array, shape (n,)
        True when the death was seen.
    expression : array, shape (n, n_genes)
        log2 expression, never below 0.
    """

    activities: Array
    visible: Array
    log_hazard: Array
    time: Array
    event: NDArray[np.bool_]
    expression: Array


def make_pathways(config: SimulationConfig) -> Pathways:
    """Gene sets of 12 to 40 made-up genes each, some genes in several; or those of the user's file.

    Raises
    ------
    CohortError
        When the file cannot be read, or no set of it can stand for a pathway that carries risk.
    """
    rng = np.random.default_rng([config.seed, 1])
    if config.pathways is None:
        names, genes, membership = _made_up(rng, config.n_pathways, config.n_genes)
        drivers = tuple(range(len(LOG_HAZARD)))
    else:
        names, genes, membership = _from_file(config.pathways)
        drivers = _find_drivers(names, config.pathways)
    signs = np.where(rng.random(membership.shape) < 0.85, 1.0, -1.0)
    loadings = membership * signs * rng.uniform(0.5, 1.0, membership.shape)
    return Pathways(names, genes, drivers, membership, loadings, rng.uniform(4, 9, len(genes)))


def draw_patients(config: SimulationConfig, pathways: Pathways) -> Patients:
    """Draw all patients; the first n patients of a larger cohort are those of a smaller one."""
    drawn = [draw_patient(config, pathways, index) for index in range(config.n_patients)]
    return Patients(*(np.concatenate([getattr(one, name) for one in drawn]) for name in vars(drawn[0])))


def draw_patient(config: SimulationConfig, pathways: Pathways, index: int) -> Patients:
    """Draw one patient, from a stream of its own, as `Patients` of length 1.

    Activities are standard normal with equal correlations of 0.1; the slide shows ``fidelity * activity +
    sqrt(1 - fidelity^2) * noise``; expression is ``baseline + activities @ loadings + noise`` and never
    negative; follow-up is that of `survival_months` and an independent exponential censoring time.
    """
    rng = np.random.default_rng([config.seed, 2, index])
    n_pathways = len(pathways.names)
    shared = np.sqrt(ACTIVITY_CORRELATION) * rng.normal()
    activity = shared + np.sqrt(1 - ACTIVITY_CORRELATION) * rng.normal(size=n_pathways)
    unseen = rng.normal(size=len(VISIBLE))
    uniform = rng.uniform(1e-12, 1)
    censored = rng.exponential(config.censoring_months)
    coefficients = config.hazard_scale * np.array(list(LOG_HAZARD.values()))
    log_hazard = np.array([activity[list(pathways.drivers)] @ coefficients])
    death = survival_months(log_hazard, np.array([uniform]))
    seen = activity[list(pathways.drivers[: len(VISIBLE)])]
    expression = pathways.baseline + activity @ pathways.loadings
    expression = expression + config.gene_noise * rng.normal(size=len(pathways.genes))
    return Patients(
        activities=activity[None],
        visible=(config.fidelity * seen + np.sqrt(1 - config.fidelity**2) * unseen)[None],
        log_hazard=log_hazard,
        time=np.maximum(np.minimum(death, censored), SHORTEST_MONTHS),
        event=death <= censored,
        expression=np.maximum(expression, 0.0)[None],
    )


def survival_months(log_hazard: Array, uniform: Array) -> Array:
    """Times of death from uniform numbers, by inverting a Weibull survival with proportional hazards.

    ``S(t) = exp(-(t / b)^k exp(log_hazard))`` with shape ``k = 1.3`` and ``b`` such that a patient whose
    log hazard is 0 has a median of 36 months.
    """
    scale = MEDIAN_MONTHS / np.log(2) ** (1 / WEIBULL_SHAPE)
    months: Array = scale * (-np.log(uniform) * np.exp(-log_hazard)) ** (1 / WEIBULL_SHAPE)
    return months


def _made_up(
    rng: np.random.Generator, n_pathways: int, n_genes: int
) -> tuple[tuple[str, ...], tuple[str, ...], NDArray[np.bool_]]:
    filler = (f"SIM_PATHWAY_{index:03d}" for index in range(1, n_pathways - len(LOG_HAZARD) + 1))
    membership = np.zeros((n_pathways, n_genes), dtype=bool)
    for row in membership:
        size = int(rng.integers(12, 41))
        row[rng.choice(n_genes, size=min(size, n_genes), replace=False)] = True
    return (*LOG_HAZARD, *filler), tuple(f"SIMG{index:05d}" for index in range(n_genes)), membership


def _from_file(path: Path) -> tuple[tuple[str, ...], tuple[str, ...], NDArray[np.bool_]]:
    sets = read_gmt(path)
    genes = tuple(sorted(set().union(*(item.genes for item in sets))))
    column = {gene: index for index, gene in enumerate(genes)}
    membership = np.zeros((len(sets), len(genes)), dtype=bool)
    for row, item in enumerate(sets):
        membership[row, [column[gene] for gene in sorted(item.genes)]] = True
    return tuple(item.name for item in sets), genes, membership


def _find_drivers(names: Sequence[str], path: Path) -> tuple[int, ...]:
    found: list[int] = []
    for part, words in STAND_INS.items():
        fitting = (
            index
            for word in words
            for index, name in enumerate(names)
            if word in name.upper() and index not in found
        )
        index = next(fitting, None)
        if index is None:
            raise CohortError(
                f"{path.name}: none of its {len(names)} gene sets can stand for {part}; expected a name that "
                f"contains one of {', '.join(words)}, so add such a set or leave out the file"
            )
        found.append(index)
    return tuple(found)
