"""A folder of simulated bags for a real cohort: real patients, genes and follow-up, or a follow-up of our own."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Generator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from amkd_core.atomic import write_text
from amkd_core.bag import FeatureBag
from amkd_core.bag_file import write_bag
from amkd_core.cohort.cohort import Cohort
from amkd_core.cohort.columns import ClinicalKeys
from amkd_core.cohort.genes import ExpressionTable
from amkd_core.errors import RunFolderError
from amkd_core.progress import Progress
from amkd_core.simulate.bags import (
    BAG_SIMULATION_VERSION,
    BagSimulationConfig,
    SimulatedPatients,
    simulate_bag,
    simulate_patients,
)

README = """# SIMULATED BAGS

The features in this folder were drawn by AMKD Viewer (`amkd simulate-bags`); no slide stands behind them. What they
show depends on the patients' expression as docs/simulation.md says. {follow_up} Nothing measured here tells of a
disease.

- `cohort.toml`: for `amkd-train` and `amkd cohort`.
- `bags/`: one file a slide; `planted/`: which pattern each patch carries.
- `truth.csv`: true log hazard, what the slide shows, and the activities of the driver pathways.
- `simulation.json`: the settings; a folder of other ones is not gone on with.
"""
REAL, OWN = "Follow-up is the real one.", "Follow-up is simulated too."
# The name that `amkd simulate` uses, so that neither command takes the other's folder for its own.
SETTINGS_NAME = "simulation.json"
_WRITTEN = ("bags", "planted", "truth.csv", "README.md", "clinical.csv", "cohort.toml")


def simulate_bag_cohort(
    cohort: Cohort, out: Path, config: BagSimulationConfig, *, own_follow_up: bool = False
) -> Generator[Progress, None, Path]:
    """Write bags for the slides of a cohort, and a cohort file that uses them; bags that are there are kept.

    Parameters
    ----------
    cohort
        With expression and pathways; both decide what the bags show.
    out
        The folder. One that holds bags of other settings or of another cohort is refused.
    own_follow_up
        Replace the real follow-up by a simulated one whose truth is known; age, sex and stage stay the real ones.

    Returns
    -------
    Path
        Of the cohort file.

    Raises
    ------
    CohortError
        As `simulate_patients`.
    RunFolderError
        When the folder holds another simulation, or files of which nobody can tell what made them.
    """
    names = tuple(patient.patient_id for patient in cohort.patients)
    genes = cohort.expression.genes
    table = ExpressionTable(names, genes, cohort.expression.rows(names, genes))
    truth = simulate_patients(table, cohort.pathways, config)
    _claim(out, _record(cohort, table, config, own_follow_up=own_follow_up))
    (out / "bags").mkdir(parents=True, exist_ok=True)
    (out / "planted").mkdir(exist_ok=True)
    for index, patient in enumerate(cohort.patients):
        yield Progress("Drawing bags", index, len(names), patient.patient_id)
        missing = [slide for slide in patient.slide_ids if not (out / "bags" / f"{slide}.h5").exists()]
        if missing:
            bag, planted = simulate_bag(truth, index, config)
            _write_slides(bag, planted, patient.slide_ids, out)
    yield Progress("Drawing bags", len(names), len(names))
    _write_truth(truth, out)
    write_text(out / "README.md", README.format(follow_up=OWN if own_follow_up else REAL))
    return _write_cohort(cohort, truth, out, own_follow_up=own_follow_up)


def _record(
    cohort: Cohort, table: ExpressionTable, config: BagSimulationConfig, *, own_follow_up: bool
) -> dict[str, Any]:
    """All that decides the bags and the truth about them; JSON-able."""
    sets = [[item.name, *sorted(item.genes)] for item in cohort.pathways]
    slides = [[patient.patient_id, *patient.slide_ids] for patient in cohort.patients]
    digest = hashlib.sha256(json.dumps([slides, table.genes, sets]).encode())
    digest.update(np.ascontiguousarray(table.values).tobytes())
    return {
        "bag_simulation_version": BAG_SIMULATION_VERSION,
        **config.model_dump(mode="json"),
        "own_follow_up": own_follow_up,
        "cohort_sha256": digest.hexdigest(),
    }


def _claim(out: Path, record: dict[str, Any]) -> None:
    """Refuse a folder whose bags other settings drew, then record ours."""
    settings = out / SETTINGS_NAME
    if not settings.exists():
        there = next((name for name in _WRITTEN if _holds(out / name)), None)
        if there is not None:
            raise RunFolderError(
                f"{out}: holds {there} and no {SETTINGS_NAME} that tells which settings drew its bags, expected an "
                "empty folder or one of the same settings; choose another folder"
            )
        write_text(settings, json.dumps(record, indent=1))
        return
    try:
        found = json.loads(settings.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError):
        found = None
    if not isinstance(found, dict) or "bag_simulation_version" not in found:
        raise RunFolderError(
            f"{out}: its {SETTINGS_NAME} is damaged or of another command, expected that of simulated bags; choose "
            "another folder"
        )
    for key, value in record.items():
        if found.get(key) == value:
            continue
        other = f"{key} = {found.get(key)!r}, expected {value!r}"
        if key == "cohort_sha256":
            other = "other patients, slides, expression or pathways, expected those of this cohort"
        raise RunFolderError(
            f"{out}: {SETTINGS_NAME} says that its bags were drawn with {other}; choose another folder or remove "
            "this one"
        )


def _holds(path: Path) -> bool:
    return any(path.iterdir()) if path.is_dir() else path.exists()


def _write_slides(bag: FeatureBag, planted: np.ndarray, slides: tuple[str, ...], out: Path) -> None:
    """A patient's patches dealt out to the slides."""
    for place, slide in enumerate(slides):
        rows = slice(place, None, len(slides))
        if bag.coords is None:
            raise TypeError("a simulated bag has coordinates")
        part = replace(
            bag,
            features=bag.features[rows],
            coords=bag.coords[rows],
            slide_id=slide,
            slide_index=bag.slide_index[rows],
        )
        carried = "\n".join(map(str, planted[rows].tolist()))
        write_text(out / "planted" / f"{slide}.csv", f"pattern\n{carried}\n")
        write_bag(out / "bags" / f"{slide}.h5", part)


def _write_truth(truth: SimulatedPatients, out: Path) -> None:
    import pandas as pd

    frame = pd.DataFrame(
        {"patient_id": truth.patients, "log_hazard": truth.log_hazard, "shown": truth.slide_hazard}
    )
    for column, name in enumerate(truth.drivers):
        frame[name] = truth.activities[:, column]
    write_text(out / "truth.csv", frame.round(5).to_csv(index=False))


def _write_cohort(cohort: Cohort, truth: SimulatedPatients, out: Path, *, own_follow_up: bool) -> Path:
    stated = cohort.file.model_dump(mode="json", exclude_none=True, exclude_defaults=True)
    stated |= {"name": f"{cohort.file.name} with simulated bags", "synthetic": True, "encoder": "simulated"}
    stated |= {"bags": "bags"}  # beside the file, so that the folder may be moved
    stated.pop("slides", None)
    if own_follow_up:
        _write_clinical(cohort, truth, out / "clinical.csv")
        stated |= {
            "clinical": "clinical.csv",
            "event_means": "death",
            "endpoint": "os",
        }
        for key in (
            *(key for key in ClinicalKeys.model_fields if key.endswith("_column")),
            "time_unit",
            "group",
        ):
            stated.pop(key, None)
    path = out / "cohort.toml"
    # Strings, numbers and truths of JSON are written alike in TOML.
    lines = [f"{key} = {json.dumps(value)}" for key, value in stated.items()]
    write_text(path, "# SIMULATED bags; see README.md.\n[cohort]\n" + "\n".join(lines) + "\n")
    return path


def _write_clinical(cohort: Cohort, truth: SimulatedPatients, path: Path) -> None:
    """The simulated follow-up, with the real age, sex and stage where anybody's is known, under recognised names."""
    import pandas as pd

    patients = cohort.patients
    frame = pd.DataFrame(
        {
            "patient_id": truth.patients,
            "slide_ids": [";".join(patient.slide_ids) for patient in patients],
            "os_months": truth.time.round(3),
            "os_event": truth.event.astype(int),
            "age_years": [patient.age_years for patient in patients],
            "sex": [patient.sex or None for patient in patients],
            "ajcc_stage": pd.array([patient.stage for patient in patients], dtype="Int64"),
        }
    )
    write_text(path, frame.dropna(axis="columns", how="all").to_csv(index=False))
