"""What a finished comparison writes: a page, each table as CSV and LaTeX, all figures as JSON, Kaplan-Meier panels."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace
from functools import reduce
from pathlib import Path

from amkd_core.atomic import write_text
from amkd_core.export.cohort_figures import draw_kaplan_meier, write_cohort_figure
from amkd_core.export.run_report import (
    KeyFigure,
    Report,
    ReportFigure,
    ReportSection,
    ReportTable,
    write_report,
)
from amkd_core.studies.ablation import PAPER_ALPHA
from amkd_core.studies.benchmark import Comparison
from amkd_core.studies.comparison_record import ComparisonRecord, comparison_record
from amkd_core.studies.comparison_tables import (
    Row,
    concordance_table,
    interval,
    log_rank_table,
    rows_of,
    spread,
)
from amkd_core.studies.external_table import external_rows, external_table
from amkd_core.studies.protocol import protocol
from amkd_core.studies.published import published
from amkd_core.studies.tables import write_table_files
from amkd_core.survival.endpoints import EndpointWords, words_of
from amkd_core.training.config import TrainingConfig
from amkd_core.training.fold_record import write_table
from amkd_core.training.model_statistics import risk_groups
from amkd_core.training.recipes import AMKD, TITLES, Recipe
from amkd_core.training.report_figures import group_curves
from amkd_core.training.report_run import METRICS
from amkd_core.training.report_text import cohort_section
from amkd_core.training.run_folder import environment
from amkd_core.training.scored import Scored

CHANGES = (
    "Published are changes against AMKD of the mean C-index over the paper's four cohorts; its rows without ARR and GE "
    "tell no pathways either."
)
REPORT, PREDICTIONS = "report.html", "predictions.csv"


def write_benchmark(
    out: Path, comparison: Comparison, config: TrainingConfig, cohort: str | None
) -> list[Row]:
    """Tables 2, 3 and 4 and figure 2, into the comparison's folder.

    Parameters
    ----------
    cohort
        The paper's cohort whose published figures stand in a column of their own; None for none.
    """
    rows = rows_of(comparison, seed=config.seed, n_resamples=config.report.resamples)
    tables = {
        "table-2": concordance_table(rows, "Table 2: C-index of every model", published(2, cohort)),
        "table-3": log_rank_table(comparison, cohort),
    }
    others = external_rows(comparison, seed=config.seed, n_resamples=config.report.resamples)
    other = external_table(comparison, cohort, rows=others)
    if other is not None:
        tables["table-4"] = other
    pictures = kaplan_meier_panels(
        out / "figures",
        comparison.scored.values(),
        words_of(comparison.cohort.file.endpoint),
        synthetic=comparison.cohort.file.synthetic,
    )
    _write(out, comparison, config, ("Benchmark", rows, tables, pictures))
    _write_record(out, comparison_record(comparison, config, rows, others))
    return rows


def write_ablation(
    out: Path, comparison: Comparison, config: TrainingConfig, about: tuple[int | None, str | None]
) -> list[Row]:
    """One table of rows that differ in a switch.

    Parameters
    ----------
    about
        Number of the paper's table, None for switches of one's own; and the paper's cohort, None for none.
    """
    number, cohort = about
    rows = rows_of(comparison, seed=config.seed, n_resamples=config.report.resamples)
    caption = f"Table {number}: ablation" if number else "Ablation"
    beside = published(number, cohort) if number else {}
    if any(recipe == PAPER_ALPHA for recipe in comparison.recipes) and AMKD in beside:
        beside[PAPER_ALPHA.name] = beside.pop(AMKD)  # the settings' alpha is not the paper's
    name = f"table-{number}" if number else "ablation"
    table = concordance_table(rows, caption, beside)
    notes = [table.note, own_values(comparison.recipes, config), CHANGES if number == 5 and beside else ""]
    table = replace(table, note=" ".join(filter(None, notes)))
    _write(out, comparison, config, ("Ablation", rows, {name: table}, {}))
    _write_record(out, comparison_record(comparison, config, rows))
    return rows


def own_values(recipes: Iterable[Recipe], config: TrainingConfig) -> str:
    """What AMKD's own row has where other rows change a setting, as a sentence; empty where none does."""
    changed_keys = dict.fromkeys(part.partition("=")[0] for recipe in recipes for part in recipe.overrides)
    values = [f"{key} = {reduce(getattr, key.split('.'), config)}" for key in changed_keys]
    return f"The row AMKD has {', '.join(values)}." if values else ""


def kaplan_meier_panels(
    folder: Path, models: Iterable[Scored], words: EndpointWords, *, synthetic: bool
) -> dict[str, Path]:
    """Figure 2 of each model that has risk groups, by its name; simulated patients are called so in the picture."""
    found: dict[str, Path] = {}
    for item in models:
        title = TITLES[item.model].title if item.model in TITLES else item.model
        title += " (SYNTHETIC)" if synthetic else ""
        panel = group_curves(item, title, None if item.high is None else risk_groups(item), words)
        if panel is None:
            continue
        found[item.model] = write_cohort_figure(
            folder, f"kaplan-meier-{item.model}", lambda figure, panel=panel: draw_kaplan_meier(figure, [panel]),  # type: ignore[misc]
            size=(5.8, 4.6),
        )  # fmt: skip
    return found


def _remove_earlier(out: Path, *, kept: Collection[str]) -> None:
    """Take away tables and panels of an earlier call of other rows, which would stand beside these as if of one."""
    for pattern in ("table-[2-6].*", "ablation.*", "figures/kaplan-meier-*"):
        for path in out.glob(pattern):
            if path.stem not in kept:
                path.unlink()


def _write_record(out: Path, record: ComparisonRecord) -> None:
    write_text(out / METRICS, record.model_dump_json(indent=1) + "\n")


def _write(
    out: Path,
    comparison: Comparison,
    config: TrainingConfig,
    content: tuple[str, Sequence[Row], dict[str, ReportTable], dict[str, Path]],
) -> None:
    title, rows, tables, pictures = content
    write_table(out / PREDICTIONS, comparison.predictions)
    cohort = comparison.cohort
    if cohort.file.synthetic:  # a table may be read without its page
        tables = {name: replace(item, caption=f"SYNTHETIC. {item.caption}") for name, item in tables.items()}
    _remove_earlier(out, kept=(*tables, *(path.stem for path in pictures.values())))
    for name, table in tables.items():
        write_table_files(out, name, table)
    ranked = [row for row in rows if row.folds.mean is not None and row.same_as is None]
    best = max(ranked, key=lambda row: row.folds.mean or 0, default=None)
    keys = [KeyFigure(row.title, spread(row.folds), interval(row.within)) for row in rows if row.name == AMKD]
    if best is not None and best.name != AMKD:
        keys.append(KeyFigure(f"highest: {best.title}", spread(best.folds), interval(best.within)))
    figures = tuple(
        ReportFigure(path, f"{TITLES[name].title if name in TITLES else name}: out-of-fold risk groups")
        for name, path in pictures.items()
    )
    sections = [ReportSection("Tables", tables=tuple(tables.values()))]
    if figures:
        sections.append(ReportSection("Figure 2: Kaplan-Meier curves of the risk groups", figures=figures))
    sections += [ReportSection("Protocol", points=protocol(comparison, config)), cohort_section(cohort)]
    write_report(
        out / REPORT,
        Report(
            f"{title}: {cohort.file.name}", cohort.summary, cohort.file.synthetic, tuple(keys), tuple(sections),
            "; ".join(f"{name} {value}" for name, value in environment().items()),
        ),
    )  # fmt: skip
