"""The one path from a bag, or a slide, to a prediction; tables and screen both come off it."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray

from amkd_core.bag import FeatureBag
from amkd_core.bundle import Bundle
from amkd_core.bundle_words import headline, subgroup_line
from amkd_core.errors import AmkdError
from amkd_core.inference.forward import check_device, normalised, or_on_processor, run_model
from amkd_core.inference.members import MemberReading, mean_curve, mean_in_bins
from amkd_core.inference.prediction import CohortReference, Prediction, RiskGroup
from amkd_core.inference.record import notices_of, provenance_of
from amkd_core.inference.teacher import expression_notices, predict_teacher
from amkd_core.models import ModelInput, ModelOutput
from amkd_core.notices import Notice
from amkd_core.progress import Progress

if TYPE_CHECKING:
    from amkd_core.inference.bag_cache import BagCache
    from amkd_core.slides.encoders.registry import PatchEncoder

Array = NDArray[np.float64]


def predict_bag(
    bag: FeatureBag, bundle: Bundle, *, genes: Mapping[str, float] | None = None, device: str = "cpu"
) -> Prediction:
    """Predict survival from a bag.

    Parameters
    ----------
    bag : FeatureBag
        Of one patient, made by the bundle's encoder at its scale.
    bundle : Bundle
    genes : mapping of float, optional
        The tumour's log-scale expression by gene symbol; the teacher predicts as well then.
    device : str
        As torch names it.

    Returns
    -------
    Prediction

    Raises
    ------
    BundleMismatchError
        When the bag was made with another encoder, patch size or scale.
    ModalityError
        When expression is given to a bundle without a teacher, or covers too few of its genes.
    ConfigError
        When this machine has no such device.

    Notes
    -----
    Where the memory of a GPU does not hold the patches, the processor predicts, and a notice says so.
    """
    check_device(device)
    bundle.check_bag(bag)
    prediction, moved = or_on_processor(lambda where: _predict(bag, bundle, genes, where), device)
    if not moved:
        return prediction
    return replace(prediction, notices=(*prediction.notices, _on_processor(device)))


def _on_processor(device: str) -> Notice:
    return Notice(
        "on_processor",
        f"The memory of {device} did not hold the slide's patches; the processor computed this instead.",
    )


def _predict(bag: FeatureBag, bundle: Bundle, genes: Mapping[str, float] | None, device: str) -> Prediction:
    patches = torch.from_numpy(np.ascontiguousarray(bag.features))
    outputs = [
        run_model(member.student, ModelInput(patches, (len(bag),)), device) for member in bundle.members
    ]
    readings = [
        MemberReading.of(member, output) for member, output in zip(bundle.members, outputs, strict=True)
    ]
    risks = np.array([reading.risk for reading in readings])
    curve = mean_curve(readings, bundle.kaplan_meier["all"])
    hazards, survival = mean_in_bins(readings, curve)
    percentiles = [
        _percentile(value, member.training_risks) for value, member in zip(risks, bundle.members, strict=True)
    ]
    above = np.mean([value > member.risk_cut for value, member in zip(risks, bundle.members, strict=True)])
    group: RiskGroup = "high" if above >= 0.5 else "low"
    teacher = None if genes is None else predict_teacher(patches, bundle, genes, device)
    of_genes = () if genes is None else expression_notices(bundle, genes)
    return Prediction(
        slide_id=bag.slide_id,
        bag=bag,
        risk=float(risks.mean()),
        risk_percentile=float(np.mean(percentiles)),
        risk_group=group,
        member_risks=risks,
        hazards=hazards,
        survival=survival,
        bin_edges_months=tuple(bundle.members[0].time_bins.to_list()),
        curve=curve,
        patch_scores=normalised(_mean([_attention(output) for output in outputs])),
        cohort=cohort_reference(bundle),
        notices=(*notices_of(bag, bundle), *of_genes),
        provenance=provenance_of(bag, bundle, genes, device),
        teacher=teacher,
        members=tuple(reading.prediction for reading in readings),
    )


def predict_slide(
    path: Path | str,
    bundle: Bundle,
    *,
    encoder: PatchEncoder | None = None,
    mpp: float | tuple[float, float] | None = None,
    scene: int = 0,
    genes: Mapping[str, float] | None = None,
    weights: Path | None = None,
    device: str = "cpu",
    workers: int = 2,
    isolated: bool = True,
    cache: BagCache | None = None,
) -> Generator[Progress, None, Prediction]:
    """Open a slide, encode its tissue and predict; closing the generator cancels.

    Parameters
    ----------
    path
        A slide file, or a folder that is one.
    bundle : Bundle
    encoder : PatchEncoder, optional
        An encoder that is loaded already; by default the bundle's is loaded.
    mpp
        Micrometres per level-0 pixel, where the slide does not tell or tells wrong.
    scene : int
        Which image of a file with several.
    genes, device
        As for `predict_bag`.
    weights : Path, optional
        File or folder of the encoder's weights.
    workers : int
        Reading threads.
    isolated : bool
        Read the slide in a process of its own, so that a crash of a native reader costs one sentence.
    cache : BagCache, optional
        Where a slide that was encoded before is found again; by default every slide is encoded.

    Yields
    ------
    Progress

    Returns
    -------
    Prediction

    Raises
    ------
    AmkdError
        One sentence on what is wrong with the slide, its scale, its tissue, the encoder or the bundle.
    """
    bag = yield from encode_for(
        path, bundle, encoder=encoder, mpp=mpp, scene=scene, weights=weights, device=device, workers=workers,
        isolated=isolated, cache=cache,
    )  # fmt: skip
    yield Progress("Predicting", 0, 1)
    prediction = predict_bag(bag, bundle, genes=genes, device=device)
    yield Progress("Predicting", 1, 1)
    return prediction


def encode_for(
    path: Path | str,
    bundle: Bundle,
    *,
    encoder: PatchEncoder | None = None,
    mpp: float | tuple[float, float] | None = None,
    scene: int = 0,
    weights: Path | None = None,
    device: str = "cpu",
    workers: int = 2,
    isolated: bool = True,
    cache: BagCache | None = None,
) -> Generator[Progress, None, FeatureBag]:
    """Bag of a slide, made as the bundle needs it or found in the cache; parameters as for `predict_slide`."""
    from amkd_core.inference.encoder_check import check_running_encoder
    from amkd_core.slides.encoders import encode_slide, load_encoder
    from amkd_core.slides.grid import PatchSpec
    from amkd_core.slides.slide import open_slide

    check_device(device)
    yield Progress("Opening slide")
    spec, identity = PatchSpec(bundle.card.patch_size_px, bundle.card.mpp), bundle.card.encoder.identity
    with open_slide(path, mpp=mpp, scene=scene, isolated=isolated) as slide:
        kept = None if cache is None else cache.find(slide.info, identity, spec)
        if kept is not None:
            return kept
        if encoder is None:
            yield Progress("Loading encoder")
            encoder = load_encoder(bundle.card.encoder.name, weights=weights, device=device)
        check_running_encoder(encoder, bundle, slide.info.slide_id)
        bag = yield from encode_slide(slide, encoder, spec=spec, workers=workers)
        if cache is not None:
            cache.keep(bag, slide.info, identity, spec)
        return bag


def _mean(tensors: list[torch.Tensor]) -> Array:
    mean: Array = np.mean([tensor.cpu().double().numpy() for tensor in tensors], axis=0)
    return mean


def _attention(output: ModelOutput) -> torch.Tensor:
    if output.patch_attention is None:
        raise AmkdError("this model gives no patch weights, so no map can be drawn")
    return output.patch_attention


def _percentile(value: float, risks: Array) -> float:
    below = np.searchsorted(risks, value, side="left")
    not_above = np.searchsorted(risks, value, side="right")
    return float(50 * (below + not_above) / len(risks))


def cohort_reference(bundle: Bundle) -> CohortReference:
    """What a bundle tells of its training cohort."""
    return CohortReference(
        risks=np.sort(np.concatenate([member.training_risks for member in bundle.members])),
        risk_cut=float(np.mean([member.risk_cut for member in bundle.members])),
        size=bundle.card.cohort_size,
        events=bundle.card.cohort_events,
        endpoint=bundle.card.endpoint,
        kaplan_meier=bundle.kaplan_meier,
        pathway_attention=bundle.pathway_attention,
        pathway_effects=bundle.pathway_effects,
        measured=headline(bundle.card),
        subgroups=subgroup_line(bundle.card),
    )
