"""The report of a run in words: what was done, what came out, what it means and what it does not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from amkd_core.bundle_words import FEW_EVENTS
from amkd_core.cohort.cohort import Cohort
from amkd_core.cohort.splits import Split
from amkd_core.export.run_report import KeyFigure, Report, ReportFigure, ReportSection, ReportTable
from amkd_core.survival.endpoints import EndpointWords, words_of
from amkd_core.training import report_subgroups as subgroups
from amkd_core.training.cohort_tables import cohort_table, fold_table
from amkd_core.training.estimates import Estimate
from amkd_core.training.report_tables import added_table, error_table, order_table, undefined_figures
from amkd_core.training.statistics_record import ModelStatistics, RunStatistics

_CAPTIONS = {
    "kaplan_meier": "Probability of {free} of the patients whom the model put into the low and the high risk group, "
    "cut at the median risk of the training patients, with 95 % bands and the numbers still followed. All are test "
    "patients.",
    "folds": "C-index of each fold (small numbers) and its mean (bar). A mean at or below the dashed chance line is "
    "what shuffled outcomes reach in one try of twenty.",
    "calibration": "Observed against predicted {free} in groups of similar prediction. Below the diagonal, more "
    "patients {ended} than predicted.",
    "risks": "Risk of every test patient{by_fold}; the bar is the border between low and high risk.",
    "subgroups": subgroups.CAPTION,
    "over_time": "Left: how well the risk tells who {ended} by a month from who had not. Right: squared error of the "
    "predicted {free}; a model that is worth having runs below the dashed line.",
}
LIMITS = (
    "Research use only. No figure here supports a decision about a patient.",
    "Test patients come from the same cohort as the training patients. Scanners, staining and hospitals of another one "
    "are a harder test: see amkd evaluate.",
    "Folds share training patients, so that the standard deviation over folds is no standard error of the mean; read "
    "the intervals by patient.",
    "Intervals account for who happened to be tested, not for who happened to be trained on.",
    "A high risk is an association. Attention and hazard ratios show no cause.",
)
CHANCE = 0.5


def training_report(
    cohort: Cohort, splits: Sequence[Split], statistics: RunStatistics, pictures: Mapping[str, Path],
    provenance: Mapping[str, Any], *, explanations: Sequence[ReportSection] = (), n_patches: Sequence[int] = (),
) -> Report:  # fmt: skip
    """Report of a run with its own folds; `explanations` of its models come after the results.

    `n_patches` are those of each slide.
    """
    return Report(
        title=f"{cohort.file.name}: cross-validated survival model",
        subtitle=f"Endpoint {cohort.file.endpoint}; {_sentence_of_size(statistics)}",
        synthetic=cohort.file.synthetic,
        key_figures=key_figures(statistics),
        sections=(
            ReportSection("What this says", points=reading(statistics)),
            ReportSection("What was done", _method(statistics, splits), tables=(fold_table(cohort, splits),)),
            cohort_section(cohort, n_patches),
            *result_sections(statistics, pictures),
            *explanations,
            limits_section(statistics),
            provenance_section(provenance),
        ),
        footer="AMKD Viewer. docs/statistics.md explains every figure; metrics.json and predictions.csv hold them all.",
    )


def key_figures(statistics: RunStatistics) -> tuple[KeyFigure, ...]:
    """Numbers of the summary."""
    found = []
    several = len(statistics.folds) > 1
    how = "all test patients, within folds" if several else "95 % interval by patient"
    for name, item in statistics.models.items():
        note = f"{how}: {item.c_index_within_folds.text()}"
        found.append(
            KeyFigure(f"C-index of the {name}{statistics.of_how_many(name)}", item.c_index.text(), note)
        )
    if statistics.clinical.c_index.mean is not None:
        text = f"{how}: {statistics.clinical.c_index_within_folds.text()}"
        label = f"C-index of {statistics.clinical.named} alone"
        found.append(KeyFigure(label, statistics.clinical.c_index.text(), text))
    if statistics.chance is not None and statistics.chance.percentile_95 is not None:
        note = statistics.chance.caution or (
            f"95th percentile of {statistics.chance.n_shuffles} shuffles of the outcomes"
        )
        found.append(KeyFigure("Chance line", f"{statistics.chance.percentile_95:.3f}", note))
    return tuple(found)


def reading(statistics: RunStatistics) -> tuple[str, ...]:
    """What the figures mean, one sentence each."""
    points = [
        point for name, item in statistics.models.items() for point in _model_reading(name, item, statistics)
    ]
    difference = statistics.student_minus_teacher
    if difference.value is not None:
        points.append(
            f"Student minus teacher: {difference.text(sign=True)} in C-index, on the same patients"
            f"{statistics.of_how_many('teacher')}; "
            + _meaning(difference, "the student is better", "the teacher is better", "no difference is shown")
            + "."
        )
    named = statistics.clinical.named
    for name, added in statistics.added.items():
        ratio = added.hazard_ratio
        if ratio.value is not None and ratio.lower is not None and ratio.upper is not None:
            shown = "" if ratio.lower > 1 else " The interval holds 1, so no effect is shown."
            if ratio.upper < 1:
                shown = f" That is the wrong way round: do not use this {name}."
            points.append(
                f"{named.capitalize()} held equal, one standard deviation more of the {name}'s risk goes with "
                f"{ratio.text(2)} times the hazard.{shown}"
            )
        if added.gain.value is not None:
            meaning = _meaning(added.gain, "it adds to that", "it makes that worse", "no gain is shown")
            points.append(
                f"Together with {named} the {name} reaches {added.combined.text()}, where {named} alone "
                f"gave {added.clinical.text()} (gain {added.gain.text(sign=True)}): {meaning}."
            )
    return tuple(points) or ("No test patient was predicted, so there is nothing to read.",)


def _model_reading(name: str, item: ModelStatistics, statistics: RunStatistics) -> list[str]:
    own = item.c_index_within_folds
    if own.value is None:
        return [f"The {name}'s C-index cannot be estimated: {own.reason}."]
    ended = words_of(statistics.endpoint).ended
    points = [
        f"Of two test patients the {name} gives the one who {ended} first the higher risk in {100 * own.value:.0f} % "
        "of the pairs that can be compared (0.5, half of them, is chance; interval "
        f"{own.lower:.2f} to {own.upper:.2f})."
    ]
    if own.upper is not None and own.upper < CHANCE:
        points.append(f"The {name}'s risks run against the outcomes: do not use this model.")
    own_line = statistics.network_chance.get(name)
    line = statistics.chance if own_line is None or own_line.caution else own_line
    chance = None if line is None or line.caution else line.percentile_95
    if chance is not None and item.c_index.mean is not None:
        side = "above" if item.c_index.mean > chance else "not above"
        points.append(
            f"Its C-index, {item.c_index.mean:.3f} in the mean of the folds, is {side} what shuffled outcomes reach in "
            f"one try of twenty on these folds ({chance:.3f})"
            + ("." if side == "above" else ": it may be luck.")
        )
    return points + _months_reading(name, item, words_of(statistics.endpoint))


def _months_reading(name: str, item: ModelStatistics, words: EndpointWords) -> list[str]:
    own, without = item.integrated_brier.value, item.integrated_brier_without_model.value
    if own is None or without is None or own < without:
        return []
    return [
        f"The {name}'s predicted {words.free} in months is no better than the same curve for everyone (integrated "
        f"Brier score {own:.3f} against {without:.3f}): use its order of patients, not its months."
    ]


def _meaning(estimate: Estimate, better: str, worse: str, neither: str) -> str:
    if estimate.lower is not None and estimate.lower > 0:
        return better
    if estimate.upper is not None and estimate.upper < 0:
        return worse
    return f"the interval holds 0, so {neither}"


def _sentence_of_size(statistics: RunStatistics) -> str:
    folds = len(statistics.folds)
    how = f"in {folds} folds" if folds > 1 else "in one split"
    events = words_of(statistics.endpoint).events
    return f"{statistics.n_patients} patients tested {how}, {statistics.n_events} {events}"


def _method(statistics: RunStatistics, splits: Sequence[Split]) -> tuple[str, ...]:
    how = (
        f"The patients were divided {len(splits)} times into training, validation and test patients, so that each is "
        "predicted by networks that had not seen that patient"
        if len(splits) > 1
        else "The patients were divided once into training, validation and test patients"
    )
    return (
        "A teacher network learns from the slides and the tumour's gene expression together. A student network then "
        "learns from the slides alone, guided by the teacher; only the student is needed for a new patient.",
        f"{how}. Scaling, time bins and the border of the risk groups come from training patients; validation patients "
        "choose when training stops and nothing else.",
        "Beside the networks stand three lines: a clinical baseline from what is known of age and stage on the same "
        "folds, what the networks add to it, and the chance line, which a cheap model reaches on shuffled outcomes.",
    )


def cohort_section(cohort: Cohort, n_patches: Sequence[int] = ()) -> ReportSection:
    """Table 1, who was kept out, how columns were understood, and what looks suspicious.

    `n_patches` are those of each slide, where they are known.
    """
    points = [*(str(item) for item in cohort.findings)]
    points += [f"Warning: {sentence}" for sentence in cohort.warnings]
    points += list(cohort.notes)
    return ReportSection("The cohort", points=tuple(points), tables=(cohort_table(cohort, n_patches),))


def result_sections(statistics: RunStatistics, pictures: Mapping[str, Path]) -> tuple[ReportSection, ...]:
    """Tables and pictures of the results."""
    if not statistics.models:
        return (ReportSection("Results", ("No test patient was predicted.",)),)

    words = words_of(statistics.endpoint)
    by_fold = ", by fold" if len(statistics.folds) > 1 else ""

    def figures(*names: str) -> tuple[ReportFigure, ...]:
        return tuple(
            ReportFigure(
                pictures[name], _CAPTIONS[name].format(free=words.free, ended=words.ended, by_fold=by_fold)
            )
            for name in names
            if name in pictures
        )

    baselines = ReportSection(
        f"Beside {statistics.clinical.named}" + (", and chance" if statistics.chance is not None else ""),
        _baseline_text(statistics),
        tables=(added_table(statistics),),
    )
    by_subgroup = ReportSection(
        subgroups.TITLE,
        subgroups.subgroup_text(statistics),
        tables=(subgroups.subgroup_table(statistics),),
        figures=figures("subgroups"),
    )
    return (
        ReportSection(
            "Ordering of patients", tables=(order_table(statistics),), figures=figures("folds", "risks")
        ),
        baselines,
        *([by_subgroup] if statistics.subgroups else []),
        ReportSection("Risk groups", figures=figures("kaplan_meier")),
        ReportSection(
            f"Predicted {words.free}",
            tables=(error_table(statistics),),
            figures=figures("calibration", "over_time"),
        ),
    )


def _baseline_text(statistics: RunStatistics) -> tuple[str, ...]:
    texts = []
    if statistics.clinical.reason:
        texts.append(f"No clinical model stands beside the networks: {statistics.clinical.reason}.")
    else:
        texts.append(
            f"The clinical baseline is a ridge Cox model on {statistics.clinical.named} (unknown values filled with "
            "the training mean and flagged). A slide model that does not beat it, or adds nothing to it, tells a "
            "clinician nothing new."
        )
    chance = statistics.chance
    if chance is not None and chance.percentile_95 is not None and chance.mean is not None:
        own = chance.cheap_model_on_true_outcomes
        texts.append(
            f"On {chance.n_shuffles} shuffles of the outcomes a ridge Cox model on {chance.features} reached "
            f"{chance.mean:.3f} in the mean and {chance.percentile_95:.3f} at the 95th percentile"
            + ("" if own is None else f"; on the true outcomes it reaches {own:.3f}")
            + ". It stands for the networks, because as many trainings of those would take days."
        )
    texts += [
        f"Trained on {item.n_shuffles} shuffles of the outcomes, the {name} itself reached {item.mean:.3f} in the mean "
        f"and {item.percentile_95:.3f} at the 95th percentile{f' ({item.caution})' if item.caution else ''}."
        for name, item in statistics.network_chance.items()
        if item.percentile_95 is not None and item.mean is not None
    ]
    return tuple(texts)


def limits_section(statistics: RunStatistics, limits: Sequence[str] = LIMITS) -> ReportSection:
    """What the figures cannot show, and which could not be computed."""
    points = list(limits)
    if statistics.n_events < FEW_EVENTS:
        points.insert(
            1,
            f"Only {statistics.n_events} {words_of(statistics.endpoint).events} were seen among the test patients: "
            "every figure is unsure.",
        )
    points += [f"Not computed. {sentence}" for sentence in undefined_figures(statistics)]
    return ReportSection("Limits", points=tuple(points))


def provenance_section(provenance: Mapping[str, Any]) -> ReportSection:
    """Everything that made the run, as a table."""
    rows = tuple((key, str(value)) for key, value in _flat(provenance))
    return ReportSection(
        "Provenance", tables=(ReportTable("What made this run", ("", ""), rows, is_long=True),)
    )


def _flat(values: Mapping[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    found: list[tuple[str, Any]] = []
    for key, value in values.items():
        name = f"{prefix}{key}"
        found += _flat(value, f"{name}.") if isinstance(value, Mapping) else [(name, value)]
    return found
