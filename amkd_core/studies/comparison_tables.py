"""Tables 2, 3, 5 and 6 of the paper, measured: C-index by fold, differences to AMKD, risk groups."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from amkd_core.errors import OutcomeError
from amkd_core.export.run_report import ReportTable
from amkd_core.studies.benchmark import Comparison
from amkd_core.studies.holm import holm
from amkd_core.studies.published import published
from amkd_core.survival.comparison import PairedDifference, bootstrap_within, paired_difference
from amkd_core.survival.endpoints import words_of
from amkd_core.survival.metrics import Interval, concordance_index
from amkd_core.training.estimates import Spread
from amkd_core.training.model_statistics import over_folds, risk_groups
from amkd_core.training.recipes import AMKD, TITLES

Array = NDArray[np.float64]
PUBLISHED = "published (the paper's own data)"
MODALITIES = (
    "Modality: WSI, whole-slide images alone; Omics, gene expression alone; Multi-modal, both; Missing modality, both "
    "in training and slides alone afterwards. Cat: slides and genes joined by concatenation."
)
ABBREVIATIONS = (
    "ABMIL, attention-based multiple instance learning; TransMIL, transformer-based, DSMIL, dual-stream multiple "
    "instance learning; SNN, self-normalising network; MLP, multilayer perceptron; SMLP, sparse multilayer perceptron; "
    "MCAT, multimodal co-attention transformer; SurvPath, survival pathways transformer; POMP, pathology-omics "
    "multimodal pre-training; G-HANet, genome-informed hyper-attention network; AMKD, adaptive multi-modality "
    "knowledge distillation; C-index, concordance index; sd, standard deviation."
)
PAIRED = (
    "Mean and standard deviation (n - 1) over folds of the C-index of test patients. The interval and the differences "
    "are over pairs of patients of one fold, by a bootstrap of patients that judges both models on the same pairs; "
    "p values are two-sided, corrected by Holm for all rows; ≤ stands where no resample turned the difference round, "
    "and more of them (report.resamples) could show a smaller p."
)
TOO_FEW = (
    "With so few resamples no difference among so many rows can reach a p of 0.05; raise report.resamples."
)
REPEATED = (
    "A row that has the settings of another one is that row: it is trained once and counts once for Holm."
)


@dataclass(frozen=True)
class Row:
    """One model's figures.

    Attributes
    ----------
    folds : Spread
        C-index of each fold.
    within : Interval or None
        C-index within folds; None when undefined.
    gap : PairedDifference or None
        This model minus AMKD.
    p_corrected : float or None
        By Holm, over all rows with a difference.
    same_as : str or None
        Of a row that has the settings of another one: its name. It has no difference of its own.
    """

    name: str
    folds: Spread
    within: Interval | None
    gap: PairedDifference | None = None
    p_corrected: float | None = None
    same_as: str | None = None

    @property
    def title(self) -> str:
        """As the paper prints it."""
        return title_of(self.name)


def title_of(name: str) -> str:
    """Name of a row as the paper prints it."""
    return TITLES[name].title if name in TITLES else name


def rows_of(comparison: Comparison, *, seed: int = 0, n_resamples: int = 1000) -> list[Row]:
    """Figures of every model, in the order of the recipes."""
    scored = comparison.scored
    reference = scored.get(AMKD)
    rows: list[Row] = []
    for name in comparison.models:
        item = scored[name]
        folds = over_folds(
            item, lambda own, mask, risk=item.risk: concordance_index(own.time, own.event, risk[mask])  # type: ignore[misc]
        )  # fmt: skip
        gap = None
        try:
            within = bootstrap_within(
                item.outcome,
                item.risk,
                item.fold,
                generator=np.random.default_rng([seed, 2]),
                n_resamples=n_resamples,
            )
            if reference is not None and name != AMKD:
                base = reference.risk[reference.in_order_of(item.patients)]
                gap = paired_difference(
                    item.outcome, base, item.risk, item.fold,
                    generator=np.random.default_rng([seed, 3]), n_resamples=n_resamples,
                )  # fmt: skip
        except OutcomeError:
            within = None
        rows.append(Row(name, folds, within, gap))
    return _with_repeated(comparison, _corrected(rows))


def _with_repeated(comparison: Comparison, rows: Sequence[Row]) -> list[Row]:
    """The rows, and in their places those that are one of them again."""
    by_name = {row.name: row for row in rows}
    for name, same in comparison.same_as.items():
        by_name[name] = replace(by_name[same], name=name, gap=None, p_corrected=None, same_as=same)
    return [by_name[name] for recipe in comparison.recipes for name in recipe.predicts]


def _corrected(rows: Sequence[Row]) -> list[Row]:
    values = iter(holm([row.gap.p_value for row in rows if row.gap is not None]))
    return [replace(row, p_corrected=None if row.gap is None else next(values)) for row in rows]


def concordance_table(rows: Sequence[Row], caption: str, beside: Mapping[str, str]) -> ReportTable:
    """Tables 2, 5 and 6: one row a model, with the paper's figure in a column of its own where there is one."""
    header = [
        "modality",
        "model",
        "C-index, mean ± sd",
        "within folds (95 %)",
        "minus AMKD (95 %)",
        "p, Holm",
    ]
    with_modality = 2 * sum(row.name in TITLES for row in rows) > len(rows)  # models, not switches of one
    lines = []
    for row in rows:
        modality = TITLES[row.name].modality if row.name in TITLES else ""
        lines.append([modality, row.title, spread(row.folds), interval(row.within), *_gap(row)])
    table = with_published(
        caption, header, lines, [beside.get(row.name, "") for row in rows], not with_modality
    )
    if any(
        row.p_corrected is not None and row.p_corrected > 0.05 and row.gap.is_least for row in rows if row.gap
    ):
        table = replace(table, note=f"{table.note} {TOO_FEW}")
    if any(row.same_as is not None for row in rows):
        table = replace(table, note=f"{table.note} {REPEATED}")
    return replace(table, note=f"{table.note} {MODALITIES}") if with_modality else table


def _gap(row: Row) -> tuple[str, str]:
    if row.same_as is not None:
        return f"same as {title_of(row.same_as)}", ""
    if row.gap is None:
        return "", ""
    found = row.gap.interval
    difference = f"{found.estimate:+.3f} ({found.lower:+.3f} to {found.upper:+.3f})"
    return difference, p_text(row.p_corrected, row.gap)


def p_text(corrected: float | None, gap: PairedDifference) -> str:
    """A corrected p value, marked where it is a bound (`PairedDifference.is_least`); empty for None."""
    return "" if corrected is None else ("≤ " if gap.is_least else "") + f"{corrected:.3f}"


def with_published(
    caption: str, header: list[str], lines: list[list[str]], beside: list[str], drop_first: bool = False
) -> ReportTable:
    """A table with the paper's figures in a last column, where there are any."""
    if any(beside):
        header = [*header, PUBLISHED]
        lines = [[*line, value] for line, value in zip(lines, beside, strict=True)]
    if drop_first:
        header, lines = header[1:], [line[1:] for line in lines]
    return ReportTable(caption, tuple(header), tuple(tuple(line) for line in lines), PAIRED)


def log_rank_table(comparison: Comparison, cohort: str | None) -> ReportTable:
    """Table 3: low against high risk group by each model, cut at the median risk of each fold's training patients."""
    beside = published(3, cohort)
    events = words_of(comparison.cohort.file.endpoint).events
    lines, marks = [], []
    for name in comparison.models:
        groups = risk_groups(comparison.scored[name])
        if groups is None:
            continue
        sizes = [f"{part.n_events} of {part.n_patients}" for part in (groups.low, groups.high)]
        p_value = groups.log_rank.p_value
        tested = f"{p_value:.2e}" if p_value is not None else groups.log_rank.reason or ""
        lines.append([title_of(name), *sizes, tested])
        marks.append(beside.get(name, ""))
    table = with_published(
        f"Table 3: {events} in the low and the high risk group, and the log-rank test",
        ["model", f"{events}, low risk", f"{events}, high risk", "log-rank p"], lines, marks,
    )  # fmt: skip
    note = "Out-of-fold predictions of all folds together; the cut of a fold is its training patients' median risk."
    return replace(table, note=note)


def spread(value: Spread) -> str:
    """Mean and standard deviation over folds."""
    if value.mean is None:
        return "undefined"
    return f"{value.mean:.3f}" + (f" ± {value.std:.3f}" if value.std is not None else "")


def interval(value: Interval | None) -> str:
    """Estimate with its interval."""
    return "undefined" if value is None else f"{value.estimate:.3f} ({value.lower:.3f} to {value.upper:.3f})"
