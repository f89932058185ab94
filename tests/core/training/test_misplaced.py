"""What is said where bags or slides lie elsewhere than a cohort's file says, or under longer names."""

from __future__ import annotations

from pathlib import Path

import pytest

from amkd_core.training.misplaced import misplaced


@pytest.mark.parametrize(
    ("file", "clue"),
    [
        ("pt_files/S[1].pt", "pt_files, and subfolders are not searched"),  # of CLAM
        ("S[1].F6E9A5DF.h5", "S[1].F6E9A5DF.h5 lies there, and the whole name counts"),
        ("S[1].F6E9A5DF.svs", "S[1].F6E9A5DF.svs lies there, and the whole name counts"),
        ("h5_files/S[1].h5", "h5_files, and subfolders are not searched"),
        ("20x_256px_0px_overlap/features_uni_v1/S[1].h5", "features_uni_v1, and subfolders are not searched"),
        ("a/b/c/S[1].h5", ""),
        ("S[1].svs", ""),
        ("S[1].txt", ""),
        ("S[1]0.h5", ""),
    ],
)
def test_what_lies_there_instead_is_named(tmp_path: Path, file: str, clue: str) -> None:
    (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / file).touch()
    found = misplaced(["S0", "S[1]"], [tmp_path / "absent", tmp_path])
    assert clue in found
    assert bool(clue) == bool(found)
