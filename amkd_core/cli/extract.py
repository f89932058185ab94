"""`amkd extract`: slides to feature bags."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from amkd_core.cli.terminal import (
    EXIT_PARTIAL,
    EXIT_WRONG_INPUT,
    DeviceOption,
    chosen_device,
    drain,
    mpp_option,
    say,
    user_errors,
)
from amkd_core.slides import slide_id_of

if TYPE_CHECKING:
    from amkd_core.inference.extract import SlideOutcome


def extract_command(
    slides: Annotated[
        list[Path],
        typer.Argument(help="Slides, folders that are slides (DICOM), folders of slides.", readable=False),
    ],
    out: Annotated[Path, typer.Option(help="Folder of the bags; finished ones in it are skipped.")],
    encoder: Annotated[str, typer.Option(help="Patch encoder; `amkd doctor` lists them.")] = "texture",
    mpp: Annotated[Any, mpp_option(", where slides do not tell or contradict themselves.")] = None,
    mpp_table: Annotated[
        Path | None,
        typer.Option(
            help="CSV with the columns slide and mpp; overrules what those slides record, with a notice in the bag. "
            "A row that names no slide is refused where a slide has none."
        ),
    ] = None,
    scene: Annotated[int, typer.Option(min=0, help="Which image of files with several.")] = 0,
    weights: Annotated[Path | None, typer.Option(help="File or folder of the encoder's weights.")] = None,
    device: DeviceOption = None,
    jobs: Annotated[int, typer.Option(min=1, help="Slides at a time, each in a process of its own.")] = 1,
    half: Annotated[bool, typer.Option("--half", help="Store features as float16.")] = False,
    force: Annotated[
        bool,
        typer.Option(
            "--force",
            help="Extract again what is there already, other tools' and encoders' features included.",
        ),
    ] = False,
) -> None:
    """Find tissue, cut patches and encode them: one bag of features per slide.

    Exit code 0: all bags are there; 1: some slides failed and are listed; 2: wrong input, or none succeeded;
    3: another run is working in the folder.
    """
    from amkd_core.inference.extract import (
        ExtractSettings,
        SlideTask,
        bag_folder,
        extract_slides,
    )
    from amkd_core.inference.scale_table import read_scales
    from amkd_core.slides.encoders import card_of
    from amkd_core.slides.folders import expand_folders

    with user_errors():
        card_of(encoder)  # a wrong name is said before any process starts
        paths = expand_folders(slides)
        scales = {} if mpp_table is None else read_scales(mpp_table, paths)
        tasks = [SlideTask(path, scales.get(path), default_mpp=mpp, scene=scene) for path in paths]
        _refuse_missing_weights(encoder, weights)
        settings = ExtractSettings(
            encoder, weights, chosen_device(device), "float16" if half else "float32", force
        )
        with bag_folder(out):
            outcomes = drain(extract_slides(tasks, out, settings, jobs=jobs))
    failed = [outcome for outcome in outcomes if outcome.state == "failed"]
    for outcome in outcomes:
        if outcome.state != "failed":
            note = (
                _kept(out, outcome, half=half) if outcome.state == "skipped" else f"{outcome.seconds:.1f} s"
            )
            say(f"{outcome.path.name}: {outcome.n_patches} patches ({note})")
            if outcome.note:
                say(f"{outcome.path.name}: {outcome.note}", err=True)
    for outcome in failed:
        say(f"FAILED {outcome.path.name}: {outcome.reason}", err=True)
    say(f"{len(outcomes) - len(failed)} of {len(outcomes)} slides have a bag in {out}")
    if failed:
        raise typer.Exit(EXIT_PARTIAL if len(failed) < len(outcomes) else EXIT_WRONG_INPUT)


def _kept(out: Path, outcome: SlideOutcome, *, half: bool) -> str:
    """That a bag was kept; of features in float32 that were asked for in float16, that as well."""
    import h5py

    if not half:
        return "kept"
    with h5py.File(out / f"{slide_id_of(outcome.path)}.h5") as file:
        precision = str(file["features"].dtype)
    return (
        "kept" if precision == "float16" else f"kept, its features in {precision}; --force writes them anew"
    )


def _refuse_missing_weights(encoder: str, weights: Path | None) -> None:
    from amkd_core.slides.encoders.registry import card_of
    from amkd_core.slides.encoders.weights import find_weights, missing_weights

    card = card_of(encoder)
    if card.hub_id is not None and find_weights(encoder, weights) is None:
        raise missing_weights(card, weights)
