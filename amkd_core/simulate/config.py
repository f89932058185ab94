"""Settings of a simulated cohort; docs/simulation.md gives every equation they enter."""

from __future__ import annotations

import hashlib
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, model_validator

# Raised with every change that alters a pixel or a number of a simulated cohort.
SIMULATION_VERSION = 4
UNHASHED = frozenset({"n_patients", "validation_share", "test_share", "pathways"})
"""Settings that change nobody's slide; of pathways the content counts, and not where they lie."""


class SimulationConfig(BaseModel):
    """What a simulated cohort is made of.

    Attributes
    ----------
    n_patients
        Patients, one slide each.
    seed
        Of everything; patient i draws from its own stream, whatever the number of processes.
    width_px, height_px
        Slide size at level 0.
    mpp
        Micrometres per level-0 pixel.
    fidelity
        Correlation between a pathway's activity and what the slide shows of it.
    hazard_scale
        Factor on all coefficients of the log hazard; 0 makes survival independent of everything.
    n_pathways, n_genes
        Size of the made-up expression table; not used with `pathways`.
    pathways
        GMT file of real gene sets to use in place of made-up ones.
    gene_noise
        Standard deviation of a gene's own variation, in log2 units; a pathway's activity moves its
        genes by 0.5 to 1 a standard deviation.
    censoring_months
        Mean of the exponential censoring time.
    validation_share, test_share
        Shares of patients marked for validation and for testing; the rest are for training.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    n_patients: int = Field(default=200, ge=4, le=100_000)
    seed: int = Field(default=0, ge=0)
    width_px: int = Field(default=2560, ge=512, le=200_000)
    height_px: int = Field(default=2048, ge=512, le=200_000)
    mpp: float = Field(default=0.5, ge=0.1, le=2.0)
    fidelity: float = Field(default=0.85, ge=0, le=1)
    hazard_scale: float = Field(default=1.0, ge=0, le=5)
    n_pathways: int = Field(default=40, ge=6, le=2_000)
    n_genes: int = Field(default=600, ge=40, le=60_000)
    pathways: Path | None = None
    gene_noise: float = Field(default=1.0, ge=0)
    censoring_months: float = Field(default=70.0, gt=0)
    validation_share: float = Field(default=0.16, ge=0, lt=1)
    test_share: float = Field(default=0.2, ge=0, lt=1)

    @model_validator(mode="after")
    def _leaves_training_patients(self) -> SimulationConfig:
        if self.validation_share + self.test_share >= 1:
            raise ValueError("validation_share and test_share leave no patients for training")
        return self

    @property
    def digest(self) -> str:
        """Short hash of all settings but the number of patients, which changes nobody's slide."""
        text = self.model_dump_json(exclude=set(UNHASHED))
        digest = hashlib.sha256(f"{SIMULATION_VERSION}{text}".encode())
        if self.pathways is not None and self.pathways.is_file():
            digest.update(self.pathways.read_bytes())
        return digest.hexdigest()[:16]
