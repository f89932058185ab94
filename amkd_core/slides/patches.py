"""From a grid of patches to pixels, by threads that read ahead of their use."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Generator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from amkd_core.errors import SlideReadError
from amkd_core.slides.grid import PatchGrid, PatchSpec, lay_patches
from amkd_core.slides.scaling import scale_patch

if TYPE_CHECKING:
    from amkd_core.slides.slide import Slide

__all__ = ["PatchBatch", "PatchGrid", "PatchSpec", "lay_patches", "read_patches", "scale_patch"]


@dataclass(frozen=True)
class PatchBatch:
    """Consecutive patches of a grid.

    Parameters
    ----------
    start
        Index of the first one in the grid.
    images
        RGB, uint8 (b, size_px, size_px, 3); an unreadable patch is white.
    valid
        False where the patch could not be read, (b,).
    """

    start: int
    images: NDArray[np.uint8]
    valid: NDArray[np.bool_]


def read_patches(
    slide: Slide,
    grid: PatchGrid,
    *,
    batch_size: int = 64,
    workers: int = 2,
    first: int = 0,
    missing: NDArray[np.bool_] | None = None,
) -> Generator[PatchBatch, None, None]:
    """Read the patches of a grid in order, ahead of their use, by worker threads.

    At most ``workers + 1`` batches are read ahead; `scale_patch` tells how patches are scaled down.
    Closing the iterator stops the workers before their next patch.

    Parameters
    ----------
    slide
        The open slide; reads must be thread-safe.
    grid
        Its patches.
    batch_size
        Patches per batch.
    workers
        Reading threads.
    first
        Index of the patch to begin with.
    missing
        True for patches that the file has no pixels of, (n,): they are not read.

    Yields
    ------
    PatchBatch
        Consecutive batches. A patch that raises `SlideReadError`, or is missing, is white and not valid.
    """
    if batch_size < 1 or workers < 1:
        raise ValueError(f"batch_size and workers must be at least 1, got {batch_size} and {workers}")
    return _read_ahead(slide, grid, range(first, len(grid), batch_size), workers, missing)


def _read_ahead(
    slide: Slide, grid: PatchGrid, batches: range, workers: int, missing: NDArray[np.bool_] | None
) -> Generator[PatchBatch, None, None]:
    stop = threading.Event()
    starts = iter(batches)
    pending: deque[Future[PatchBatch]] = deque()
    pool = ThreadPoolExecutor(workers, thread_name_prefix="amkd-patches")

    def submit() -> None:
        start = next(starts, None)
        if start is not None:
            stopped = min(start + batches.step, len(grid))
            indices = range(start, stopped)
            pending.append(pool.submit(_read_batch, slide, grid, indices, stop, missing))

    try:
        for _ in range(workers + 1):
            submit()
        while pending:
            batch = pending.popleft().result()
            submit()
            yield batch
    finally:
        stop.set()
        pool.shutdown(wait=True, cancel_futures=True)


def _read_batch(
    slide: Slide,
    grid: PatchGrid,
    indices: range,
    stop: threading.Event,
    missing: NDArray[np.bool_] | None = None,
) -> PatchBatch:
    side = grid.spec.size_px
    images = np.full((len(indices), side, side, 3), 255, dtype=np.uint8)
    valid = np.zeros(len(indices), dtype=bool)
    for place, index in enumerate(indices):
        if stop.is_set():
            break
        if missing is not None and missing[index]:
            continue
        x, y = grid.xy_level0[index]
        try:
            image = slide.read_patch((int(x), int(y)), grid.read_level, grid.read_size_px, side)
        except SlideReadError:
            continue  # left white and not valid; the caller counts them
        images[place] = image
        valid[place] = True
    return PatchBatch(indices.start, images, valid)
