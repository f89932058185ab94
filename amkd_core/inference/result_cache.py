"""Results that were computed before, so that a slide opened again shows its prediction at once."""

from __future__ import annotations

import hashlib
import json
import zipfile
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from amkd_core.atomic import atomic_path
from amkd_core.bag import FeatureBag
from amkd_core.bundle import Bundle
from amkd_core.inference.bag_cache import BagCache, slide_key, user_bag_cache
from amkd_core.inference.kept_files import NO_LIMIT, SUFFIXES, KeptFiles, user_folder, user_limit_bytes
from amkd_core.inference.predict import cohort_reference
from amkd_core.inference.prediction import (
    MemberPrediction,
    Prediction,
    SurvivalCurve,
    TeacherPrediction,
)
from amkd_core.inference.record import with_name_notice
from amkd_core.notices import Notice
from amkd_core.private_names import private_logger
from amkd_core.slides.grid import PatchSpec
from amkd_core.slides.info import SlideInfo

# What reading a damaged archive was seen to raise.
_DAMAGE = (OSError, ValueError, KeyError, TypeError, EOFError, RuntimeError, zipfile.BadZipFile)

# Grows where a release under way computes or says something else: what was kept before is not shown as its own.
_COMPUTED = 5

_log = private_logger(__name__)

Genes = Mapping[str, float]


class ResultCache:
    """Predictions by slide content and scale, bundle, expression and this release.

    Only what the model said is kept here; the patches' features are found in the cache of bags, and a result whose
    bag is gone counts as gone.

    Parameters
    ----------
    folder
        Where results are kept; None keeps nothing.
    bags : BagCache
        Where the features are.
    limit_bytes
        When more than this is kept, the results that were used longest ago go.
    """

    def __init__(self, folder: Path | None, bags: BagCache, *, limit_bytes: int = NO_LIMIT) -> None:
        self._kept = KeptFiles(folder, SUFFIXES["results"], limit_bytes=limit_bytes)
        self._bags = bags

    def __repr__(self) -> str:
        return f"ResultCache({self._kept.folder}, {len(self._kept)} results)"

    def find(self, info: SlideInfo, bundle: Bundle, *, genes: Genes | None = None) -> Prediction | None:
        """What predicting this slide would give again; None when it was not predicted, or its features are gone."""
        path = self._path(info, bundle, genes)
        if path is None or not self._kept.holds(path):
            return None
        spec = PatchSpec(bundle.card.patch_size_px, bundle.card.mpp)
        bag = self._bags.find(info, bundle.card.encoder.identity, spec)
        if bag is None:
            return None
        try:
            with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
                prediction = _read(arrays, bag, bundle)
            self._kept.touch(path)
        except _DAMAGE as error:
            _log.warning("A kept result cannot be used and is computed again: %s", error)
            return None
        return prediction

    def keep(
        self, prediction: Prediction, info: SlideInfo, bundle: Bundle, *, genes: Genes | None = None
    ) -> None:
        """Keep a prediction of the whole slide; a disk that is full or read-only is logged and costs nothing else.

        A prediction from a region, or of several slides, is not kept: it is computed from kept features.
        """
        path = self._path(info, bundle, genes)
        if path is None or "region" in prediction.provenance or prediction.bag.n_slides > 1:
            return
        if (genes is None) != (prediction.teacher is None):
            raise ValueError("the prediction and the expression it is kept under do not belong together")
        try:
            with atomic_path(path) as temporary:
                np.savez(temporary, **_arrays(prediction))  # type: ignore[arg-type]  # no array is named allow_pickle
            self._kept.prune()
        except OSError as error:
            _log.warning("The result of %s is not kept: %s", info.slide_id, error)

    def _path(self, info: SlideInfo, bundle: Bundle, genes: Genes | None) -> Path | None:
        if info.fingerprint is None or info.microns is None or not bundle.sha256:
            return None
        return self._kept.path_of(
            {
                **slide_key(info),
                "computed": _COMPUTED,
                "bundle": bundle.sha256,
                "genes": None if genes is None else _digest(genes, bundle),
            }
        )


def user_result_cache() -> ResultCache:
    """The cache of this user, beside the one of bags."""
    limit_bytes = user_limit_bytes("results")
    return ResultCache(user_folder("results"), user_bag_cache(), limit_bytes=limit_bytes)


def _digest(genes: Genes, bundle: Bundle) -> str:
    """Hash of what the teacher reads of the expression."""
    values = np.array([float(genes.get(name, np.nan)) for name in bundle.card.genes])
    return hashlib.sha256(values.tobytes()).hexdigest()


def _arrays(prediction: Prediction) -> dict[str, NDArray[Any]]:
    teacher = prediction.teacher
    record = {
        "risk": prediction.risk,
        "risk_percentile": prediction.risk_percentile,
        "risk_group": prediction.risk_group,
        "bin_edges_months": prediction.bin_edges_months,
        "members": [{**asdict(member), "hazards": member.hazards.tolist()} for member in prediction.members],
        "notices": [notice.to_dict() for notice in prediction.notices],
        "provenance": dict(prediction.provenance),
        "teacher_risk": None if teacher is None else teacher.risk,
    }
    arrays: dict[str, NDArray[Any]] = {
        "record": np.frombuffer(json.dumps(record).encode(), dtype=np.uint8),
        "member_risks": prediction.member_risks,
        "hazards": prediction.hazards,
        "survival": prediction.survival,
        "curve": np.stack([prediction.curve.time_months, prediction.curve.survival]),
        "patch_scores": prediction.patch_scores,
    }
    if teacher is not None:
        arrays["teacher_scores"] = teacher.patch_scores
        arrays["importance"] = teacher.pathway_importance
        arrays["coattention"] = teacher.coattention
        if teacher.pathway_additions is not None:
            arrays["additions"] = teacher.pathway_additions
    return arrays


def _read(arrays: Mapping[str, NDArray[Any]], bag: FeatureBag, bundle: Bundle) -> Prediction:
    record = json.loads(arrays["record"].tobytes())
    scores = arrays["patch_scores"]
    if scores.shape != (len(bag),):
        raise ValueError(f"{scores.shape} scores for {len(bag)} patches")
    return Prediction(
        slide_id=bag.slide_id,
        bag=bag,
        risk=record["risk"],
        risk_percentile=record["risk_percentile"],
        risk_group=record["risk_group"],
        member_risks=arrays["member_risks"],
        hazards=arrays["hazards"],
        survival=arrays["survival"],
        bin_edges_months=tuple(record["bin_edges_months"]),
        curve=SurvivalCurve(*arrays["curve"]),
        patch_scores=scores,
        cohort=cohort_reference(bundle),
        # Found by its content; the file may have another name by now.
        notices=with_name_notice(tuple(Notice(**notice) for notice in record["notices"]), bag.slide_id),
        provenance={
            **record["provenance"],
            "slide": {**record["provenance"]["slide"], "id": bag.slide_id},
        },
        teacher=_read_teacher(arrays, record, bundle),
        members=tuple(
            MemberPrediction(member["risk"], np.array(member["hazards"]), tuple(member["bin_edges_months"]))
            for member in record["members"]
        ),
    )


def _read_teacher(
    arrays: Mapping[str, NDArray[Any]], record: Mapping[str, Any], bundle: Bundle
) -> TeacherPrediction | None:
    if record["teacher_risk"] is None:
        return None
    return TeacherPrediction(
        risk=record["teacher_risk"],
        patch_scores=arrays["teacher_scores"],
        pathways=tuple(bundle.card.pathways),
        pathway_importance=arrays["importance"],
        coattention=arrays["coattention"],
        pathway_additions=arrays.get("additions"),
    )
