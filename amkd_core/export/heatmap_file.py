"""Scores of all patches as HDF5."""

from __future__ import annotations

import io
import json
from pathlib import Path

import h5py
import numpy as np

from amkd_core.atomic import write_bytes
from amkd_core.inference.maps import percentile_ranks
from amkd_core.inference.prediction import Prediction


def write_heatmap(path: Path, prediction: Prediction) -> None:
    """Write scores, percentiles and places of the patches, atomically.

    Datasets: ``scores`` (n,) weight times n, so that 1 is the mean; ``percentiles`` (n,) rank within the
    slide; ``coords`` (n, 2) level-0 (x, y) with the attribute ``patch_size_level0`` (width, height); the
    same of the teacher under ``teacher/`` when there is one, with ``teacher/pathways`` (n_pathways, n).
    """
    n_patches = len(prediction.patch_scores)
    # Into memory first: on a full disk the HDF5 library was seen to end the process.
    image = io.BytesIO()
    with h5py.File(image, "w") as file:
        file["scores"] = (prediction.patch_scores * n_patches).astype(np.float32)
        file["percentiles"] = percentile_ranks(prediction.patch_scores).astype(np.float32)
        if prediction.bag.coords is not None:
            dataset = file.create_dataset("coords", data=prediction.bag.coords)
            if prediction.bag.patch_size_level0 is not None:
                dataset.attrs["patch_size_level0"] = prediction.bag.patch_size_level0
        if prediction.teacher is not None:
            group = file.create_group("teacher")
            group["scores"] = (prediction.teacher.patch_scores * n_patches).astype(np.float32)
            group["pathways"] = prediction.teacher.coattention
            group.attrs["pathway_names"] = json.dumps(prediction.teacher.pathways)
        file.attrs["slide_id"] = prediction.slide_id
        file.attrs["provenance"] = json.dumps(prediction.provenance)
        file.attrs["notices"] = json.dumps([notice.to_dict() for notice in prediction.notices])
    write_bytes(path, image.getvalue())
