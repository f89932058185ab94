"""A report of one prediction as HTML or PDF: what is said, where the model looked, what made it, its limits."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from amkd_core.atomic import atomic_path, write_text
from amkd_core.errors import ConfigError
from amkd_core.export.figure_file import write_png
from amkd_core.export.fonts import fonts_of_all_scripts
from amkd_core.export.pictures import PATCH_PX, SlidePictures
from amkd_core.export.pseudonym import shown_name, shown_provenance
from amkd_core.export.report_pages import draw_pages, map_picture, patch_strip, plain_curve
from amkd_core.export.run_report import (
    SYNTHETIC_MODEL,
    KeyFigure,
    Report,
    ReportFigure,
    ReportSection,
    ReportTable,
    render_report,
)
from amkd_core.inference.maps import agreement, top_patches
from amkd_core.inference.pathway_table import patient_effects, ranked_pathways
from amkd_core.inference.prediction import Prediction, TeacherPrediction
from amkd_core.inference.survival_summary import summarise, told_until

N_PATHWAYS = 5


def write_report(
    path: Path, prediction: Prediction, pictures: SlidePictures | None, *, identified: bool = False
) -> None:
    """Write the report atomically, in the format that the name's ending says.

    Parameters
    ----------
    path
        ``.html`` (one file that opens anywhere) or ``.pdf`` (two A4 pages, more where names are long or notices many).
    pictures : SlidePictures, optional
        Pixels of the slide; without them the map is drawn on white. Label and macro images are never among them.
    identified
        Name the slide instead of a pseudonym.

    Raises
    ------
    ConfigError
        When the ending is another.
    OSError
        When the disk is full or the folder not writable; nothing is left under `path`.
    """
    suffix = path.suffix.lower()
    if suffix not in (".html", ".pdf"):
        raise ConfigError(f"{path.name}: a report ends in .html or .pdf, found {suffix or 'no ending'}")
    if suffix == ".html":
        with tempfile.TemporaryDirectory() as folder, fonts_of_all_scripts():
            figures = _pictures(Path(folder), prediction, pictures)
            write_text(path, render_report(_report(prediction, figures, identified=identified)))
        return
    from matplotlib.backends.backend_pdf import PdfPages

    report = _report(prediction, {}, identified=identified)
    with (
        fonts_of_all_scripts(),
        atomic_path(path) as temporary,
        PdfPages(temporary, metadata={"Title": report.title, "Creator": "AMKD Viewer"}) as pages,
    ):
        for figure in draw_pages(prediction, pictures, report):
            pages.savefig(figure)


def key_figures(prediction: Prediction) -> tuple[KeyFigure, ...]:
    """Risk, group and survival, each with what it is measured against."""
    cohort, risks = prediction.cohort, prediction.member_risks
    spread = f"models {risks.min():.2f} to {risks.max():.2f}" if len(risks) > 1 else "one model"
    keys = [
        KeyFigure("Risk", f"{prediction.risk:.2f}", f"higher is worse; {spread}"),
        KeyFigure(
            "Within the training cohort",
            f"{prediction.risk_percentile:.0f} %",
            f"of {cohort.size} patients ({cohort.events} {cohort.words.events}) have a lower risk",
        ),
        KeyFigure("Risk group", prediction.group_text, _group_note(prediction)),
    ]
    found = summarise(prediction.curve)
    known = [(year, share) for year, share in found.at_years if share is not None]
    if known:
        shares = " / ".join(f"{share:.0%}" for _, share in known)
        names = " / ".join(str(year) for year, _ in known)
        rest, told = median_sentence(prediction), told_until(prediction)
        if max(12 * known[-1][0], found.median_months or 0) > told:
            rest += f"; from {told:.0f} months on the curve takes its shape from the training cohort's"
        keys.append(KeyFigure(f"Predicted {cohort.words.free} at {names} years", shares, rest))
    return tuple(keys)


def _group_note(prediction: Prediction) -> str:
    """What the group is cut at, and where to read why it is in doubt."""
    cut = "cut at the training cohort's median risk"
    return f"{cut}; what to beware of says why it is in doubt" if prediction.is_doubtful else cut


def median_sentence(prediction: Prediction) -> str:
    """Predicted median time to the event in words."""
    found = summarise(prediction.curve)
    if found.median_months is None:
        return f"median beyond the {found.last_month:.0f} months that the cohort was followed"
    return f"median {found.median_months:.0f} months"


def _report(prediction: Prediction, figures: dict[str, ReportFigure], *, identified: bool) -> Report:
    shown = [figures[key] for key in ("map", "patches") if key in figures]
    curve = [figures["curve"]] if "curve" in figures else []
    sections = [
        ReportSection("What to beware of", points=tuple(notice.sentence for notice in prediction.notices)),
        ReportSection(
            "Where the model looked",
            (
                *_joined_sentence(prediction, identified=identified),
                "Colours say what the model weighed, not what causes the risk.",
            ),
            tables=_patch_table(prediction),
            figures=tuple(shown),
        ),
        ReportSection(f"Predicted {prediction.cohort.words.name}", figures=tuple(curve)),
        *_teacher_section(prediction),
        ReportSection("What made it", tables=(_provenance_table(prediction, identified=identified),)),
    ]
    made = str(prediction.provenance["created"])
    return Report(
        title=_title(prediction, identified=identified),
        subtitle=f"Model {prediction.provenance['bundle']['name']}, {made}",
        synthetic=bool(prediction.provenance["bundle"]["synthetic"]),
        key_figures=key_figures(prediction),
        sections=tuple(sections),
        footer=f"AMKD Viewer {prediction.provenance['software']['amkd']}"
        + ("" if identified else f"; {_left_out(prediction)} left out"),
        banner=SYNTHETIC_MODEL,
    )


def _title(prediction: Prediction, *, identified: bool) -> str:
    patient = prediction.patient
    if patient is None:
        return f"Survival risk predicted from {shown_name(prediction, identified=identified)}"
    whom = patient.patient_id if identified else "a patient"
    return f"Survival risk predicted for {whom} from {len(patient.slide_ids)} slides"


def _left_out(prediction: Prediction) -> str:
    return "the slide's name was" if prediction.patient is None else "names of patient and slides were"


def _joined_sentence(prediction: Prediction, *, identified: bool) -> tuple[str, ...]:
    """Which slides were predicted together, and which of them is shown."""
    patient = prediction.patient
    if patient is None:
        return ()
    names = f": {', '.join(patient.slide_ids)}" if identified else ""
    shown = shown_name(prediction, identified=identified)
    return (
        f"Predicted from {len(patient.slide_ids)} slides of the patient together{names}. What is shown here is on one "
        f"of them, {shown}; risk and curve are the patient's.",
    )


def _patch_table(prediction: Prediction) -> tuple[ReportTable, ...]:
    if not prediction.has_map:
        return ()
    rows = tuple(
        (
            str(patch.rank),
            f"{patch.xy_level0[0]}, {patch.xy_level0[1]}",
            f"{patch.score:.2f}",
            f"{patch.percentile:.1f}",
        )
        for patch in top_patches(prediction)
    )
    size = prediction.bag.patch_size_px * prediction.bag.mpp
    here, patient = len(prediction.patch_scores), prediction.patient
    counted = (
        f"{here:,} patches were weighed"
        if patient is None
        else f"of the {patient.n_patches:,} patches of the patient that were weighed, {here:,} are on this slide"
    )
    note = f"Each patch is {size:.0f} µm wide; {counted}."
    header = ("rank", "x, y (level 0)", "weight / mean", "percentile")
    return (ReportTable("The most telling patches", header, rows, note),)


def _teacher_section(prediction: Prediction) -> tuple[ReportSection, ...]:
    teacher = prediction.teacher
    if teacher is None:
        return ()
    both = agreement(prediction.patch_scores, teacher.patch_scores)
    rows = tuple(
        (row.name, f"{row.attention * len(teacher.pathways):.2f}")
        for row in ranked_pathways(teacher)[:N_PATHWAYS]
    )
    text = (
        f"With the tumour's expression the teacher predicts a risk of {teacher.risk:.2f} on its own scale. "
    )
    if np.isfinite(both.spearman):
        text += (
            f"Its map and the student's agree with a rank correlation of {both.spearman:.2f}, {both.top5} of the "
            f"{min(5, len(prediction.patch_scores))} most telling patches, and {both.top5_percent:.0%} of the highest "
            "5 %."
        )
    else:
        text += "One of the two maps is the same everywhere, so that nothing tells how alike they are."
    tables = [
        ReportTable(
            "The most attended pathways", ("pathway", "attention / mean"), rows, "Attention is no cause."
        ),
        *_effects_table(prediction, teacher),
    ]
    return (ReportSection("With gene expression", (text,), tables=tuple(tables)),)


def _effects_table(prediction: Prediction, teacher: TeacherPrediction) -> tuple[ReportTable, ...]:
    reading, rows = prediction.cohort.pathway_effects, patient_effects(teacher, prediction.cohort)
    if reading is None or not rows:
        return ()
    note = (
        f"Against the training cohort's mean patient, by a linear reading that explains {reading.explained:.0%} of the "
        "teacher's risk. It explains the model and proves no cause."
    )
    shown = tuple((row.name, f"{row.effect:+.3f}") for row in rows[:N_PATHWAYS])
    return (ReportTable("What moves the teacher's risk most", ("pathway", "adds to the risk"), shown, note),)


def _provenance_table(prediction: Prediction, *, identified: bool) -> ReportTable:
    record = shown_provenance(prediction, identified=identified)
    slide, patches, software = record["slide"], record["patches"], record["software"]
    mpp = (
        "unknown"
        if slide["mpp"] is None
        else f"{slide['mpp'][0]:.4g} x {slide['mpp'][1]:.4g} µm ({slide['mpp_source']})"
    )
    patient = prediction.patient
    on_this = "" if patient is None else f", {len(prediction.patch_scores):,} of them on this slide"
    rows = [
        *_patient_rows(prediction, identified=identified),
        ("slide", f"{slide['id']}, content {slide['fingerprint'] or 'not recorded'}"),
        ("pixel size", mpp),
        ("patches", f"{patches['count']:,} of {patches['size_px']} px at {patches['mpp']:g} µm{on_this}"),
        ("encoder", f"{record['encoder']['name']}, weights {record['encoder']['weights_sha256']}"),
        ("model", f"{record['bundle']['name']}, file {record['bundle']['sha256'] or 'not saved'}"),
        *_expression_rows(record["genes"]),
        ("measured", prediction.cohort.measured or "not told"),
        *([("subgroups", prediction.cohort.subgroups)] if prediction.cohort.subgroups else []),
        ("software", ", ".join(f"{name} {version}" for name, version in software.items())),
    ]
    return ReportTable("Provenance", ("what", "value"), tuple(rows), is_long=True)


def _expression_rows(genes: Mapping[str, Any] | None) -> list[tuple[str, str]]:
    """What the teacher read, and whose it is where names are told."""
    if genes is None:
        return []
    whose = f" of {genes['patient']}" if genes.get("patient") else ""
    return [("expression", f"{genes['needed']:,} genes{whose}, {len(genes['missing']):,} of them missing")]


def _patient_rows(prediction: Prediction, *, identified: bool) -> list[tuple[str, str]]:
    patient = prediction.patient
    if patient is None:
        return []
    together = f"{len(patient.slide_ids)} slides together"
    return [
        ("patient", f"{patient.patient_id}, {together} ({', '.join(patient.slide_ids)})")
        if identified
        else ("patient", together)
    ]


def _pictures(
    folder: Path, prediction: Prediction, pictures: SlidePictures | None
) -> dict[str, ReportFigure]:
    """The figures of an HTML report, drawn into a folder."""
    figures = {
        "curve": (
            plain_curve(prediction),
            f"The curve of {prediction.subject} on the Kaplan-Meier curves of the training cohort.",
        )
    }
    if prediction.has_map:
        figures["map"] = (
            map_picture(prediction, pictures),
            "Gene-guided attention as percentile within the slide, with the five most telling patches.",
        )
        if pictures is not None and pictures.patches:
            figures["patches"] = (
                patch_strip(prediction, pictures),
                f"The most telling patches, each {PATCH_PX} px wide.",
            )
    found = {}
    for key, (figure, caption) in figures.items():
        write_png(figure, folder / f"{key}.png", dpi=130)
        found[key] = ReportFigure(folder / f"{key}.png", caption)
    return found
