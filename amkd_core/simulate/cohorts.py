"""Write a simulated cohort: slides with truth masks, expression, pathways and follow-up."""

from __future__ import annotations

import json
from collections.abc import Generator
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from pathlib import Path

import numpy as np

from amkd_core.atomic import atomic_path, write_text
from amkd_core.errors import RunFolderError
from amkd_core.progress import Progress
from amkd_core.simulate.biology import LOG_HAZARD, VISIBLE, Pathways, Patients, draw_patients, make_pathways
from amkd_core.simulate.config import SimulationConfig
from amkd_core.simulate.slides import SlideSpec, render_slide
from amkd_core.simulate.tissue_map import Look

PEN_SHARE = 0.2

README = """SYNTHETIC COHORT

Everything in this folder was simulated by AMKD Viewer (`amkd simulate`). No patient stands behind it, and no
figure measured on it says anything about a disease. simulation.json holds the settings; truth.csv and
truth/ hold what is known to be true: latent pathway activities, log hazards, and which tissue lies where.
"""

COHORT_TOML = """# Simulated cohort; everything in it is synthetic.
[cohort]
name = "simulated-{seed}"
synthetic = true
clinical = "clinical.csv"
slides = "slides"
expression = "expression.parquet"
pathways = "pathways.gmt"
encoder = "texture"
endpoint = "os"
"""


def patient_id(index: int) -> str:
    """Identifier of the patient with a zero-based number."""
    return f"SIM-{index + 1:04d}"


def slide_spec(config: SimulationConfig, patients: Patients, index: int) -> SlideSpec:
    """What to render for a patient; depends on no other patient."""
    proliferation, hypoxia, immune = (float(value) for value in patients.visible[index])
    pen = bool(np.random.default_rng([config.seed, 3, index]).random() < PEN_SHARE)
    look = Look(proliferation, hypoxia, immune)
    size_px = (config.width_px, config.height_px)
    return SlideSpec(size_px, config.mpp, look, (config.seed, 4, index), pen)


def simulate_cohort(config: SimulationConfig, out: Path, *, jobs: int = 1) -> Generator[Progress, None, Path]:
    """Write the cohort into a folder; slides that are there already are kept.

    Parameters
    ----------
    out
        The folder. One that holds a cohort of other settings is refused; more patients may be added.
    jobs
        Worker processes that render; the pixels do not depend on it.

    Yields
    ------
    Progress
        Slides rendered so far.

    Returns
    -------
    Path
        The cohort's ``cohort.toml``.

    Raises
    ------
    RunFolderError
        When the folder holds another simulation.
    """
    _claim(out, config)
    pathways = make_pathways(config)
    patients = draw_patients(config, pathways)
    _write_tables(out, config, pathways, patients)
    todo = [index for index in range(config.n_patients) if not _paths(out, index)[0].exists()]
    done = config.n_patients - len(todo)
    yield Progress("Rendering slides", done, config.n_patients)
    with ProcessPoolExecutor(max(1, jobs), mp_context=get_context("spawn")) as pool:
        futures = [
            pool.submit(render_slide, slide_spec(config, patients, index), *_paths(out, index))
            for index in todo
        ]
        try:
            for future in as_completed(futures):
                future.result()
                done += 1
                yield Progress("Rendering slides", done, config.n_patients)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return out / "cohort.toml"


def _paths(out: Path, index: int) -> tuple[Path, Path]:
    name = patient_id(index)
    return out / "slides" / f"{name}.tif", out / "truth" / f"{name}.png"


def _claim(out: Path, config: SimulationConfig) -> None:
    settings = out / "simulation.json"
    if settings.exists():
        try:
            found = json.loads(settings.read_text(encoding="utf-8")).get("digest")
        except json.JSONDecodeError:
            found = None
        if found != config.digest:
            raise RunFolderError(
                f"{out.name}: simulation.json says that this folder holds a cohort of other settings; "
                "choose another folder or remove this one"
            )
    write_text(settings, json.dumps({"digest": config.digest, **config.model_dump()}, indent=1))


def _splits(config: SimulationConfig, event: np.ndarray) -> np.ndarray:
    """Mark patients for training, validation and testing, stratified by event."""
    split = np.full(len(event), "train", dtype=object)
    rng = np.random.default_rng([config.seed, 5])
    for value in (True, False):
        members = rng.permutation(np.flatnonzero(event == value))
        n_test = round(config.test_share * len(members))
        n_validation = round(config.validation_share * len(members))
        split[members[:n_test]] = "test"
        split[members[n_test : n_test + n_validation]] = "validation"
    return split


def _write_tables(out: Path, config: SimulationConfig, pathways: Pathways, patients: Patients) -> None:
    import pandas as pd

    names = [patient_id(index) for index in range(config.n_patients)]
    rng = np.random.default_rng([config.seed, 6])
    # Age and stage are weakly prognostic, as in real cohorts.
    lean = (patients.log_hazard - patients.log_hazard.mean()) / max(float(patients.log_hazard.std()), 1e-9)
    age = np.clip(62 + 3 * lean + 9 * rng.normal(size=len(names)), 25, 92).round(1)
    stage = np.digitize(0.5 * lean + rng.normal(size=len(names)), [-0.6, 0.3, 1.3])
    clinical = pd.DataFrame(
        {
            "patient_id": names,
            "slide_ids": names,
            "os_months": patients.time.round(3),
            "os_event": patients.event.astype(int),
            "age_years": age,
            "ajcc_stage": [f"Stage {'I' * (value + 1) if value < 3 else 'IV'}" for value in stage],
            "split": _splits(config, patients.event),
        }
    )
    truth = pd.DataFrame(patients.activities[:, : len(LOG_HAZARD)].round(5), columns=list(LOG_HAZARD))
    truth.insert(0, "patient_id", names)
    truth.insert(1, "log_hazard", patients.log_hazard.round(5))
    for column, name in enumerate(VISIBLE):
        truth[f"shown_{name}"] = patients.visible[:, column].round(5)
    expression = pd.DataFrame(patients.expression.astype(np.float32), columns=list(pathways.genes))
    expression.insert(0, "patient_id", names)
    write_text(out / "clinical.csv", clinical.to_csv(index=False))
    write_text(out / "truth.csv", truth.to_csv(index=False))
    with atomic_path(out / "expression.parquet") as temporary:
        expression.to_parquet(temporary, index=False)
    write_text(out / "pathways.gmt", _gmt(pathways))
    write_text(out / "cohort.toml", COHORT_TOML.format(seed=config.seed))
    write_text(out / "README.md", README)


def _gmt(pathways: Pathways) -> str:
    lines = []
    for name, members in zip(pathways.names, pathways.membership, strict=True):
        genes = [gene for gene, member in zip(pathways.genes, members, strict=True) if member]
        lines.append("\t".join([name, "synthetic", *genes]))
    return "\n".join(lines) + "\n"
