"""The tables of figures in a report."""

from __future__ import annotations

from amkd_core.export.run_report import ReportTable
from amkd_core.survival.endpoints import words_of
from amkd_core.training.estimates import Estimate
from amkd_core.training.statistics_record import RunStatistics


def order_table(statistics: RunStatistics) -> ReportTable:
    """How well risks order patients, by model, with age and stage beside where they were fitted."""
    items, clinical = list(statistics.models.values()), statistics.clinical
    several = len(statistics.folds) > 1
    over = ", mean ± std over folds" if several else ""
    beside = not clinical.reason

    def row(label: str, texts: list[str], other: str = "–") -> tuple[str, ...]:
        return (label, *texts, other) if beside else (label, *texts)

    within = [item.c_index_within_folds.text() for item in items]
    rows = [row(f"C-index{over}", [item.c_index.text() for item in items], clinical.c_index.text())]
    if several:
        rows.append(row("C-index, pairs within folds [95 %]", within, clinical.c_index_within_folds.text()))
        rows.append(row("C-index, all pairs pooled [95 %]", [item.c_index_pooled.text() for item in items]))
    else:
        rows.append(row("C-index [95 %]", within, clinical.c_index_within_folds.text()))
    rows.append(row(f"Uno's C{over}", [item.uno.text() for item in items]))
    for index, horizon in enumerate(items[0].auc if items else []):
        values = [item.auc[index].auc.text() if index < len(item.auc) else "not estimable" for item in items]
        rows.append(row(f"AUC at {horizon.months:g} months{over}", values))
    note = "Brackets: 95 % bootstrap intervals by patient."
    if several:
        note += (
            " Networks of two folds have risk scales of their own: pairs within folds compare patients, all pairs "
            "pooled compare scales as well."
        )
    header = row("", _names(statistics), clinical.named)
    return ReportTable(
        "How well risks order patients (0.5 is chance, 1 is perfect)", header, tuple(rows), note
    )


def _names(statistics: RunStatistics) -> list[str]:
    """Models, with how many patients they scored where those are not all."""
    return [f"{name}{statistics.of_how_many(name)}" for name in statistics.models]


def error_table(statistics: RunStatistics) -> ReportTable:
    """Brier score, calibration slope and risk groups."""
    words = words_of(statistics.endpoint)
    items = list(statistics.models.values())
    rows = [
        ("Integrated Brier score (lower is better)", *(item.integrated_brier.text() for item in items)),
        (
            "the same without a model (Kaplan-Meier for everyone)",
            *(item.integrated_brier_without_model.text() for item in items),
        ),
        ("Calibration slope [95 %] (1 is right)", *(item.calibration.slope.text(2) for item in items)),
        ("Low / high risk: patients", *(_sizes(item.risk_groups, "n_patients") for item in items)),
        (f"Low / high risk: {words.events}", *(_sizes(item.risk_groups, "n_events") for item in items)),
        (
            "Log-rank test of the groups",
            *(_p(item.risk_groups.log_rank if item.risk_groups else None) for item in items),
        ),
    ]  # fmt: skip
    return ReportTable(f"Predicted {words.free}, and risk groups", ("", *statistics.models), tuple(rows))


def added_table(statistics: RunStatistics) -> ReportTable:
    """What each model adds to age and stage; the hazard ratio alone where no clinical model was fitted."""
    fitted, named = not statistics.clinical.reason, statistics.clinical.named
    header: tuple[str, ...] = ("", "Hazard ratio per std [95 %]")
    if fitted:
        header = ("", f"{named.capitalize()}: C", "With the model: C", "Gain, paired [95 %]", header[1])
    rows = []
    for name, item in statistics.added.items():
        ratio = item.hazard_ratio.text(2)
        if item.hazard_ratio.p_value is not None:
            ratio += f", {_p(item.hazard_ratio)}"
        gain = (item.clinical.text(), item.combined.text(), item.gain.text(sign=True)) if fitted else ()
        rows.append((name, *gain, ratio))
    note = (
        f"The hazard ratio is that of the model's risk on patients it had not seen, {named} held equal; 1 is no "
        "effect, and below 1 the higher risk goes with the longer time."
    )
    if fitted:
        note = "C-indices over pairs within folds. " + note
    return ReportTable(f"What the model's risk adds to {named}", header, tuple(rows), note)


def undefined_figures(statistics: RunStatistics) -> tuple[str, ...]:
    """One sentence for each figure that could not be computed."""
    found: dict[str, str] = {}
    for name, item in statistics.models.items():
        for label, figure in (
            ("C-index", item.c_index),
            ("Uno's C", item.uno),
            ("integrated Brier score", item.integrated_brier),
            ("calibration", item.calibration),
            ("calibration slope", item.calibration.slope),
        ):
            if figure.reason:
                found[f"{label} of the {name}"] = figure.reason
    if statistics.clinical.reason:
        found[statistics.clinical.named] = statistics.clinical.reason
    for name, added in statistics.added.items():
        for label, estimate in (
            (f"gain over {statistics.clinical.named}", added.gain),
            ("adjusted hazard ratio", added.hazard_ratio),
        ):
            if estimate.reason and not (estimate is added.gain and statistics.clinical.reason):
                found[f"{label} of the {name}"] = estimate.reason
    if statistics.chance is not None and statistics.chance.reason:
        found["chance line"] = statistics.chance.reason
    return tuple(f"{label}: {reason}" for label, reason in found.items())


def _sizes(groups: object, key: str) -> str:
    if groups is None:
        return "–"
    return " / ".join(str(getattr(getattr(groups, name), key)) for name in ("low", "high"))


def _p(estimate: Estimate | None) -> str:
    if estimate is None or estimate.p_value is None:
        return "not testable"
    return "p < 0.0001" if estimate.p_value < 1e-4 else f"p = {estimate.p_value:.2g}"
