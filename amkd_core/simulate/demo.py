"""The demo slide: one simulated patient whom the demo model has never seen."""

from __future__ import annotations

from pathlib import Path

from amkd_core.atomic import atomic_path
from amkd_core.simulate.biology import draw_patients, make_pathways
from amkd_core.simulate.cohorts import slide_spec
from amkd_core.simulate.config import SimulationConfig
from amkd_core.simulate.slides import render_slide

DEMO_SLIDE_NAME = "synthetic-demo-slide.tif"
# The demo model's cohort has this seed; its patients have numbers below DEMO_PATIENT.
DEMO_SEED = 7
DEMO_PATIENT = 1003
DEMO_SIZE_PX = (8192, 6144)


def make_demo_slide(folder: Path) -> Path:
    """Render the demo slide into a folder, unless it is there already.

    Beside it stand its truth mask (``.png``, ``.json``) and the patient's expression (``-expression.csv``).

    Returns
    -------
    Path
        The slide.
    """
    path = folder / DEMO_SLIDE_NAME
    if path.exists():
        return path
    width, height = DEMO_SIZE_PX
    config = SimulationConfig(n_patients=DEMO_PATIENT + 1, seed=DEMO_SEED, width_px=width, height_px=height)
    pathways = make_pathways(config)
    patients = draw_patients(config, pathways)
    with atomic_path(folder / f"{path.stem}-expression.csv") as temporary:
        rows = [
            f"{gene},{value:.4f}" for gene, value in zip(pathways.genes, patients.expression[-1], strict=True)
        ]
        temporary.write_text("\n".join(["gene,synthetic-demo-slide", *rows]) + "\n", encoding="utf-8")
    render_slide(slide_spec(config, patients, DEMO_PATIENT), path, path.with_suffix(".png"))
    return path
