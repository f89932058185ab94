"""Latent pathway activities, expression, hazard and follow-up of simulated patients."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

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
ACTIVITY_CORRELATION = 0.1
WEIBULL_SHAPE = 1.3
MEDIAN_MONTHS = 36.0


@dataclass(frozen=True, eq=False)
class Pathways:
    """Made-up gene sets.

    Attributes
    ----------
    names : tuple of str, length n_pathways
    genes : tuple of str, length n_genes
    membership : bool array, shape (n_pathways, n_genes)
    loadings : array, shape (n_pathways, n_genes)
        log2 units that one standard deviation of activity moves a gene; 0 outside the pathway.
    baseline : array, shape (n_genes,)
        Mean log2 expression.
    """

    names: tuple[str, ...]
    genes: tuple[str, ...]
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
    """Gene sets of 12 to 40 genes each, drawn from the seed; some genes are in several."""
    rng = np.random.default_rng([config.seed, 1])
    filler = (f"SIM_PATHWAY_{index:03d}" for index in range(1, config.n_pathways - len(LOG_HAZARD) + 1))
    names = (*LOG_HAZARD, *filler)
    genes = tuple(f"SIMG{index:05d}" for index in range(config.n_genes))
    membership = np.zeros((config.n_pathways, config.n_genes), dtype=bool)
    for row in membership:
        size = int(rng.integers(12, 41))
        row[rng.choice(config.n_genes, size=min(size, config.n_genes), replace=False)] = True
    signs = np.where(rng.random(membership.shape) < 0.85, 1.0, -1.0)
    loadings = membership * signs * rng.uniform(0.5, 1.0, membership.shape)
    return Pathways(names, genes, membership, loadings, rng.uniform(4, 9, config.n_genes))


def draw_patients(config: SimulationConfig, pathways: Pathways) -> Patients:
    """Draw all patients; the first n patients of a larger cohort are those of a smaller one.

    Survival is Weibull with proportional hazards: ``S(t) = exp(-(t / b)^k exp(log_hazard))`` with shape
    k = 1.3 and b such that a patient of average hazard has a median of 36 months; censoring is exponential
    and independent.
    """
    n_pathways = len(pathways.names)
    shared = np.sqrt(ACTIVITY_CORRELATION)
    rows = []
    for index in range(config.n_patients):
        rng = np.random.default_rng([config.seed, 2, index])
        activity = shared * rng.normal() + np.sqrt(1 - ACTIVITY_CORRELATION) * rng.normal(size=n_pathways)
        unseen = rng.normal(size=len(VISIBLE))
        quantile = rng.uniform(1e-12, 1)
        dropout = rng.exponential(config.censoring_months)
        rows.append((activity, unseen, quantile, dropout, rng.normal(size=len(pathways.genes))))
    activities, noise, uniform, censored, gene_noise = (
        np.array(column) for column in zip(*rows, strict=True)
    )
    coefficients = np.zeros(n_pathways)
    coefficients[: len(LOG_HAZARD)] = list(LOG_HAZARD.values())
    log_hazard = activities @ coefficients
    death = _scale() * (-np.log(uniform) * np.exp(-log_hazard)) ** (1 / WEIBULL_SHAPE)
    seen = activities[:, : len(VISIBLE)]
    expression = pathways.baseline + activities @ pathways.loadings + config.gene_noise * gene_noise
    return Patients(
        activities=activities,
        visible=config.fidelity * seen + np.sqrt(1 - config.fidelity**2) * noise,
        log_hazard=log_hazard,
        time=np.maximum(np.minimum(death, censored), 0.03),
        event=death <= censored,
        expression=np.maximum(expression, 0.0),
    )


def _scale() -> float:
    return float(MEDIAN_MONTHS / np.log(2) ** (1 / WEIBULL_SHAPE))
