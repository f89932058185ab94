"""Tiles of JPEG and uncompressed TIFF slides decoded directly, where that equals OpenSlide bit by bit.

OpenSlide puts every tile through its drawing library, which costs several times the decoding. Here the bytes of a
tile are read and decoded by libjpeg-turbo and copied into place. Whether the result is the same is not assumed:
sampled regions of each level are compared with OpenSlide's, level 0 at opening and others before their first region is
read, and a level that differs in one value is left to OpenSlide. So is every region that touches a tile without bytes.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from amkd_core.errors import SlideReadError
from amkd_core.private_names import private_logger
from amkd_core.slides.backends.base import BackendFacts, Pixels
from amkd_core.slides.backends.openslide import OpenSlideBackend
from amkd_core.slides.backends.tiled_level import TiledLevel, plan_level, tile_memory
from amkd_core.slides.positioned_file import PositionedFile
from amkd_core.slides.scaling import halved
from amkd_core.slides.tiff_tags import TiffFileTags
from amkd_core.slides.tile_cache import TileCache, cache_bytes_for, compose

VENDORS = frozenset({"aperio", "generic-tiff", "philips"})
"""Formats whose tiles lie on a plain grid, without overlap."""

SAMPLES_PER_LEVEL = 6

_MISFIT = 1 / 600
"""Largest share of a pixel by which OpenSlide's region may start off the grid and still not interpolate."""

_log = private_logger(__name__)


class DirectBackend:
    """Regions from directly decoded tiles, with OpenSlide behind for the rest.

    Parameters
    ----------
    behind
        The same file, open by OpenSlide.
    levels
        Per level of `behind` how to decode it, or None to leave it to OpenSlide.
    cache_bytes
        Decoded tiles that are kept; 0 for a few tile rows of the widest level.
    """

    def __init__(
        self,
        behind: OpenSlideBackend,
        levels: Sequence[TiledLevel | None],
        *,
        cache_bytes: int = 0,
    ) -> None:
        self._behind = behind
        self._levels = list(levels)
        self._file: PositionedFile | None = PositionedFile(behind.path)
        self._cache = TileCache(cache_bytes or max(_cache_bytes(level) for level in levels))
        self._threads = threading.local()
        self._judging = threading.Lock()
        self._unjudged: set[int] = set()
        self._seed = 0
        compression = {True: "none", False: "jpeg"}[levels[0] is not None and levels[0].jpeg is None]
        self._facts = replace(behind.facts, backend="direct", compression=compression)

    @property
    def facts(self) -> BackendFacts:
        """See `Backend.facts`."""
        return self._facts

    @property
    def direct_levels(self) -> tuple[int, ...]:
        """Levels that are decoded directly."""
        return tuple(index for index in range(len(self._levels)) if self._direct(index) is not None)

    def read(self, level: int, xy_px: tuple[int, int], size_px: tuple[int, int]) -> Pixels:
        """See `Backend.read`."""
        return self._composed(level, self._direct(level), xy_px, size_px, 1)

    def read_halved(self, level: int, xy_px: tuple[int, int], size_px: tuple[int, int]) -> Pixels:
        """See `Backend.read_halved`; tiles are halved one by one while they are in the processor's cache."""
        tiled = self._direct(level)
        if tiled is None or any(side % 2 for side in (*xy_px, *size_px, *tiled.tile_px)):
            return halved(self.read(level, xy_px, size_px))
        return self._composed(level, tiled, xy_px, size_px, 2)

    def _composed(
        self,
        level: int,
        tiled: TiledLevel | None,
        xy_px: tuple[int, int],
        size_px: tuple[int, int],
        step: int,
    ) -> Pixels:
        """A region put together from tiles as they are (step 1) or halved (step 2)."""
        file = self._file
        if file is None:
            raise SlideReadError(f"{self._behind.path} was closed; open it again to read from it.")
        fallback = self._behind.read if step == 1 else self._behind.read_halved
        if tiled is None or self._touches_missing(tiled, xy_px, size_px):
            return fallback(level, xy_px, size_px)
        (x, y), (width, height), (tile_width, tile_height) = xy_px, size_px, tiled.tile_px
        try:
            return compose(
                (x // step, y // step),
                (width // step, height // step),
                (tile_width // step, tile_height // step),
                lambda part: self._tile(
                    file, tiled, (level, part.index_in(tiled.columns), step), part.partly
                ),
            )
        except ValueError as error:
            # OpenSlide has the last word on a damaged tile: same error, same wording, same pixels if it copes.
            _log.debug("Tile of %s not decoded directly: %s", self._behind.path, error)
            return fallback(level, xy_px, size_px)

    def associated_image(self, name: str) -> Pixels:
        """See `Backend.associated_image`."""
        return self._behind.associated_image(name)

    def close(self) -> None:
        """See `Backend.close`."""
        self._file = None
        self._cache.clear()
        self._behind.close()

    def trust_only_identical(self, seed: int) -> bool:
        """Compare sampled regions with OpenSlide's and give up each level where one value differs.

        Level 0 is judged now, each other level before its first region is read: most are never looked at.

        Parameters
        ----------
        seed
            Chooses the samples; the same slide is judged by the same samples each time.

        Returns
        -------
        bool
            Whether level 0 is read directly from now on.
        """
        self._seed, self._unjudged = seed, set(range(len(self._levels)))
        return self._direct(0) is not None

    def _direct(self, index: int) -> TiledLevel | None:
        """How a level is decoded, judged by now; None where it is left to OpenSlide."""
        if index in self._unjudged:
            with self._judging:
                if index in self._unjudged:
                    self._judge(index)
        return self._levels[index]

    def _judge(self, index: int) -> None:
        level = self._levels[index]
        if level is not None and not self._is_identical(
            index, level, np.random.default_rng([self._seed, index])
        ):
            _log.info("Level %d of %s is left to OpenSlide.", index, self._behind.path)
            self._levels[index] = None
        # Samples are not what is read next.
        self._cache.clear()
        self._unjudged.discard(index)

    def _tile(self, file: PositionedFile, tiled: TiledLevel, key: tuple[int, int, int], keep: bool) -> Pixels:
        """The tile of (level, index, step); `keep` as in `TileCache.get`."""
        _, index, step = key
        offset, length = int(tiled.offsets[index]), int(tiled.lengths[index])

        def make() -> Pixels:
            raw = file.read(offset, length)
            return tiled.decode(raw) if step == 1 else halved(tiled.decode(raw, self._scratch(tiled.tile_px)))

        return self._cache.get(key, make, keep=keep)

    def _scratch(self, tile_px: tuple[int, int]) -> Pixels:
        """Memory of this thread for a tile that is let go at once: fresh pages would cost as much as halving."""
        kept: Pixels | None = getattr(self._threads, "scratch", None)
        if kept is None or kept.shape[:2] != tile_px[::-1]:
            kept = self._threads.scratch = tile_memory(tile_px)
        return kept

    @staticmethod
    def _touches_missing(level: TiledLevel, xy_px: tuple[int, int], size_px: tuple[int, int]) -> bool:
        (x, y), (width, height), (tile_width, tile_height) = xy_px, size_px, level.tile_px
        grid = level.lengths.reshape(level.rows, level.columns)
        rows = slice(y // tile_height, (y + height - 1) // tile_height + 1)
        return not grid[rows, x // tile_width : (x + width - 1) // tile_width + 1].all()

    def _is_identical(self, index: int, level: TiledLevel, rng: np.random.Generator) -> bool:
        factor = self._behind.downsamples[index]
        across = _aligned(level.size_px[0], level.tile_px[0], level.columns, factor)
        down = _aligned(level.size_px[1], level.tile_px[1], level.rows, factor)
        compared = 0
        for column, row in _samples(level, across, down, rng):
            x, y = int(across[column]), int(down[row])
            size = (min(level.tile_px[0], level.size_px[0] - x), min(level.tile_px[1], level.size_px[1] - y))
            try:
                theirs = self._behind.read(index, (x, y), size)
            except SlideReadError:
                continue
            compared += 1
            if not np.array_equal(self._composed(index, level, (x, y), size, 1), theirs):
                return False
        return compared > 0


def _cache_bytes(level: TiledLevel | None) -> int:
    return 0 if level is None else cache_bytes_for(level.size_px[0], level.tile_px)


def _aligned(side_px: int, tile_px: int, n_tiles: int, factor: float) -> NDArray[np.int64]:
    """Per tile a pixel from which OpenSlide reads without interpolating, off the tile's edge; -1 for none."""
    pixels = np.arange(side_px, dtype=np.float64)
    misfit = np.abs(np.round(pixels * factor) / factor - pixels)
    starts = np.full(n_tiles, -1, dtype=np.int64)
    for tile in range(n_tiles):
        window = misfit[tile * tile_px : (tile + 1) * tile_px]
        fitting = np.flatnonzero(window < _MISFIT)
        if fitting.size:
            starts[tile] = tile * tile_px + fitting[min(7, fitting.size - 1)]
    return starts


def _samples(
    level: TiledLevel, across: NDArray[np.int64], down: NDArray[np.int64], rng: np.random.Generator
) -> list[tuple[int, int]]:
    """(column, row) of tiles to compare: those with most bytes, which hold tissue, some others, and the last."""
    grid = level.lengths.reshape(level.rows, level.columns)
    usable = np.flatnonzero((grid > 0) & (across >= 0)[None, :] & (down >= 0)[:, None])
    if usable.size == 0:
        return []
    heavy = usable[np.argsort(grid.ravel()[usable], kind="stable")][-max(1, usable.size // 10) :]
    half = SAMPLES_PER_LEVEL // 2
    chosen = {
        *rng.choice(heavy, min(half, heavy.size), replace=False).tolist(),
        *rng.choice(usable, min(half, usable.size), replace=False).tolist(),
        int(usable[-1]),
    }
    return [(index % level.columns, index // level.columns) for index in sorted(chosen)]


def direct_backend(behind: OpenSlideBackend, tags: TiffFileTags, seed: int) -> DirectBackend | None:
    """Put direct decoding in front of OpenSlide where the format allows it and the samples agree.

    Parameters
    ----------
    behind
        The slide open by OpenSlide.
    tags
        Its directories, checked.
    seed
        See `DirectBackend.trust_only_identical`.

    Returns
    -------
    DirectBackend or None
        None where level 0 is left to OpenSlide.
    """
    if behind.facts.vendor not in VENDORS:
        return None
    by_size = [(d.size_px, d) for d in tags.directories if d.tile_px is not None and not d.is_sub]
    levels: list[TiledLevel | None] = []
    for size in behind.facts.sizes_px:
        matching = [directory for found, directory in by_size if found == size]
        levels.append(plan_level(matching[0]) if len(matching) == 1 else None)
    if levels[0] is None:
        return None
    backend = DirectBackend(behind, levels)
    return backend if backend.trust_only_identical(seed) else None
