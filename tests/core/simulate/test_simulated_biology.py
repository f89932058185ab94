from __future__ import annotations

from math import gamma, log
from pathlib import Path

import numpy as np
import pytest
from pydantic import ValidationError

from amkd_core.errors import CohortError
from amkd_core.simulate.biology import (
    LOG_HAZARD,
    MEDIAN_MONTHS,
    VISIBLE,
    WEIBULL_SHAPE,
    Pathways,
    Patients,
    draw_patient,
    draw_patients,
    make_pathways,
    survival_months,
)
from amkd_core.simulate.config import SimulationConfig
from amkd_core.survival.metrics import concordance_index


@pytest.fixture(scope="module")
def cohort() -> tuple[SimulationConfig, Pathways, Patients]:
    config = SimulationConfig(n_patients=1000, seed=11)
    pathways = make_pathways(config)
    return config, pathways, draw_patients(config, pathways)


def test_true_hazard_orders_survival_as_stated(cohort) -> None:
    patients = cohort[2]
    assert 0.75 <= concordance_index(patients.time, patients.event, patients.log_hazard) <= 0.80
    assert 0.40 <= patients.event.mean() <= 0.62


def test_slide_carries_part_of_the_hazard_and_expression_more(cohort) -> None:
    _, pathways, patients = cohort
    shown = patients.visible @ np.array([LOG_HAZARD[name] for name in VISIBLE])
    scores = _pathway_means(pathways, patients)[:, list(pathways.drivers)]
    expressed = scores / scores.std(axis=0) @ np.array(list(LOG_HAZARD.values()))
    c_slide = concordance_index(patients.time, patients.event, shown)
    c_genes = concordance_index(patients.time, patients.event, expressed)
    c_true = concordance_index(patients.time, patients.event, patients.log_hazard)
    assert 0.66 <= c_slide <= 0.73
    assert c_slide + 0.02 < c_genes < c_true


def test_pathway_means_follow_their_activity_and_hardly_another(cohort) -> None:
    _, pathways, patients = cohort
    scores = _pathway_means(pathways, patients)
    table = np.corrcoef(scores.T, patients.activities.T)[: scores.shape[1], scores.shape[1] :]
    own, others = np.diag(table), table[~np.eye(len(table), dtype=bool)]
    assert np.median(own) > 0.9
    assert own.min() > 0.7
    assert np.abs(others).mean() < 0.2


def test_activities_are_standard_with_the_stated_correlation(cohort) -> None:
    activities = cohort[2].activities
    assert activities.mean(axis=0) == pytest.approx(np.zeros(40), abs=0.15)
    assert activities.std(axis=0) == pytest.approx(np.ones(40), abs=0.12)
    correlation = np.corrcoef(activities.T)[np.triu_indices(40, 1)]
    assert correlation.mean() == pytest.approx(0.1, abs=0.03)


def test_fidelity_is_the_correlation_of_activity_and_look(cohort) -> None:
    config, pathways, patients = cohort
    for column, index in enumerate(pathways.drivers[: len(VISIBLE)]):
        found = np.corrcoef(patients.visible[:, column], patients.activities[:, index])[0, 1]
        assert found == pytest.approx(config.fidelity, abs=0.03)
    faithful = SimulationConfig(n_patients=5, fidelity=1.0)
    drawn = draw_patients(faithful, make_pathways(faithful))
    np.testing.assert_allclose(drawn.visible, drawn.activities[:, :3])


@pytest.mark.parametrize("log_hazard", [0.0, -1.0, 0.7])
def test_weibull_times_have_the_closed_form_median_and_mean(log_hazard: float) -> None:
    grid = (np.arange(200_000) + 0.5) / 200_000  # quantiles, so that no luck is in the figures
    months = survival_months(np.full(grid.shape, log_hazard), grid)
    shrink = np.exp(-log_hazard / WEIBULL_SHAPE)
    assert np.median(months) == pytest.approx(MEDIAN_MONTHS * shrink, rel=1e-4)
    scale = MEDIAN_MONTHS / log(2) ** (1 / WEIBULL_SHAPE)
    assert months.mean() == pytest.approx(scale * gamma(1 + 1 / WEIBULL_SHAPE) * shrink, rel=1e-3)


def test_drawn_times_follow_the_weibull() -> None:
    from scipy.stats import kstest, weibull_min

    config = SimulationConfig(n_patients=800, hazard_scale=0.0, censoring_months=1e9)
    patients = draw_patients(config, make_pathways(config))
    scale = MEDIAN_MONTHS / log(2) ** (1 / WEIBULL_SHAPE)
    assert patients.event.all()
    assert kstest(patients.time, weibull_min(WEIBULL_SHAPE, scale=scale).cdf).pvalue > 0.01


def test_without_hazard_nothing_predicts() -> None:
    config = SimulationConfig(n_patients=800, hazard_scale=0.0)
    patients = draw_patients(config, make_pathways(config))
    found = concordance_index(patients.time, patients.event, patients.activities[:, 0])
    assert found == pytest.approx(0.5, abs=0.04)


def test_a_patient_depends_on_no_other() -> None:
    small, large = (SimulationConfig(n_patients=n, seed=4) for n in (6, 12))
    pathways = make_pathways(small)
    few, many = draw_patients(small, pathways), draw_patients(large, pathways)
    np.testing.assert_array_equal(few.expression, many.expression[:6])
    np.testing.assert_array_equal(few.time, many.time[:6])
    np.testing.assert_array_equal(draw_patient(large, pathways, 9).activities[0], many.activities[9])
    other = SimulationConfig(n_patients=6, seed=5)
    assert not np.array_equal(draw_patients(other, make_pathways(other)).time, few.time)


def test_gene_sets_of_a_file_take_the_parts(tmp_path: Path) -> None:
    gmt = _write_gmt(
        tmp_path, ["DNA_REPAIR", "HYPOXIA", "INTERFERON_GAMMA_RESPONSE", "MYOGENESIS", "G2M_CHECKPOINT"]
    )
    config = SimulationConfig(n_patients=400, pathways=gmt)
    pathways = make_pathways(config)
    assert [pathways.names[index] for index in pathways.drivers] == [
        "H_G2M_CHECKPOINT",
        "H_HYPOXIA",
        "H_INTERFERON_GAMMA_RESPONSE",
        "H_DNA_REPAIR",
    ]
    patients = draw_patients(config, pathways)
    expected = patients.activities[:, list(pathways.drivers)] @ np.array(list(LOG_HAZARD.values()))
    np.testing.assert_allclose(patients.log_hazard, expected)
    assert set(pathways.genes) == {f"G{index}" for index in range(100)}


def test_a_file_without_a_stand_in_is_refused(tmp_path: Path) -> None:
    gmt = _write_gmt(tmp_path, ["G2M_CHECKPOINT", "MYOGENESIS"])
    with pytest.raises(CohortError, match=r"sets\.gmt: none of its 2 gene sets can stand for SIM_HYPOXIA"):
        make_pathways(SimulationConfig(pathways=gmt))
    with pytest.raises(CohortError, match="no such file"):
        make_pathways(SimulationConfig(pathways=tmp_path / "missing.gmt"))


def test_settings_refuse_what_they_do_not_know() -> None:
    with pytest.raises(ValidationError, match="n_patient"):
        SimulationConfig(n_patient=3)  # type: ignore[call-arg]
    with pytest.raises(ValidationError, match="leave no patients for training"):
        SimulationConfig(test_share=0.5, validation_share=0.5)


def test_digest_tells_what_changes_a_slide(tmp_path: Path) -> None:
    digest = SimulationConfig().digest
    assert SimulationConfig(n_patients=900, test_share=0.1).digest == digest
    assert SimulationConfig(fidelity=0.8).digest != digest
    assert SimulationConfig(pathways=_write_gmt(tmp_path, ["HYPOXIA"])).digest != digest


def _pathway_means(pathways: Pathways, patients: Patients) -> np.ndarray:
    """Mean of a pathway's standardised genes, each turned the way its activity moves it."""
    scaled = (patients.expression - patients.expression.mean(axis=0)) / patients.expression.std(axis=0)
    return scaled @ (np.sign(pathways.loadings) / pathways.membership.sum(axis=1, keepdims=True)).T


def _write_gmt(folder: Path, names: list[str]) -> Path:
    path = folder / "sets.gmt"
    lines = [
        "\t".join([f"H_{name}", "test", *(f"G{index}" for index in range(row * 20, row * 20 + 20))])
        for row, name in enumerate(names)
    ]
    path.write_text("\n".join(lines), encoding="utf-8")
    return path
