"""What the session does in its thread: one slide, several of a patient, a region, a queue; generators of progress."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import replace
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from amkd_core.errors import (
    AmkdError,
    BundleMismatchError,
    MissingMicronsError,
    RegionError,
    SlideError,
)
from amkd_core.private_names import private_logger
from amkd_core.progress import Progress
from amkd_viewer.events import (
    PatientRequest,
    PredictionRequest,
    QueueRequest,
    QueueRow,
    RegionRequest,
    Request,
)
from amkd_viewer.wording import QUEUE_NO_SCALE, no_scale_text

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from amkd_core.bag import FeatureBag
    from amkd_core.bundle import Bundle
    from amkd_core.inference.prediction import Prediction
    from amkd_core.slides import SlideInfo

_log = private_logger(__name__)

T = TypeVar("T")
Steps = Generator[Progress | QueueRow, None, "Prediction | dict[str, Prediction] | None"]


def run_job(request: Request, bundle: Bundle) -> Steps:
    """Do what is requested; closing the generator cancels.

    Returns
    -------
    A prediction, or several by the fingerprint of their slide, or None where rows were yielded instead.

    Raises
    ------
    AmkdError
        One sentence.
    """
    match request:
        case PredictionRequest():
            return (yield from predict_one(request, bundle))
        case PatientRequest():
            return (yield from _predict_together(request, bundle))
        case RegionRequest():
            return (yield from _predict_part(request, bundle))
        case QueueRequest():
            yield from _predict_queue(request, bundle)
            return None


def has_kept_results() -> bool:
    """Whether any result was ever kept here; imports no torch."""
    from amkd_core.inference.kept_files import user_folder

    folder = user_folder("results")
    try:
        return folder is not None and folder.is_dir() and any(folder.iterdir())
    except OSError:  # a folder that this user may not look into
        return False


def recall(request: PredictionRequest, bundle: Bundle) -> Prediction | None:
    """The kept result of a slide, or None.

    Raises
    ------
    SlideError
        If the slide's file is not the one that was opened.
    """
    from amkd_core.inference.result_cache import user_result_cache

    info = _info_of(request)
    found = None if info is None else user_result_cache().find(info, bundle, genes=_genes_of(request, bundle))
    if found is None:
        return None
    _refuse_changed(request)
    return _named(found, request)


def predict_one(request: PredictionRequest, bundle: Bundle) -> Generator[Progress, None, Prediction]:
    """Find the kept result of a slide, or compute and keep it."""
    from amkd_core.inference.bag_cache import user_bag_cache
    from amkd_core.inference.predict import predict_slide
    from amkd_core.inference.result_cache import user_result_cache

    kept = recall(request, bundle)
    if kept is not None:
        yield Progress("Found in the cache", 1, 1)
        return kept
    genes, info = _genes_of(request, bundle), _info_of(request)
    prediction = yield from predict_slide(
        request.slide_path,
        bundle,
        mpp=request.mpp,
        scene=request.scene,
        genes=genes,
        device=request.device,
        cache=user_bag_cache(),
    )
    if info is not None and prediction.bag.slide_fingerprint == info.fingerprint:
        user_result_cache().keep(prediction, info, bundle, genes=genes)
    return _named(prediction, request)


def _predict_together(
    request: PatientRequest, bundle: Bundle
) -> Generator[Progress, None, dict[str, Prediction]]:
    """Each slide's part of the patient's prediction, by fingerprint."""
    from amkd_core.inference.patient import on_slide, predict_patient
    from amkd_core.inference.region import predict_patient_regions

    bags = []
    wholes = request.wholes or (None,) * len(request.slides)
    for place, (slide, whole) in enumerate(zip(request.slides, wholes, strict=True)):
        steps = _bag_of(slide, whole, bundle)
        bags.append((yield from _numbered(steps, f"Slide {place + 1} of {len(request.slides)}: ")))
    yield Progress("Predicting", 0, 1)
    name, genes, device = request.patient_id, _genes_of(request.slides[0], bundle), request.slides[0].device
    parts: Sequence[Prediction]
    if request.polygons:
        parts = predict_patient_regions(
            bags,
            bundle,
            request.polygons,
            patient_id=name,
            exclude=request.exclude,
            genes=genes,
            device=device,
        )
    else:
        together = predict_patient(bags, bundle, patient_id=name, genes=genes, device=device)
        parts = [on_slide(together, bag, place) for place, bag in enumerate(bags)]
    return {slide.fingerprint: _named(part, slide) for slide, part in zip(request.slides, parts, strict=True)}


def _bag_of(
    slide: PredictionRequest, whole: Prediction | None, bundle: Bundle
) -> Generator[Progress, None, FeatureBag]:
    """All tissue of a slide: of a prediction that is there, of the cache, or encoded now."""
    if whole is not None and _is_usable(whole.bag, slide, bundle):
        _refuse_changed(slide)
        return whole.bag
    from amkd_core.inference.bag_cache import user_bag_cache
    from amkd_core.inference.predict import encode_for

    bag = yield from encode_for(
        slide.slide_path,
        bundle,
        mpp=slide.mpp,
        scene=slide.scene,
        device=slide.device,
        cache=user_bag_cache(),
    )
    if bag.slide_fingerprint != slide.fingerprint:
        raise _changed(slide)
    return bag


def _refuse_changed(slide: PredictionRequest) -> None:
    """Hold what was kept or computed before against the file as it is now, which nothing else of it reads."""
    from amkd_core.slides.opening import fingerprint_of

    if fingerprint_of(slide.slide_path) != slide.fingerprint:
        raise _changed(slide)


def _changed(slide: PredictionRequest) -> SlideError:
    return SlideError(
        f"{slide.slide_path} has changed since it was opened here; open it again and predict then."
    )


def _is_usable(bag: FeatureBag, slide: PredictionRequest, bundle: Bundle) -> bool:
    """Whether these features are the model's, at the scale that holds for the slide now."""
    try:
        bundle.check_bag(bag)
    except BundleMismatchError:
        return False
    return slide.mpp is None or bag.slide_mpp == slide.mpp


def _predict_part(request: RegionRequest, bundle: Bundle) -> Generator[Progress, None, Prediction]:
    from amkd_core.inference.region import predict_region

    if not _is_usable(request.prediction.bag, request.slide, bundle):
        raise RegionError(
            f"{request.prediction.slide_id}: the features at hand are of another model or scale; predict the whole "
            "slide first"
        )
    yield Progress("Predicting from the region", 0, 1)
    _refuse_changed(request.slide)
    found = predict_region(
        request.prediction,
        bundle,
        list(request.polygons),
        exclude=request.exclude,
        genes=_genes_of(request.slide, bundle),
        device=request.slide.device,
    )
    return _named(found, request.slide)


def _predict_queue(request: QueueRequest, bundle: Bundle) -> Generator[Progress | QueueRow, None, None]:
    from amkd_core.slides import open_slide

    for index, path in enumerate(request.paths):
        try:
            with open_slide(path, isolated=True) as slide:
                info = slide.info
            mpp = _scale_in_queue(request, path, info)
            one = PredictionRequest(
                path, info.fingerprint, request.bundle_path, mpp=mpp, device=request.device, info=info
            )
            steps = predict_one(one, bundle)
            prediction = yield from _numbered(steps, f"{index + 1} of {len(request.paths)}, {path.name}: ")
            yield QueueRow(index, _slim(prediction))
        except AmkdError as error:
            yield QueueRow(index, None, str(error))
        except Exception as error:  # noqa: BLE001 (a fault with one slide, torch's memory among them, costs that slide)
            _log.exception("slide %d of the folder failed", index + 1)
            yield QueueRow(
                index,
                None,
                f"{path.name}: a fault in AMKD Viewer ({type(error).__name__}); the log says more",
            )


def _scale_in_queue(request: QueueRequest, path: Path, info: SlideInfo) -> tuple[float, float] | None:
    """The scale that the user gave for the queue, where the slide does not tell its own."""
    if info.microns is not None:
        return None
    if request.mpp is None:
        raise MissingMicronsError(QUEUE_NO_SCALE.format(slide=path.name, why=no_scale_text(info)))
    return request.mpp, request.mpp


def _numbered(steps: Generator[Progress, None, T], before: str) -> Generator[Progress, None, T]:
    """The same steps, saying which slide they are about."""
    try:
        while True:
            step = next(steps)
            yield Progress(before + step.stage, step.done, step.total)
    except StopIteration as end:
        value: T = end.value
        return value
    finally:
        steps.close()


def _slim(prediction: Prediction) -> Prediction:
    """A prediction without the patches' features and pathways' maps: a queue may hold a thousand."""
    first = np.zeros(len(prediction.bag), dtype=np.bool_)
    first[0] = True
    return replace(prediction, bag=prediction.bag.subset(first), teacher=None)


def _genes_of(request: PredictionRequest, bundle: Bundle) -> Mapping[str, float] | None:
    """Expression as the bundle's teacher reads it."""
    from amkd_core.inference.expression import on_training_scale

    found = request.expression
    return None if found is None else on_training_scale(found.genes, bundle.card, name=found.path.name)


def _named(prediction: Prediction, request: PredictionRequest) -> Prediction:
    """The prediction with whose expression it was made from in its record."""
    from amkd_core.inference.record import with_patient_of_genes

    found = request.expression
    return prediction if found is None else with_patient_of_genes(prediction, found.patient)


def _info_of(request: PredictionRequest) -> SlideInfo | None:
    """Facts of the slide with the scale that the user gave."""
    if request.info is None or request.mpp is None:
        return request.info
    from amkd_core.slides import Microns

    return replace(request.info, microns=Microns(*request.mpp, "user"))
