"""A bundle's card in words; cards of before tell what they hold and no more."""

from __future__ import annotations

from bundle_fixtures import random_bundle

from amkd_core.bundle_card import BundleCard, Measured, Sites
from amkd_core.bundle_words import KNOWN_LIMITS, card_rows, headline, limits_of, performance_rows, sites_text
from amkd_core.inference.demo import demo_bundle_path


def card(**changes: object) -> BundleCard:
    return random_bundle().card.model_copy(update=changes)


def measured(model: str, fold: int | None, c_index: float | None) -> Measured:
    if c_index is None:
        return Measured(model=model, fold=fold, n_patients=9, n_events=0, reason="nobody died")
    return Measured(
        model=model, fold=fold, n_patients=30, n_events=12, c_index=c_index, lower=c_index - 0.1,
        upper=c_index + 0.1, level=0.95,
    )  # fmt: skip


def test_every_figure_has_its_interval_and_an_undefined_one_its_reason() -> None:
    told = card(
        measured=[measured("teacher", 1, 0.7), measured("student", 1, None), measured("student", None, 0.6)]
    )
    assert performance_rows(told) == [
        ("C-index of the student", "0.600 [0.500, 0.700] on 30 test patients with 12 events, within folds"),
        ("C-index of the student, fold 1", "not estimable on 9 test patients with 0 events: nobody died"),
        ("C-index of the teacher, fold 1", "0.700 [0.600, 0.800] on 30 test patients with 12 events"),
    ]
    assert headline(told) == "C-index 0.600 [0.500, 0.700] on 30 test patients with 12 events, within folds"
    assert dict(card_rows(told))["use"].startswith("Research use only")


def test_cards_of_before_tell_test_figures_alone_and_the_limits_that_hold_of_any() -> None:
    from amkd_core.bundle_file import open_bundle

    older = card(metrics={"c_index_student_validation": 0.9, "c_index_student_test_mean": 0.6})
    assert headline(older) == "C-index, student test mean: 0.600 (no interval recorded)"
    assert "0.9" not in str(performance_rows(older))
    assert sites_text(older) == "not recorded"
    assert limits_of(older)[: len(KNOWN_LIMITS)] == KNOWN_LIMITS
    assert f"only {older.cohort_events} events among 50 patients" in limits_of(older)[-1]
    assert limits_of(card(limits=["Its own."])) == ("Its own.",)
    assert headline(card()) == "C-index: not measured: no patient was kept for testing"
    assert headline(open_bundle(demo_bundle_path()).card).startswith("C-index")


def test_the_largest_hospitals_are_named_first_and_the_rest_counted() -> None:
    many = Sites(source="tcga_site", patients={f"{index:02d}": 30 - index for index in range(24)}, unknown=3)
    told = sites_text(card(sites=many))
    assert told.startswith("TCGA sites: 00 30, 01 29, ")
    assert told.endswith(", 19 11, 4 more with 34, not told 3")
    pooled = Sites(source="group", patients={"north": 40}, pooled_sites=2, pooled_patients=7)
    assert sites_text(card(sites=pooled)) == "north 40, 2 not named with 7"
