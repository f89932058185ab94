"""`make audit`: what is known of the pinned versions; no answer is never taken for a good one."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
CLEAN = {"name": "numpy", "version": "2.4.6", "vulns": []}
FAULTY = {
    "name": "pillow",
    "version": "13.0.0",
    "vulns": [
        {"id": "PYSEC-2030-1", "aliases": ["CVE-2030-1234"], "fix_versions": ["13.0.1"], "description": ""}
    ],
}
SKIPPED = {
    "name": "h5py",
    "skip_reason": "Dependency not found on PyPI and could not be audited: h5py (3.16.0)",
}


@pytest.fixture
def audit(tmp_path: Path):
    """Run the script on a copy of what it reads, with a pip-audit that answers as it is told to."""
    for name in ("scripts/audit.py", "constraints.txt", "docs/soup.md"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes((ROOT / name).read_bytes())
    program = tmp_path / "stub" / "pip_audit" / "__main__.py"
    program.parent.mkdir(parents=True)

    def run(found: list[dict[str, Any]] | None, accepted: str = "") -> tuple[int, str]:
        answer = "" if found is None else json.dumps({"dependencies": found, "fixes": []})
        # Its own exit code is 1 for advisories and for no answer alike, and 0 when it could ask about nothing.
        failed = found is None or any(library.get("vulns") for library in found)
        program.write_text(
            "import sys\n"
            f"assert {str(tmp_path / 'constraints.txt')!r} in sys.argv\n"
            f"print({answer!r})\n"
            f"print('Traceback\\nConnectionError: no route', file=sys.stderr)\nsys.exit({int(failed)})\n"
        )
        page = (ROOT / "docs" / "soup.md").read_text(encoding="utf-8")
        (tmp_path / "docs" / "soup.md").write_text(page + accepted, encoding="utf-8")
        done = subprocess.run(
            [sys.executable, str(tmp_path / "scripts" / "audit.py")],
            env={**os.environ, "PYTHONPATH": str(program.parents[1])},
            capture_output=True,
            text=True,
            check=False,
        )
        assert not done.stderr
        return done.returncode, done.stdout

    return run


def test_versions_of_which_nothing_is_known_pass(audit) -> None:
    assert audit([CLEAN]) == (0, "1 versions, no known fault that docs/soup.md does not tell of.\n")


def test_a_known_fault_is_named_with_the_version_that_mends_it(audit) -> None:
    code, text = audit([CLEAN, FAULTY])
    assert code == 1
    assert "pillow 13.0.0: CVE-2030-1234, PYSEC-2030-1 (mended in: 13.0.1)\n" in text


@pytest.mark.parametrize("name", ["CVE-2030-1234", "PYSEC-2030-1"])
def test_what_the_page_lists_is_passed_over_until_it_is_gone(audit, name: str) -> None:
    accepted = f"\n- `{name}` (pillow): icons are never opened here.\n"
    assert audit([CLEAN, FAULTY], accepted)[0] == 0
    code, text = audit([CLEAN], accepted)
    assert code == 0
    assert f"No longer reported, so docs/soup.md need not pass them over: {name}." in text


def test_a_fault_that_the_page_names_elsewhere_is_not_passed_over(audit) -> None:
    """Its table tells of faults of older versions; a pin that went back to one is found."""
    assert "CVE-2024-28219" in (ROOT / "docs" / "soup.md").read_text(encoding="utf-8")
    old = {**FAULTY, "vulns": [{"id": "CVE-2024-28219", "aliases": [], "fix_versions": ["10.3.0"]}]}
    code, text = audit([old])
    assert code == 1
    assert "CVE-2024-28219" in text


@pytest.mark.parametrize(
    ("found", "sentence"),
    [
        (None, "The advisories could not be asked (ConnectionError: no route), so nothing is known"),
        ([SKIPPED], "could not be asked of 1 of 1 versions (h5py)"),
        ([CLEAN, SKIPPED], "could not be asked of 1 of 2 versions (h5py)"),
        ([], "could not be asked of 0 of 0 versions"),
    ],
    ids=["no answer", "none asked", "one not asked", "nothing"],
)
def test_no_answer_is_not_taken_for_a_good_one(
    audit, found: list[dict[str, Any]] | None, sentence: str
) -> None:
    code, text = audit(found)
    assert code == 3
    assert sentence in text
    assert len(text.splitlines()) == 1


def test_a_fault_counts_even_where_some_could_not_be_asked(audit) -> None:
    assert audit([FAULTY, SKIPPED])[0] == 1


def test_the_product_does_not_require_what_audits_it() -> None:
    make = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert re.search(r"pip-audit==\d+\.\d+\.\d+", make)
    for name in ("setup.cfg", "constraints.txt", "constraints-oldest.txt"):
        assert "pip-audit" not in (ROOT / name).read_text(encoding="utf-8")
