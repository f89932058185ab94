"""The report's section on pathways: it draws what the bundle holds, and says why it does not draw the rest."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from bundle_fixtures import random_bundle, some_effects

from amkd_core.pathway_effects import PathwayEffects
from amkd_core.training.report_pathways import pathway_section


def test_attention_and_effects_are_drawn_with_what_they_rest_on(tmp_path: Path) -> None:
    section = pathway_section(random_bundle(n_members=2), tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {
        "pathways.png", "pathways.svg", "pathway_effects.png", "pathway_effects.svg",
    }  # fmt: skip
    assert [figure.png.name for figure in section.figures] == ["pathways.png", "pathway_effects.png"]
    assert all("by the teacher that had not seen the patient" in figure.caption for figure in section.figures)
    assert "over 50 patients, which explains 80% of the risk in patients left out" in section.paragraphs[0]
    drawing = (tmp_path / "pathway_effects.svg").read_text()
    assert "explains 80% of it" in drawing
    assert "SIM PATHWAY 3" in drawing
    assert "+0.3" in drawing
    single = pathway_section(random_bundle(), tmp_path)
    assert "on training patients" in single.figures[0].caption


@pytest.mark.parametrize(
    ("effects", "sentence"),
    [
        (None, "was not read: that takes 30 patients of unequal risk"),
        (some_effects(4, explained=0.21), "explains only 21% of it in patients left out, less than 30%"),
        (some_effects(4, explained=-0.4), "explains only 0% of it"),
    ],
)
def test_effects_that_do_not_stand_are_not_drawn(
    effects: PathwayEffects | None, sentence: str, tmp_path: Path
) -> None:
    section = pathway_section(replace(random_bundle(), pathway_effects=effects), tmp_path)
    assert [figure.png.name for figure in section.figures] == ["pathways.png"]
    assert sentence in section.paragraphs[0]


def test_a_bundle_without_either_says_so(tmp_path: Path) -> None:
    bare = replace(random_bundle(), pathway_effects=None, pathway_attention=None)
    assert pathway_section(bare, tmp_path).figures == ()
    assert not list(tmp_path.iterdir())
