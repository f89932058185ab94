"""Whom fitted numbers have seen: patients are handed out by name, and held-out ones among them end the fold."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from amkd_core.bag import FeatureBag
from amkd_core.cohort.cohort import Cohort
from amkd_core.cohort.patients import outcome_of
from amkd_core.errors import LeakError
from amkd_core.survival.outcome import Outcome

_MOST_NAMED = 5


class Watched:
    """The door through which what is fitted asks for patients; it hands out no held-out one.

    Parameters
    ----------
    held_out
        Patients of the validation and the test part.

    Attributes
    ----------
    seen : dict of str to tuple of str
        The patients that each fitted thing has asked for, by what it is.
    """

    def __init__(self, cohort: Cohort, bags: Mapping[str, FeatureBag], *, held_out: Collection[str]) -> None:
        self._cohort, self._bags, self._held_out = cohort, bags, frozenset(held_out)
        self._patients = {patient.patient_id: patient for patient in cohort.patients}
        self.seen: dict[str, tuple[str, ...]] = {}

    def expression(self, what: str, names: Sequence[str], genes: Sequence[str]) -> NDArray[np.float64]:
        """Expression of patients, shape (n, n_genes); raises as `refuse_leak`."""
        self._note(what, names)
        return self._cohort.expression.rows(names, genes)

    def outcome(self, what: str, names: Sequence[str]) -> Outcome:
        """Follow-up of patients; raises as `refuse_leak`."""
        self._note(what, names)
        return outcome_of([self._patients[name] for name in names])

    def bags(self, what: str, names: Sequence[str]) -> list[FeatureBag]:
        """Features of patients, all of each one's slides together; raises as `refuse_leak`."""
        self._note(what, names)
        return [self._bags[name] for name in names]

    def _note(self, what: str, names: Sequence[str]) -> None:
        refuse_leak({what: names}, self._held_out)
        self.seen[what] = tuple(dict.fromkeys((*self.seen.get(what, ()), *names)))


def refuse_leak(seen: Mapping[str, Collection[str]], held_out: Collection[str]) -> None:
    """End a fold of which something was fitted on patients that it validates or tests.

    Parameters
    ----------
    seen
        Patients by what was fitted on them.
    held_out
        Of the validation and the test part.

    Raises
    ------
    LeakError
        With what was fitted, and on whom.
    """
    for what, names in seen.items():
        leaked = sorted(set(names) & set(held_out))
        if leaked:
            shown = ", ".join(leaked[:_MOST_NAMED]) + (", ..." if len(leaked) > _MOST_NAMED else "")
            raise LeakError(
                f"the {what} of this fold saw {len(leaked)} patients that it holds out ({shown}); its figures would "
                "flatter, so none is kept. This is a fault of the program: please report it"
            )
