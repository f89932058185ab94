"""Risk groups."""

from __future__ import annotations

import numpy as np
import pytest
from lifelines.statistics import logrank_test

from amkd_core.survival.outcome import Outcome
from amkd_core.training.evaluate import compare_groups


def test_risk_groups_are_cut_above_the_training_median() -> None:
    outcome = Outcome(np.array([1.0, 2.0, 3.0, 9.0, 10.0, 11.0]), np.array([True] * 6))
    risks = np.array([0.9, 0.8, 0.7, 0.5, 0.2, 0.1])
    found = compare_groups(outcome, risks, 0.5, part="test")
    assert (found.n_low, found.n_high) == (3, 3)
    assert found.p_value == pytest.approx(logrank_test([1, 2, 3], [9, 10, 11]).p_value)
    assert "3 high and 3 low risk patients, log-rank p = " in str(found)
    nobody = compare_groups(outcome, risks, 2.0, part="test")
    assert nobody.p_value is None
    assert "0 high and 6 low risk patients, not testable" in str(nobody)
