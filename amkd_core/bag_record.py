"""The record of provenance in a bag file of ours, as JSON-able values and back.

A record is read as anybody may have written it: its checksum tells that the file is whole, not that its values are
sensible, and whoever can write a file can write a fitting checksum.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from amkd_core import __version__
from amkd_core.bag import EncoderIdentity, FeatureBag
from amkd_core.errors import BagError
from amkd_core.notices import Notice

_MOST_SCENES = 2**31


def record_of(bag: FeatureBag) -> dict[str, Any]:
    """JSON-able record of all of a bag that is no array."""
    record = {
        "software_version": __version__,
        "encoder": bag.encoder.to_dict(),
        "patch_size_px": bag.patch_size_px,
        "mpp": bag.mpp,
        "patch_size_level0": bag.patch_size_level0,
        "slide_id": bag.slide_id,
        "slide_fingerprint": bag.slide_fingerprint,
        "slide_size_level0": bag.slide_size_level0,
        "slide_mpp": bag.slide_mpp,
        "slide_mpp_source": bag.slide_mpp_source,
        "notices": [notice.to_dict() for notice in bag.notices],
        "verified": bag.verified,
    }
    later = {"slide_bounds_xy": bag.slide_bounds_xy, "slide_scene": bag.slide_scene}
    # A bag that tells none of them is written as it ever was.
    return record | {name: value for name, value in later.items() if value is not None}


def fields_of(text: str) -> dict[str, Any]:
    """All fields of a `FeatureBag` that are no arrays, from the text of a record.

    Parameters
    ----------
    text : str
        JSON, as `record_of` gives it.

    Raises
    ------
    BagError
        When a value is missing or is of no kind that a bag has; without the file's name.
    """
    try:
        record = json.loads(text)
        # JSON may hold halves of characters, which no file of results can be written with.
        json.dumps(record, ensure_ascii=False).encode()
        return {
            "encoder": EncoderIdentity.from_dict(record["encoder"]),
            "patch_size_px": int(record["patch_size_px"]),
            "mpp": float(record["mpp"]),
            "slide_id": _text(record, "slide_id"),
            "patch_size_level0": _pair(record["patch_size_level0"], int),
            "slide_fingerprint": _text_or_none(record, "slide_fingerprint"),
            "slide_size_level0": _pair(record["slide_size_level0"], int),
            "slide_mpp": _pair(record["slide_mpp"], float),
            "slide_mpp_source": _text_or_none(record, "slide_mpp_source"),
            # Absent in bags of releases that did not record them.
            "slide_bounds_xy": _pair(record.get("slide_bounds_xy"), int),
            "slide_scene": _scene(record.get("slide_scene")),
            "notices": tuple(_notice(notice) for notice in record["notices"]),
            "verified": _truth(record["verified"]),
        }
    except KeyError as missing:
        raise BagError(f"the bag's record is incomplete ({missing})") from missing
    except (TypeError, ValueError, AttributeError, IndexError, OverflowError, RecursionError) as cause:
        raise BagError(f"the bag's record holds what no bag has ({_short(cause)})") from cause


def _text(record: Mapping[str, Any], name: str) -> str:
    value = record[name]
    if not isinstance(value, str):
        raise TypeError(f"{name} is no text")
    return value


def _text_or_none(record: Mapping[str, Any], name: str) -> str | None:
    return None if record[name] is None else _text(record, name)


def _notice(value: Any) -> Notice:
    if set(value) != {"code", "sentence"} or not all(isinstance(text, str) for text in value.values()):
        raise TypeError("a notice is no code with a sentence")
    return Notice(**value)


def _pair(value: Any, kind: type) -> Any:
    return None if value is None else (kind(value[0]), kind(value[1]))


def _scene(value: Any) -> int | None:
    if value is not None and not (isinstance(value, int) and 0 <= value < _MOST_SCENES):
        raise ValueError(f"scene {value}")
    return value


def _truth(value: Any) -> bool:
    if not isinstance(value, bool):
        raise TypeError("verified is neither true nor false")
    return value


def _short(cause: Exception) -> str:
    return " ".join(str(cause).split())[:100]
