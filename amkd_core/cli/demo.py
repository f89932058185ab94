"""`amkd demo`: the whole main job on the synthetic demo slide."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Annotated

import typer

from amkd_core.cli.terminal import drain, say, say_lines, user_errors
from amkd_core.cli.view import has_screen, has_viewer, viewer_command

WINDOW_TIMEOUT_S = 600
VIRTUAL_SCREEN = ("xvfb-run", "-a", "-s", "-screen 0 1600x1000x24")


def demo_command(
    out: Annotated[Path, typer.Option(help="Folder of the pictures and results.")] = Path("demo_output"),
    screenshot: Annotated[
        bool, typer.Option("--screenshot", help="Take a picture of the window and end, even with a screen.")
    ] = False,
) -> None:
    """Predict the demo slide, write all results, and show the window or take its picture (all SYNTHETIC)."""
    from amkd_core.cli.result_folders import WRITES
    from amkd_core.errors import FolderInUseError
    from amkd_core.folder_lock import hold_folder
    from amkd_core.inference.demo import demo_bundle_path

    with user_errors():
        # A script that pipes the demo's output waits for nobody to close a window.
        watched = has_viewer() and has_screen() and sys.stdout.isatty() and not screenshot
        with hold_folder(out, WRITES, FolderInUseError):
            slide_path = _predict(out)
            if not has_viewer():
                say("napari is not installed: wrote pictures only, no window.")
            elif not watched:
                _photograph(slide_path, out / "window.png")
        if watched:
            say("Opening the window; close it to end the demo.")
            viewer_command("view")(slide_path, demo_bundle_path())


def _predict(out: Path) -> Path:
    """Predict the demo slide and write what `amkd predict` writes; the slide's path."""
    from amkd_core.cli.predict import load_bundle, write_results
    from amkd_core.export.pictures import read_pictures
    from amkd_core.inference.bag_cache import user_bag_cache
    from amkd_core.inference.demo import demo_bundle_path, demo_expression_path, demo_slide_path
    from amkd_core.inference.expression import on_training_scale, read_genes
    from amkd_core.inference.predict import encode_for, predict_bag
    from amkd_core.slides.slide import open_slide

    bundle = load_bundle(demo_bundle_path())
    say("Demo slide (synthetic; drawn at first use) ...")
    slide_path = demo_slide_path()
    bag = drain(encode_for(slide_path, bundle, cache=user_bag_cache()))
    table = demo_expression_path()
    genes = on_training_scale(read_genes(table), bundle.card, name=table.name)
    prediction = predict_bag(bag, bundle, genes=genes)
    with open_slide(slide_path, isolated=True) as slide:
        write_results(out, prediction, read_pictures(slide, prediction))
    say(
        f"SYNTHETIC demo: risk {prediction.risk:.3f}, {prediction.group_text} group, higher than "
        f"{prediction.risk_percentile:.0f} % of {prediction.cohort.size} simulated training patients"
    )
    say(f"Results: {out}/prediction.json, {out}/heatmap.h5, {out}/heatmap.png")
    return slide_path


def _photograph(slide_path: Path, picture: Path) -> None:
    """Picture of the real window, in a process of its own; says why where there can be none."""
    command = [sys.executable, "-c", _PHOTOGRAPH, str(slide_path), str(picture)]
    if not has_screen():
        if shutil.which(VIRTUAL_SCREEN[0]) is None:
            say("No screen and no Xvfb (`make system` names the packages): wrote pictures only, no window.")
            return
        command = [*VIRTUAL_SCREEN, *command]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=WINDOW_TIMEOUT_S, check=False)
    except subprocess.TimeoutExpired:
        say(f"Error: the window did not finish within {WINDOW_TIMEOUT_S} s", err=True)
        raise typer.Exit(1) from None
    if done.returncode != 0 or not picture.exists():
        say_lines(f"Error: the window could not be opened:\n{done.stderr.strip()[-2000:]}", err=True)
        raise typer.Exit(1)
    say(f"Window: {picture}")


_PHOTOGRAPH = """
import sys
from amkd_core.cli.view import viewer_command
from amkd_core.inference.demo import demo_bundle_path
viewer_command("screenshot")(sys.argv[1], demo_bundle_path(), sys.argv[2])
"""
