"""`amkd model` prints a bundle's card, for people and for programs."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from typer.testing import Result

from amkd_core.bundle_words import KNOWN_LIMITS, headline


def test_the_card_in_lines_and_as_json(amkd: Callable[..., Result], bundle_path: Path) -> None:
    from amkd_core.bundle_file import open_bundle

    card = open_bundle(bundle_path).card
    shown = amkd("model", bundle_path)
    assert shown.exit_code == 0, shown.output
    assert "Research use only" in shown.stdout
    assert headline(card).split(": ", 1)[1] in shown.stdout
    assert [line.removeprefix("  - ") for line in shown.stdout.splitlines()][-7:-1] == list(KNOWN_LIMITS)
    record = json.loads(amkd("model", bundle_path, "--json").stdout)
    assert record == json.loads(card.model_dump_json())


def test_what_is_no_bundle_is_one_sentence(refusal: Callable[..., str], tmp_path: Path) -> None:
    assert "no such file, expected a model bundle" in refusal("model", tmp_path / "none.amkd")
