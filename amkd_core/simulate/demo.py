"""The demo slide: one simulated patient whom the demo model has never seen."""

from __future__ import annotations

from pathlib import Path

from amkd_core.atomic import write_text
from amkd_core.simulate.biology import draw_patient, make_pathways
from amkd_core.simulate.cohorts import slide_spec
from amkd_core.simulate.config import SimulationConfig
from amkd_core.simulate.slides import render_slide
from amkd_core.simulate.truth import is_current

# The demo model's cohort has this seed and fewer than 1,000 patients. This one, of another thousand, was chosen
# because every kind of region is large on the slide; it was never used to fit or to choose anything.
DEMO_SEED = 7
DEMO_PATIENT = 1118
DEMO_SIZE_PX = (8192, 6144)
SAMPLE_NAME = "synthetic-demo-patient"


def demo_config(*, seed: int = DEMO_SEED, size_px: tuple[int, int] = DEMO_SIZE_PX) -> SimulationConfig:
    """Settings of the simulation that the demo patient belongs to."""
    return SimulationConfig(n_patients=DEMO_PATIENT + 1, seed=seed, width_px=size_px[0], height_px=size_px[1])


def demo_patient(*, seed: int = DEMO_SEED) -> dict[str, float]:
    """Expression of the demo patient by gene, in log2 units: what the teacher needs beside the slide."""
    config = demo_config(seed=seed)
    pathways = make_pathways(config)
    expression = draw_patient(config, pathways, DEMO_PATIENT).expression[0]
    return {gene: float(value) for gene, value in zip(pathways.genes, expression, strict=True)}


def demo_slide(path: Path, *, seed: int = DEMO_SEED, size_px: tuple[int, int] = DEMO_SIZE_PX) -> Path:
    """Render the demo slide with a pen mark, and write the truth and the expression beside it; atomic.

    Beside ``demo.tif`` stand ``demo-truth.png``, ``demo-truth.json`` and ``demo-expression.csv`` (columns
    ``gene`` and ``synthetic-demo-patient``). What this version drew before is kept.

    Returns
    -------
    Path
        The slide.
    """
    path = Path(path)
    expression = path.with_name(f"{path.stem}-expression.csv")
    if not expression.exists():
        rows = [f"{gene},{value:.4f}" for gene, value in demo_patient(seed=seed).items()]
        write_text(expression, "\n".join([f"gene,{SAMPLE_NAME}", *rows]) + "\n")
    truth = path.with_name(f"{path.stem}-truth.png")
    if not (path.exists() and is_current(truth)):
        config = demo_config(seed=seed, size_px=size_px)
        patient = draw_patient(config, make_pathways(config), DEMO_PATIENT)
        spec = slide_spec(config, patient, DEMO_PATIENT, row=0, pen=True)
        render_slide(spec, path, truth)
    return path
