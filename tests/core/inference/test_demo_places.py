"""Where an installed package's demo model is looked for."""

from __future__ import annotations

import re
import site
import sys
from pathlib import Path

import pytest

from amkd_core.errors import BundleError
from amkd_core.file_hash import file_sha256
from amkd_core.inference import demo


@pytest.mark.parametrize("place", ["of the interpreter", "of the user"])
def test_the_demo_model_is_found_where_pip_puts_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    """`pip install --user`, which pip does by itself where site-packages is not writable, has a place of its own."""
    monkeypatch.setattr(demo, "__file__", str(tmp_path / "lib" / "amkd_core" / "inference" / "demo.py"))
    interpreter, user = tmp_path / "usr", tmp_path / "home"
    monkeypatch.setattr(sys, "prefix", str(interpreter))
    monkeypatch.setattr(demo.sysconfig, "get_path", lambda name: str(interpreter))
    monkeypatch.setattr(site, "ENABLE_USER_SITE", True)
    monkeypatch.setattr(site, "getuserbase", lambda: str(user))
    with pytest.raises(BundleError, match="the demo model is not installed"):
        demo.demo_bundle_path()
    chosen = {"of the interpreter": interpreter, "of the user": user}[place]
    bundle = chosen / "share" / "amkd" / "demo" / "demo.amkd"
    bundle.parent.mkdir(parents=True)
    bundle.touch()
    assert demo.demo_bundle_path() == bundle


def test_the_newest_version_on_record_is_the_demo_model_that_is_there() -> None:
    """Whoever replaces the model says in its list of versions what changed."""
    bundle = Path(__file__).resolve().parents[3] / "assets" / "demo" / "demo.amkd"
    versions = re.findall(
        r"^\| `([0-9a-f]{64})` \|", bundle.with_name("CHANGES.md").read_text(), re.MULTILINE
    )
    assert versions[0] == file_sha256(bundle)
    assert len(versions) == len(set(versions)) >= 6
