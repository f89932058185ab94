"""`amkd predict`: a slide or a bag in, risk, map and pictures out."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from amkd_core.cli.idle_options import is_bag, refuse_idle
from amkd_core.cli.result_folders import hold_results, result_folders
from amkd_core.cli.sources import sources_in
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
from amkd_core.errors import ConfigError
from amkd_core.private_names import private_logger, remember_name
from amkd_core.progress import Progress

if TYPE_CHECKING:
    from amkd_core.bag_formats import BagAssumptions
    from amkd_core.bundle import Bundle
    from amkd_core.bundle_card import BundleCard
    from amkd_core.export.pictures import SlidePictures
    from amkd_core.inference.prediction import Prediction

EXPORTS = "export"
MOST_AHEAD = 100
"""Result folders that are held before the first slide is read; each costs an open file, of which systems allow few."""

_log = private_logger(__name__)


@dataclass(frozen=True)
class Request:
    """What to predict from, and how."""

    source: Path
    mpp: float | tuple[float, float] | None
    scene: int
    device: str
    weights: Path | None
    genes: dict[str, float] | None
    whose: str | None
    assume: BagAssumptions


@dataclass(frozen=True)
class Exports:
    """Whether what is passed on is written as well, and whether it names the slide."""

    wanted: bool
    identified: bool


def predict_command(
    given: Annotated[
        list[Path],
        typer.Argument(
            metavar="SOURCES...", help="Slides, feature bags (.h5, .pt), or folders of them.", readable=False
        ),
    ],
    out: Annotated[
        Path,
        typer.Option(
            help="Folder of the results; one folder a slide when there are several or a folder is given."
        ),
    ],
    bundle: Annotated[
        Path | None,
        typer.Option(help="Model bundle (.amkd); by default the settings', else the synthetic demo's."),
    ] = None,
    mpp: Annotated[Any, mpp_option("; overrules what the slide records, with a notice.")] = None,
    scene: Annotated[int, typer.Option(min=0, help="Which image of a file with several.")] = 0,
    expression: Annotated[
        Path | None, typer.Option(help="Expression table; the teacher predicts as well then.")
    ] = None,
    patient: Annotated[
        str | None, typer.Option(help="Patient in that table; the only one by default.")
    ] = None,
    weights: Annotated[Path | None, typer.Option(help="Weights of a foundation encoder.")] = None,
    device: DeviceOption = None,
    report: Annotated[
        bool, typer.Option("--report", help="Also what is passed on: report, GeoJSON, OME-TIFF, scores.")
    ] = False,
    identified: Annotated[
        bool, typer.Option("--identified", help="Name the slide in those files; a pseudonym by default.")
    ] = False,
    encoder: Annotated[str | None, typer.Option(help="What made a foreign bag.")] = None,
    bag_mpp: Annotated[float | None, typer.Option(help="Scale of a foreign bag's patches.")] = None,
    patch_size: Annotated[int | None, typer.Option(help="Side of a foreign bag's patches in px.")] = None,
    patch_size_level0: Annotated[int | None, typer.Option(help="The same in level-0 px.")] = None,
) -> None:
    """Predict survival risk without a window (research use only).

    Exit code 0: all predicted; 1: some failed and are listed; 2: wrong input, or none succeeded; 3: another run holds
    the folders of all results, which is told before any slide is read.
    """
    from amkd_core.hash_beside import told_of_bare
    from amkd_core.slides.encoders.weights import check_weights

    with user_errors():
        sources, from_folder = sources_in(given)
        folders = result_folders(sources, out, each=from_folder)
        refuse_idle(
            sources,
            {
                "--mpp": mpp, "--scene": scene, "--weights": weights, "--encoder": encoder, "--bag-mpp": bag_mpp,
                "--patch-size": patch_size, "--patch-size-level0": patch_size_level0, "--patient": patient,
                "--expression": expression, "--identified": identified, "--report": report,
            },
        )  # fmt: skip
        model = load_bundle(bundle)
        if weights is not None:  # which nobody would look at again where the slide's features are kept
            check_weights(model.card.encoder.name, weights)
        whose, genes = (
            (None, None) if expression is None else _genes_of(expression, patient, sources, model.card)
        )
        assume = _assumptions(encoder, bag_mpp, patch_size, patch_size_level0, _scale_of_bags(mpp, sources))
    exports = Exports(report, identified)
    requests = [
        Request(source, mpp, scene, chosen_device(device), weights, genes, whose, assume)
        for source in sources
    ]
    codes = _predict_all(requests, folders, model, exports)
    if expression is not None and 0 in codes and (note := told_of_bare([expression])):
        say(f"Note: {note}")
    if any(codes):
        raise typer.Exit(EXIT_PARTIAL if 0 in codes else min(codes))


def _predict_all(requests: list[Request], folders: list[Path], model: Bundle, exports: Exports) -> list[int]:
    """Predict what can be written; exit codes by request.

    The folders are held from before the first slide is read, so that a second run ends at once, to the end of the
    last, so that no other run's files come between theirs; those beyond the first hundred only in their turn.
    """
    codes = []
    with ExitStack() as held:
        ahead = [hold_results(folder, held) for folder in folders[:MOST_AHEAD]]
        for number, (request, folder) in enumerate(zip(requests, folders, strict=True)):
            with ExitStack() as own:
                code = ahead[number] if number < len(ahead) else hold_results(folder, own)
                place = f"{number + 1} of {len(requests)}"
                codes.append(code or _predicted(request, model, folder, exports, place))
    return codes


def _predicted(request: Request, model: Bundle, folder: Path, exports: Exports, place: str) -> int:
    """Predict one source and write its results into its folder, which is held; its exit code, its fault told."""
    from amkd_core.errors import AmkdError
    from amkd_core.slides import slide_id_of

    try:
        prediction, pictures = drain(predict_any(request, model))
        write_results(folder, prediction, pictures)
        if exports.wanted:
            write_exports(folder, prediction, pictures, identified=exports.identified)
        elif (folder / EXPORTS).is_dir():
            say(f"Note: {folder / EXPORTS} is of an earlier prediction; --report writes it anew.", err=True)
    except (AmkdError, OSError) as error:
        say(f"Error: {error}", err=True)
        return EXIT_WRONG_INPUT
    except Exception as error:  # a mistake of ours; one file of many must not cost the others their results
        if place == "1 of 1":
            raise
        remember_name(request.source, slide_id_of(request.source))
        _log.exception("file %s could not be predicted", place)
        say(
            f"Error: {request.source}: an unexpected {type(error).__name__} ended its prediction (details in the log), "
            "and the others go on; please report it",
            err=True,
        )
        return EXIT_WRONG_INPUT
    _report(prediction, folder, request.whose)
    return 0


def load_bundle(path: Path | None) -> Bundle:
    """Open a bundle, by default the one of the settings, else the demo's.

    Raises
    ------
    ConfigError
        When none is given and the settings cannot be read: they may name another model than the synthetic demo's.
    """
    from amkd_core.bundle_file import open_bundle
    from amkd_core.errors import ConfigError
    from amkd_core.inference.demo import demo_bundle_path
    from amkd_core.settings import read_settings

    if path is None:
        stored = read_settings()
        if stored.problem:
            raise ConfigError(f"{stored.problem} They may name a model; give --bundle until then.")
        path = stored.settings.bundle
    return open_bundle(path or demo_bundle_path())


def predict_any(
    request: Request, bundle: Bundle
) -> Generator[Progress, None, tuple[Prediction, SlidePictures | None]]:
    """Predict from a slide or a bag; of a slide its pictures come along."""
    from amkd_core.export.pictures import read_pictures
    from amkd_core.inference.record import with_patient_of_genes
    from amkd_core.slides.slide import open_slide

    prediction = yield from _prediction_of(request, bundle)
    if request.whose is not None:
        prediction = with_patient_of_genes(prediction, request.whose)
    if is_bag(request.source):
        return prediction, None
    with open_slide(request.source, mpp=request.mpp, scene=request.scene, isolated=True) as slide:
        return prediction, read_pictures(slide, prediction)


def _prediction_of(request: Request, bundle: Bundle) -> Generator[Progress, None, Prediction]:
    from amkd_core.bag_file import read_bag
    from amkd_core.inference.bag_cache import user_bag_cache
    from amkd_core.inference.predict import predict_bag, predict_slide

    if is_bag(request.source):
        yield Progress("Predicting", 0, 1)
        bag = read_bag(request.source, assume=request.assume)
        return predict_bag(bag, bundle, genes=request.genes, device=request.device)
    return (
        yield from predict_slide(
            request.source,
            bundle,
            mpp=request.mpp,
            scene=request.scene,
            genes=request.genes,
            weights=request.weights,
            device=request.device,
            cache=user_bag_cache(),
        )
    )


def write_results(folder: Path, prediction: Prediction, pictures: SlidePictures | None) -> None:
    """Write ``prediction.json``, ``heatmap.h5`` and ``heatmap.png`` into a folder."""
    from amkd_core.export.figures import write_figure
    from amkd_core.export.heatmap_file import write_heatmap
    from amkd_core.export.prediction_json import write_prediction_json

    # What refuses a map comes first: nothing of this slide shall stand beside another one's prediction.
    write_figure(folder / "heatmap.png", prediction, pictures)
    write_heatmap(folder / "heatmap.h5", prediction)
    write_prediction_json(folder / "prediction.json", prediction)


def write_exports(
    folder: Path, prediction: Prediction, pictures: SlidePictures | None, *, identified: bool
) -> None:
    """Write what is passed on into ``export/``: report, scores, and the map where there is one.

    Without one, a map that an earlier prediction left there is removed: it is of another slide, perhaps.
    """
    from amkd_core.export.geojson import write_geojson
    from amkd_core.export.ome_tiff import write_heatmap_tiff
    from amkd_core.export.prediction_report import write_report
    from amkd_core.export.scores import write_scores_csv

    target = folder / EXPORTS
    patches, tiff = target / "patches.geojson", target / "heatmap.ome.tif"
    if not prediction.has_map:
        patches.unlink(missing_ok=True)
        tiff.unlink(missing_ok=True)
    write_report(target / "report.html", prediction, pictures, identified=identified)
    write_report(target / "report.pdf", prediction, pictures, identified=identified)
    write_scores_csv(target / "scores.csv", prediction)
    if prediction.has_map:
        bounds_xy = prediction.bag.slide_bounds_xy if pictures is None else pictures.bounds_xy
        if bounds_xy is None:
            say(
                f"Note: the bag of {prediction.slide_id} does not record where the scanned area begins; in QuPath "
                f"{patches} is shifted if the slide has openslide.bounds-*; predict from the slide, or extract it "
                "again with --force.",
                err=True,
            )
        write_geojson(patches, prediction, bounds_xy=bounds_xy, identified=identified)
        write_heatmap_tiff(tiff, prediction, bounds_xy=bounds_xy, identified=identified)


def _scale_of_bags(mpp: float | tuple[float, float] | None, sources: list[Path]) -> float | None:
    """The scale of the slides of foreign bags, whose patches are squares of one scale."""
    if not isinstance(mpp, tuple):
        return mpp
    if bags := [source.name for source in sources if is_bag(source)]:
        raise ConfigError(
            f"--mpp gives {mpp[0]:g} and {mpp[1]:g} for x and y, but {bags[0]} is a feature bag, expected one number."
        )
    return None


def _assumptions(
    encoder: str | None,
    bag_mpp: float | None,
    patch_size: int | None,
    patch_size_level0: int | None,
    slide_mpp: float | None,
) -> BagAssumptions:
    from amkd_core.bag_formats import BagAssumptions
    from amkd_core.slides.encoders import stated_identity

    identity = None if encoder is None else stated_identity(encoder)
    return BagAssumptions(identity, bag_mpp, patch_size, patch_size_level0, slide_mpp)


def _genes_of(
    table: Path, patient: str | None, sources: list[Path], card: BundleCard
) -> tuple[str, dict[str, float]]:
    """Whose expression it is, and what the teacher reads of it; nobody's is taken for the slide's without a word."""
    from amkd_core.errors import AmkdError
    from amkd_core.inference.expression import on_training_scale, read_patient
    from amkd_core.inference.pathway_table import patient_of_slide
    from amkd_core.slides import slide_id_of

    if len(sources) > 1:
        raise AmkdError("expression is of one patient; predict one slide at a time with --expression")
    whose, read = read_patient(table, patient)
    if patient is None and patient_of_slide([whose], slide_id_of(sources[0])) is None:
        raise AmkdError(
            f"{table.name}: holds patient {whose}, whose name does not begin that of {sources[0].name}; if it is of "
            f"this patient nonetheless, say so with --patient {whose}"
        )
    return whose, on_training_scale(read, card, name=table.name)


def _report(prediction: Prediction, folder: Path, whose: str | None) -> None:
    say(
        f"{prediction.slide_id}: risk {prediction.risk:.3f}, {prediction.group_text} group, higher than "
        f"{prediction.risk_percentile:.0f} % of {prediction.cohort.size} training patients "
        f"({len(prediction.patch_scores)} patches)"
    )
    for notice in prediction.notices:
        who = f" It is of {whose}." if notice.code == "expression_patient" else ""
        say(f"  - {notice.sentence}{who}")
    say(f"  results: {folder}")
