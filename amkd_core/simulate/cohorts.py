"""Write a simulated cohort: slides with truth masks, expression, pathways and follow-up."""

from __future__ import annotations

import json
import signal
from collections.abc import Generator
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np

from amkd_core.atomic import write_text
from amkd_core.errors import RunFolderError
from amkd_core.owner import end_with_owner
from amkd_core.progress import Progress
from amkd_core.simulate.biology import Patients, draw_patients, make_pathways
from amkd_core.simulate.config import UNHASHED, SimulationConfig
from amkd_core.simulate.slides import SlideSpec, render_slide
from amkd_core.simulate.tables import patient_id, write_tables, write_truth_table
from amkd_core.simulate.tissue_map import Look
from amkd_core.simulate.truth import is_current

PEN_SHARE = 0.2
SETTINGS_NAME = "simulation.json"


def slide_spec(
    config: SimulationConfig,
    patients: Patients,
    index: int,
    *,
    row: int | None = None,
    pen: bool | None = None,
) -> SlideSpec:
    """What to render for a patient; depends on no other patient.

    Parameters
    ----------
    index
        The patient's number.
    row
        Where the patient stands in `patients`, when that is not its number.
    pen
        Whether there is a pen mark; drawn for a fifth of the patients when not given.
    """
    proliferation, hypoxia, immune = (
        float(value) for value in patients.visible[index if row is None else row]
    )
    if pen is None:
        pen = bool(np.random.default_rng([config.seed, 3, index]).random() < PEN_SHARE)
    look = Look(proliferation, hypoxia, immune)
    size_px = (config.width_px, config.height_px)
    return SlideSpec(size_px, config.mpp, look, (config.seed, 4, index), pen)


def simulate_cohort(config: SimulationConfig, out: Path, *, jobs: int = 1) -> Generator[Progress, None, Path]:
    """Write the cohort into a folder; slides that are there already are kept.

    Parameters
    ----------
    out
        The folder. One that holds a cohort of other settings, or of more patients, is refused; patients may be added.
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
        When the folder holds another simulation or more patients of this one, or files that are none.
    """
    out = Path(out)
    pathways = make_pathways(config)
    _claim(out, config)
    patients = draw_patients(config, pathways)
    write_tables(out, config, pathways, patients)
    yield from _render(config, patients, out, jobs)
    truths = [_paths(out, index)[1] for index in range(config.n_patients)]
    write_truth_table(out, pathways, patients, truths)
    return out / "cohort.toml"


def _render(config: SimulationConfig, patients: Patients, out: Path, jobs: int) -> Generator[Progress]:
    todo = [index for index in range(config.n_patients) if not _is_done(out, index)]
    done = config.n_patients - len(todo)
    yield Progress("Rendering slides", done, config.n_patients)
    if not todo:
        return
    n_workers = max(1, min(jobs, len(todo)))
    with ProcessPoolExecutor(n_workers, mp_context=get_context("spawn"), initializer=_begin_worker) as pool:
        futures = {
            pool.submit(render_slide, slide_spec(config, patients, index), *_paths(out, index)): index
            for index in todo
        }
        try:
            for future in as_completed(futures):
                future.result()
                done += 1
                yield Progress("Rendering slides", done, config.n_patients, patient_id(futures[future]))
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _begin_worker() -> None:
    # Ctrl-C reaches the whole process group; the owner decides what becomes of its children.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    end_with_owner()


def _paths(out: Path, index: int) -> tuple[Path, Path]:
    name = patient_id(index)
    return out / "slides" / f"{name}.tif", out / "truth" / f"{name}.png"


def _is_done(out: Path, index: int) -> bool:
    # The truth is written first and the slide last, both whole or not at all.
    slide, truth = _paths(out, index)
    return slide.exists() and is_current(truth)


def _claim(out: Path, config: SimulationConfig) -> None:
    """Refuse a folder whose slides other settings rendered, then record ours."""
    settings, asked = out / SETTINGS_NAME, config.model_dump(mode="json")
    if settings.exists():
        try:
            found = dict(json.loads(settings.read_text(encoding="utf-8")))
        except (ValueError, TypeError):
            found = {}
        if found.get("digest") != config.digest:
            raise RunFolderError(
                f"{out}: {SETTINGS_NAME} says that this folder holds a cohort of other settings "
                f"({_differing(found, asked)}); choose another folder or remove this one"
            )
        if found.get("n_patients", 0) > config.n_patients:
            raise RunFolderError(
                f"{out}: holds {found['n_patients']} patients, but {config.n_patients} were asked for, and the tables "
                "would lose the others; ask for as many or more, or choose another folder"
            )
    elif (out / "clinical.csv").exists() or (out / "slides").exists():
        raise RunFolderError(
            f"{out}: holds a cohort that was not simulated here (there is no {SETTINGS_NAME}); choose another folder"
        )
    write_text(settings, json.dumps({"digest": config.digest, **asked}, indent=1))


def _differing(found: dict[str, Any], asked: dict[str, Any]) -> str:
    """Which settings of a folder are not those asked for, in words."""
    differ = [
        f"{name} {found[name]} there, {value} asked for"
        for name, value in asked.items()
        if name not in UNHASHED and name in found and found[name] != value
    ]
    return ", ".join(differ) or "of other pathways, of another version, or damaged"
