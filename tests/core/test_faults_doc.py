"""docs/faults.md names tests that exist, and every row once."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "faults.md").read_text(encoding="utf-8")


def test_every_row_stands_there_once_with_its_state() -> None:
    rows = re.findall(r"^\| (\d+) \|.*\| (holds|part|open)[^|]*\|$", PAGE, re.M)
    assert [int(number) for number, _ in rows] == list(range(1, 41))


def test_every_test_that_is_named_exists() -> None:
    files = {path.name: path.read_text(encoding="utf-8") for path in (ROOT / "tests").rglob("test_*.py")}
    named = re.findall(r"`(test_\w+\.py)::(test_\w+)`", PAGE)
    assert len(named) > 70
    missing = [f"{file}::{name}" for file, name in named if f"def {name}(" not in files.get(file, "")]
    assert missing == []


def test_all_code_that_is_named_exists() -> None:
    column = [line.split("|")[3] for line in PAGE.splitlines() if re.match(r"\| \d+ \|", line)]
    named = [name for cell in column for name in re.findall(r"`([^`]+)`", cell)]
    missing = [
        name for name in named if not (ROOT / name).exists() and not (ROOT / "amkd_core" / name).exists()
    ]
    assert missing == []
