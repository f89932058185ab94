"""Ask a database of advisories about every version in constraints.txt, by pip-audit; `make audit` runs this.

    python scripts/audit.py

Exit code: 0 when every version was asked about and nothing new is known, 1 when there are advisories that docs/soup.md
does not name, 3 when the database could not be asked, of all versions or of some. Advisories that docs/soup.md lists
are passed over; those of them that are no longer reported are named.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
PINS, PAGE = ROOT / "constraints.txt", ROOT / "docs" / "soup.md"
KNOWN, NOT_ASKED = 1, 3
HEADING = "## Advisories that `make audit` passes over"
_ENTRY = re.compile(r"^- `((?:CVE|GHSA|PYSEC|OSV)-[\w-]+)`", re.MULTILINE)
_MOST_NAMED = 5
_MOST_SAID = 120


def passed_over(page: str) -> set[str]:
    """Advisories that the page lists under its heading; what it says of older versions elsewhere is none of them."""
    _, _, section = page.partition(HEADING)
    return set(_ENTRY.findall(section.partition("\n## ")[0]))


def ask() -> list[dict[str, Any]] | None:
    """What is known of each pinned version, as pip-audit tells it; None where it got no answer."""
    command = [sys.executable, "-m", "pip_audit", "--requirement", str(PINS), "--no-deps", "--disable-pip"]
    command += ["--vulnerability-service", "osv", "--format", "json", "--progress-spinner", "off"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    try:
        found: list[dict[str, Any]] = json.loads(done.stdout)["dependencies"]
    except (json.JSONDecodeError, KeyError):
        said = [line.strip() for line in done.stderr.splitlines() if line.strip()]
        cause = said[-1][:_MOST_SAID] if said else "pip-audit said nothing"
        print(
            f"The advisories could not be asked ({cause}), so nothing is known of these versions; try again where "
            "their database can be reached."
        )
        return None
    return found


def judge(found: list[dict[str, Any]], accepted: set[str]) -> int:
    """Print what is known, a line each; the exit code."""
    seen: set[str] = set()
    n_new = 0
    for library in found:
        for advisory in library.get("vulns", ()):
            names = {advisory["id"], *advisory.get("aliases", ())}
            seen |= names
            if names & accepted:
                continue
            n_new += 1
            fixed = ", ".join(advisory.get("fix_versions", ())) or "none yet"
            print(f"{library['name']} {library['version']}: {', '.join(sorted(names))} (mended in: {fixed})")
    if gone := sorted(accepted - seen):
        print(f"No longer reported, so docs/soup.md need not pass them over: {', '.join(gone)}.")
    # pip-audit calls it a success when it skipped them all.
    skipped = [library["name"] for library in found if "skip_reason" in library]
    if skipped or not found:
        named = ", ".join(skipped[:_MOST_NAMED]) + (", …" if len(skipped) > _MOST_NAMED else "")
        print(f"The advisories could not be asked of {len(skipped)} of {len(found)} versions ({named}).")
    if n_new:
        print(f"{n_new} known faults: raise the pins, or say in docs/soup.md why they do no harm here.")
        return KNOWN
    if skipped or not found:
        return NOT_ASKED
    print(f"{len(found)} versions, no known fault that docs/soup.md does not tell of.")
    return 0


def main() -> int:
    accepted = passed_over(PAGE.read_text(encoding="utf-8"))
    found = ask()
    return NOT_ASKED if found is None else judge(found, accepted)


if __name__ == "__main__":
    sys.exit(main())
