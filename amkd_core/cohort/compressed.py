"""What a compressed table unfolds to, bounded before anything parses it: gzip, Parquet, and Excel in its own module.

A file of a megabyte can unfold to a gigabyte, and its own count of it cannot be trusted. Real tables shrink to a tenth,
seldom to a thirtieth.
"""

from __future__ import annotations

import gzip
import zlib
from pathlib import Path

from amkd_core.errors import CohortError

MOST_UNFOLDING = 100
"""So many times a file's own size it may unfold to."""
SMALL_BYTES = 4 * 2**20
"""A table that unfolds to no more than this is read whatever its size on disk was."""
_CHUNK_BYTES = 2**20
_CELL_BYTES = 8


def most_bytes(path: Path) -> int:
    """The most that a compressed table may unfold to."""
    return max(SMALL_BYTES, MOST_UNFOLDING * path.stat().st_size)


def refuse_bomb(path: Path, n_bytes: int) -> None:
    """Refuse a table that unfolds to `n_bytes` or more, where that is out of all proportion.

    Raises
    ------
    CohortError
    """
    if n_bytes > most_bytes(path):
        raise CohortError(
            f"{path.name}: unfolds to more than {max(SMALL_BYTES, n_bytes) / 2**20:,.0f} MiB from "
            f"{path.stat().st_size / 2**20:.2f} MiB, expected at most {MOST_UNFOLDING} times its size; no table does so"
        )


def check_gzip(path: Path) -> None:
    """Count what a gzipped text unfolds to, and keep none of it.

    Raises
    ------
    CohortError
        When it is out of all proportion, or the file is damaged.
    """
    n_bytes, most = 0, most_bytes(path)
    try:
        with gzip.open(path) as stream:
            while n_bytes <= most and (chunk := stream.read(_CHUNK_BYTES)):
                n_bytes += len(chunk)
    except (OSError, EOFError, zlib.error) as error:
        raise CohortError(f"{path.name}: cannot be read as a table ({error})") from error
    refuse_bomb(path, n_bytes)


def check_parquet(path: Path) -> None:
    """Count the cells and texts of a Parquet file, in which a value that repeats is written once.

    Raises
    ------
    CohortError
        When they are out of all proportion to the file.
    """
    import pyarrow.parquet as pq

    with pq.ParquetFile(path) as file:
        facts = file.metadata
        groups = [facts.row_group(place).total_byte_size for place in range(facts.num_row_groups)]
        refuse_bomb(path, facts.num_rows * facts.num_columns * _CELL_BYTES + sum(groups))
        columns = [file.schema.column(place) for place in range(facts.num_columns)]
        texts = [column.path for column in columns if column.physical_type == "BYTE_ARRAY"]
    refuse_bomb(path, _text_bytes(path, texts))


def _text_bytes(path: Path, names: list[str]) -> int:
    """Bytes of all texts of some columns, each counted as often as it stands there, read without repeating any."""
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    n_bytes = 0
    if not names:
        return n_bytes
    for column in pq.read_table(path, columns=names, read_dictionary=names).columns:
        for chunk in column.chunks:
            if not pa.types.is_dictionary(chunk.type):
                n_bytes += chunk.nbytes
                continue
            lengths = pc.binary_length(chunk.dictionary)
            n_bytes += pc.sum(pc.take(lengths.cast(pa.int64()), chunk.indices)).as_py() or 0
    return n_bytes
