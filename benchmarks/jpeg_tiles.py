"""The decoder of JPEG tiles beside the one before it: the same pixels, what it costs, and what it says of torn tiles.

    python benchmarks/jpeg_tiles.py SLIDE ... [--tiles 300] [--rounds 7]

Of each slide's first level that is tiled in JPEG tiles are drawn; both decoders take turns over them in memory, so that
neither disk nor cache counts. Then the second half of each tile is overwritten with zeros, ones, 0x55 and noise.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from statistics import median

import imagecodecs
import numpy as np

sys.path[:0] = [str(Path(__file__).resolve().parents[1])]

from amkd_core.slides.backends.tiled_level import TiledLevel, plan_level, tile_memory  # noqa: E402
from amkd_core.slides.tiff_tags import read_tiff_tags  # noqa: E402


def main() -> None:
    options = parse()
    print(
        "| slide | tiles | before, ms a tile | now | ratio median (min to max) | max difference | torn, told |"
    )
    print("|---|---|---|---|---|---|---|")
    for path in options.slides:
        level, tiles = tiles_of(path, options.tiles)
        memory = tile_memory(level.tile_px)
        now = lambda raw, level=level, memory=memory: level.decode(raw, memory)  # noqa: E731
        before = lambda raw, level=level, memory=memory: former(level, raw, memory)  # noqa: E731
        difference = max(
            int(np.abs(before(raw).astype(int) - level.decode(raw).astype(int)).max()) for raw in tiles
        )
        rounds = [(spent(before, tiles), spent(now, tiles)) for _ in range(options.rounds)]
        ratios = [one / other for one, other in rounds]
        times = " | ".join(f"{median(column):.3f}" for column in zip(*rounds, strict=True))
        torn = [raw for tile in tiles for raw in torn_forms(tile)]
        told = " to ".join(f"{sum(fails(decode, raw) for raw in torn)}" for decode in (before, now))
        print(
            f"| {path.name} | {len(tiles)} | {times} | {median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f}) | "
            f"{difference} | {told} of {len(torn)} |",
            flush=True,
        )


def former(level: TiledLevel, raw: bytes, out: np.ndarray) -> np.ndarray:
    """As tiles were decoded before; our own start of a tile states its colours to either."""
    return imagecodecs.jpeg8_decode(level.jpeg + raw[2:], outcolorspace="RGB", out=out)


def tiles_of(path: Path, most: int) -> tuple[TiledLevel, list[bytes]]:
    with read_tiff_tags(path) as tags:
        planned = (plan_level(directory) for directory in tags.directories)
        level = next(found for found in planned if found is not None and found.jpeg is not None)
    drawn = np.random.default_rng(0).permutation(np.flatnonzero(level.lengths))[:most]
    with path.open("rb") as stream:
        tiles = []
        for index in drawn:
            stream.seek(int(level.offsets[index]))
            tiles.append(stream.read(int(level.lengths[index])))
    return level, tiles


def torn_forms(raw: bytes) -> list[bytes]:
    half = len(raw) // 2
    n_bytes = len(raw) - half - 2
    noise = np.random.default_rng(len(raw)).integers(0, 256, n_bytes, dtype=np.uint8).tobytes()
    return [
        raw[:half] + fill + raw[-2:]
        for fill in (*(bytes([sign]) * n_bytes for sign in (0, 0xFF, 0x55)), noise)
    ]


def fails(decode, raw: bytes) -> bool:
    try:
        decode(raw)
    except (ValueError, RuntimeError):
        return True
    return False


def spent(decode, tiles: list[bytes]) -> float:
    """Milliseconds of the processor for a tile."""
    begun = time.process_time()
    for raw in tiles:
        decode(raw)
    return 1000 * (time.process_time() - begun) / len(tiles)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("slides", nargs="+", type=Path)
    parser.add_argument("--tiles", type=int, default=300)
    parser.add_argument("--rounds", type=int, default=7)
    return parser.parse_args()


if __name__ == "__main__":
    main()
