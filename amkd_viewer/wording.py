"""What the panels say about slides and predictions, as plain text."""

from __future__ import annotations

from typing import TYPE_CHECKING

from amkd_core.slides.microns import doubt_of, is_oblong
from amkd_viewer.plot_foot import PlotWords
from amkd_viewer.plots import short_name

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from amkd_core.inference.map_style import MapStyle
    from amkd_core.inference.maps import Agreement, TopPatch
    from amkd_core.inference.prediction import Prediction
    from amkd_core.progress import Progress
    from amkd_core.slides import Microns, SlideInfo
    from amkd_viewer.events import Expression

RESEARCH_USE = "Research use only. Not for diagnosis or treatment decisions."
"""Shown at all times, whatever the bundle says."""
MAP_CAPTION = "Gene-guided attention"
MAP_CAUTION = "Attention is what the model weighed, not proof of cause."
GALLERY_EMPTY = "Predict the slide to see its most and least telling patches here."
GALLERY_HINT = "Click a patch to fly there; point at it to mark it on the slide."
NO_EXPRESSION = (
    "Without the tumour's gene expression the teacher cannot run. Choose an expression table above and predict again: "
    "then this panel shows how much attention the patches pay to each pathway, each pathway's map on the slide, and "
    "the pathway's genes with this patient's z-scores."
)
NO_COHORT_PATHWAYS = (
    "0 is this patient's least attended pathway, 1 the most. The training cohort's bars are missing: this model file "
    "was made before they were kept in it. Train the model again with amkd-train, or draw them from a cohort with amkd "
    "explain."
)
COHORT_PATHWAYS = (
    "0 is the least attended pathway, 1 the most, of this patient and of the training cohort each."
)
EFFECTS = (
    "What a pathway's activity adds to the teacher's risk, red where it raises it: of this patient against the "
    "training cohort's mean patient, of the cohort for one standard deviation more. A linear reading of the model, "
    "which explains {explained:.0%} of the teacher's risk in patients left out; it proves no cause."
)
NO_EFFECTS = (
    "Effects on the teacher's risk are missing: this model file was made before they were kept in it, or its training "
    "cohort is too small. Train the model again with amkd-train, or read them from a cohort with amkd explain."
)
WEAK_EFFECTS = (
    "Effects on the teacher's risk are not shown: the linear reading explains only {explained:.0%} of it, so it does "
    "not stand for this teacher."
)
NOTHING_TO_COMPARE = (
    "There are not two maps to compare. With the patient's expression (panel Pathways) teacher and student are; "
    "so are two models on one slide, or two slides of one patient, once both are predicted."
)
CHOOSE_MAPS = (
    "Choose the two maps to compare. Teacher and student are compared by themselves where the slide was predicted with "
    "the patient's expression (panel Pathways)."
)
PATIENT_HINT = "Open the patient's slides, tick them, and predict them as the model was trained: as one bag."
REGION_HINT = (
    "Draw polygons round tissue; the risk is computed again from the features that are there. With several slides "
    "ticked above, each slide's regions count on that slide, and all tissue of a slide without any. The model was "
    "trained on all tissue of a slide."
)
SCALE_HINT = "About 0.25 for a 40× scan, 0.5 for 20×."
REGION_CHANGED = "The region has changed since this result; predict from it again."
WHOLE_FIRST = "Predict the whole slide first; the region is then computed from its features."
QUEUE_RUNNING = "The slides of a folder are being predicted; wait for them or cancel that first."
SLIDE_RUNNING = "A slide is being predicted; wait for it or cancel that first."
BUSY = frozenset({QUEUE_RUNNING, SLIDE_RUNNING})
"""What is no longer true once nothing is under way."""
GIVEN_UP = "{slide} was taken out of the window while it was being predicted; its prediction was cancelled."
LAST_CLOSED = (
    "The last AMKD panel was closed: the prediction under way was stopped, slides that were done are kept."
)
QUEUE_MODEL = "Predict all takes the model {chosen}."
QUEUE_BY = "The rows are by the model {model}."
QUEUE_OTHER_MODEL = (
    "The rows are by the model {model}. Another one, {chosen}, is chosen now: a row that is opened shows that one's "
    "result, and Predict all predicts all slides anew with it."
)
QUEUE_HINT = (
    "Choose a folder; each slide is predicted by itself. A click on a row says all about it, a double click opens the "
    "slide."
)
QUEUE_NO_SCALE = (
    "{slide} {why}; enter the µm per pixel of slides without a scale above the table and predict again, or open the "
    "slide by itself."
)
QUEUE_SCALE_HINT = (
    f"Taken for those slides alone that do not tell their own, or contradict themselves. {SCALE_HINT}"
)
PLACE_HEADING = "The risk among the training cohort"
SURVIVAL_LIMITS = (
    "A model's estimate from slides alone. The bands are those of the cohort's curves, not of this patient's."
)
IDENTIFIED = "Name slide and patient (else a pseudonym)"
QUEUE_IDENTIFIED_HINT = (
    "Also writes why slides failed, which may name files; the window shows both in any case."
)
EXPORT_HINT = (
    "Research use only. Names of slides and patients stay out unless you ask for them; the notices go along."
)
MODEL_CHOSEN = "{model} is the chosen model now."
DEMO_MODEL = "Demo (synthetic)"
DEFAULTS_HINT = "Windows that are open keep what is chosen in them. The command line begins with the same."
CACHE_HINT = (
    "Features and results of slides that were predicted, under names that say nothing of the patient. Opening such a "
    "slide again shows its result at once. Over the limit, what was used longest ago goes. What lies at an earlier "
    "place stays there; empty it before you choose another."
)
CACHE_BY_VARIABLE = "The variable AMKD_CACHE_DIR names the place, and goes before what is chosen here."
EMPTY_ASKED = (
    "Remove the features and results of all slides? Each is encoded anew when it is predicted again, which takes "
    "minutes a slide; slides, exports and models stay."
)
NOTHING_KEPT = "nothing is kept"
WEIGHTS_HINT = (
    "Foundation encoders run on your own copy of their weights, under their authors' licence; nothing is downloaded. "
    "Choose an encoder and name its file, or a folder that holds model.safetensors or pytorch_model.bin."
)
NO_SLIDE_YET = "Open a slide first: File > Open Files, or File > Open Sample for the demo slide."
OTHER_MODEL = "Predicted with {model}; choose that model again to see the result."
NO_RESULT_YET = "Predict the slide first; there is no map yet."
NO_TEACHER_MAP = "There is no teacher's map: predict with the patient's expression first (panel Pathways)."
FIRST_STEPS = (
    "Open a slide: File > Open Files, or drop it on the window. File > Open Sample has a synthetic demo slide.",
    "In Predict survival risk choose a model (the demo's is there) and press Predict.",
    "Read risk, notices and curve; the map and the boxes of the five most telling patches lie on the slide.",
    "Top patches shows those patches enlarged; View and heatmap changes how the map is shown.",
    "With the tumour's gene expression, Pathways and Compare show the teacher beside the student; the demo slide's is "
    "offered there.",
    "Export writes a report, maps and tables, without names unless you ask for them.",
)
READING_HINT = (
    "The risk is a place among the model's training patients, not a chance of dying. The map is what the model "
    "weighed, not proof of cause; on every slide some patch is the highest. Notices say what speaks against trusting "
    "a result."
)
KEYS_HINT = (
    "Keys work while a panel of AMKD is open. A key that napari or its user has given away is left to it."
)
MAP_TAKEN_AWAY = "The map is not drawn; tick “Show the map” to draw it."
MAP_FAULT = (
    "The map of {slide} cannot be drawn because of a fault in AMKD Viewer ({kind}); the log has the details."
)
FLAT_ONLY = "Results and regions are shown in the 2D view; napari's 3D view is left for it."
OVERLAY_STAYS = (
    "Maps and boxes stay on their tissue and are not moved by themselves: move the slide's own layer, and what lies "
    "on it follows."
)
SIZE_STAYS = (
    "A slide can be moved and turned but not stretched: the scale bar would be wrong. State its micrometres per pixel "
    "in “Slide information”, where the file does not tell them."
)
NO_MODEL = "No model is chosen, and the demo's is not installed; choose a bundle (.amkd)."
SCALE_QUESTION = (
    "This slide does not tell its scale; enter its micrometres per pixel: "
    "about 0.25 for a 40× scan, 0.5 for 20×."
)
NO_SCALE = (
    "{slide} {why}; bring it into view and enter its micrometres per pixel in Predict survival risk: "
    "about 0.25 for a 40× scan, 0.5 for 20×."
)

SCALE_IN_DOUBT = "This slide {doubt}; enter the right micrometres per pixel, or choose:"

_SOURCES = {
    "vendor": "from the scanner's metadata",
    "tiff_resolution": "from the TIFF resolution tags",
    "objective_power": "guessed from the objective's nominal power",
    "user": "given by you",
}
_PANEL_CODES = frozenset({"research_only"})


def risk_sentence(prediction: Prediction) -> str:
    """Say where the slide's risk lies in the training cohort."""
    percentile = prediction.risk_percentile
    part = {0.0: "none", 100.0: "all"}.get(percentile, f"{percentile:.0f} %")
    if 0 < percentile < 0.5 or 99.5 <= percentile < 100:  # of some patients, whatever it rounds to
        part = "less than 1 %" if percentile < 50 else "more than 99 %"
    return (
        f"Higher predicted risk than {part} of the {prediction.cohort.size} training patients "
        f"(risk score {prediction.risk:.3f}; higher is worse)."
    )


def group_sentence(prediction: Prediction) -> str:
    """Say where the risk groups part, which the group's name does not."""
    n_models = len(prediction.member_risks)
    high = prediction.risk_group == "high"
    side = "above" if high else "not above"
    how_many = "at least half" if high else "more than half"
    by = f", by {how_many} of the {n_models} models" if n_models > 1 else ""
    return f"{prediction.risk_group.capitalize()} risk is {side} the training patients' median risk{by}."


def teacher_sentence(prediction: Prediction) -> str:
    """Say whose the headline is, and the teacher's risk beside it; empty where the teacher did not predict.

    A model file keeps the risks of its training patients by the student alone, so the teacher's has no percentile.
    """
    if prediction.teacher is None:
        return ""
    return (
        "Percentile, group and curve are the student's, from the slide alone. With the expression the teacher predicts "
        f"a risk of {prediction.teacher.risk:.3f}, on its own scale (higher is worse); it has no percentile and no "
        "group, because the model file keeps no risks of its training patients by the teacher."
    )


def group_text(prediction: Prediction) -> str:
    """Name the risk group, not without a doubt that takes its meaning away."""
    return f"{prediction.group_text} risk".upper()


def map_hint(style: MapStyle) -> str:
    """Say what the map's numbers are, and whose where they are not the student's: one map is shown at a time."""
    whose = {"student": "", "teacher": "The teacher's map, not the student's. "}.get(
        style.source, f"The map of one pathway, {short_name(style.source, 60)}, not the student's. "
    )
    what = (
        "Percentile within the slide" if style.kind == "percentile" else "Weight divided by the slide's mean"
    )
    smooth = " Smoothed over neighbouring patches." if style.smooth else ""
    cut = f" Only the top {style.top_percent:g} % is drawn." if style.top_percent < 100 else ""
    return f"{whose}{what}.{smooth}{cut} What the model weighed, not proof of cause."


def notice_sentences(prediction: Prediction) -> list[str]:
    """Sentences of the notices, without those that the panel shows at all times."""
    return [notice.sentence for notice in prediction.notices if notice.code not in _PANEL_CODES]


def mpp_text(mpp: tuple[float, float]) -> str:
    """The number of micrometres per pixel, or both where x and y differ."""
    x, y = (f"{value:.4g}" for value in mpp)
    return x if x == y else f"{x} × {y}"


def scale_text(microns: Microns | None) -> str:
    """Say the slide's scale and where it comes from."""
    if microns is None:
        return "unknown"
    return f"{mpp_text((microns.x, microns.y))} µm per pixel, {_SOURCES[microns.source]}"


def no_scale_text(info: SlideInfo) -> str:
    """Why a slide's scale is asked for, to be read after its name."""
    return "does not tell its scale" if info.recorded is None else doubt_of(info.recorded)


def scale_question(info: SlideInfo) -> str:
    """What is asked of a slide whose scale nothing tells, or is in doubt."""
    if info.recorded is None:
        return SCALE_QUESTION
    return SCALE_IN_DOUBT.format(doubt=doubt_of(info.recorded))


def scale_candidates(info: SlideInfo) -> list[tuple[str, tuple[float, float]]]:
    """What a scale that is in doubt may be, as text and (x, y) micrometres per pixel; empty where nothing tells."""
    recorded = info.recorded
    if recorded is None:
        return []
    one = (recorded.x, recorded.y)
    sides = [(side, side) for side in one] if is_oblong(recorded) else []
    power = [] if recorded.contradicted_by is None else [(recorded.contradicted_by,) * 2]
    return [(mpp_text(mpp), mpp) for mpp in (one, *sides, *power)]


def cursor_text(
    xy_level0: tuple[float, float],
    mpp: tuple[float, float] | None,
    *,
    heat: float | None,
    kind: str = "percentile",
) -> str:
    """Say where the cursor is, and the heat there."""
    x, y = xy_level0
    if mpp is None:
        place = f"x {x:,.0f} px, y {y:,.0f} px (scale unknown)"
    else:
        place = f"x {x * mpp[0]:,.1f} µm, y {y * mpp[1]:,.1f} µm"
    if heat is None:
        return f"{place}; no heat here"
    return (
        f"{place}; heat: percentile {heat:.1f}"
        if kind == "percentile"
        else f"{place}; heat: {heat:.3g} × mean"
    )


def agreement_text(agreement: Agreement) -> str:
    """Say how alike two maps are."""
    return (
        f"Agreement: {agreement.rho_text}; {agreement.top5} of the top 5 patches and "
        f"{100 * agreement.top5_percent:.0f} % of the top 5 % in common."
    )


def scope_words(prediction: Prediction) -> list[str]:
    """What a result is of, where it is of more or of less than the slide."""
    codes = {notice.code for notice in prediction.notices}
    return [word for code, word in (("several_slides", "patient"), ("region", "region")) if code in codes]


def apart_text(first: Prediction, second: Prediction) -> str:
    """Say why no number tells how alike two maps are, and whose they are."""
    one, other = first.slide_id, second.slide_id
    if first.bag.slide_fingerprint == second.bag.slide_fingerprint:
        return f"The two rest on different patches of {one}; only the pictures can be compared."
    together = (
        first.risk == second.risk and "patient" in scope_words(first) and "patient" in scope_words(second)
    )
    whose = "predicted together as one patient's" if together else "which may be of two patients"
    return f"The two are of different slides, {one} and {other}, {whose}; only the pictures can be compared."


def result_title(prediction: Prediction, source: str) -> str:
    """Name one map of one result; `source` as it is to be read."""
    scope = "".join(f", {word}" for word in scope_words(prediction))
    whose = source[:1].upper() + source[1:]
    return f"{whose}: {prediction.slide_id}{scope}, {prediction.provenance['bundle']['name']}"


def result_titles(maps: Sequence[tuple[Prediction, str]]) -> list[str]:
    """Name maps, the newest first, so that no two read alike.

    Where slide and name of the model are the same, the model's hash tells results apart, then the number of patches, as
    of two regions, and at last their order: the first result is the oldest. All maps of a result are told by the same.
    """
    results = list({id(prediction): prediction for prediction, _ in maps}.values())
    names = [result_title(prediction, "") for prediction in results]
    details = [""] * len(results)
    hashes = [f" ({prediction.provenance['bundle']['sha256'][:8]})" for prediction in results]
    patches = [f", {len(prediction.bag):,} patches" for prediction in results]
    for added in (hashes, patches):
        told = [name + detail for name, detail in zip(names, details, strict=True)]
        details = [
            detail + more if len(_details_of(one, told, added)) > 1 else detail
            for one, detail, more in zip(told, details, added, strict=True)
        ]
    told = [name + detail for name, detail in zip(names, details, strict=True)]
    details = [
        f"{detail}, result {told[place:].count(one)}" if told.count(one) > 1 else detail
        for place, (one, detail) in enumerate(zip(told, details, strict=True))
    ]
    of_result = {id(prediction): detail for prediction, detail in zip(results, details, strict=True)}
    return [result_title(prediction, source) + of_result[id(prediction)] for prediction, source in maps]


def _details_of(title: str, titles: Sequence[str], details: Sequence[str]) -> set[str]:
    """What the results of one title differ in."""
    return {detail for other, detail in zip(titles, details, strict=True) if other == title}


def drawn_text(counts: Mapping[str, int]) -> str:
    """How many regions are drawn on each of a patient's slides."""
    return "; ".join(
        f"{name}: {number} region{'s' if number > 1 else ''}"
        if number
        else f"{name}: no region, all tissue counts"
        for name, number in counts.items()
    )


def patient_text(prediction: Prediction) -> str:
    """Name the patient whose slides were predicted together, and them; empty where one slide was predicted."""
    patient = prediction.patient
    if patient is None:
        return ""
    return (
        f"{patient.patient_id}: one patient, {len(patient.slide_ids)} slides ({', '.join(patient.slide_ids)})"
    )


def size_text(n_bytes: int) -> str:
    """Say a size on disk."""
    return f"{n_bytes / 2**30:.1f} GB" if n_bytes >= 2**30 else f"{n_bytes / 2**20:.1f} MB"


def magnification_text(power: float | None) -> str:
    """Say how much the screen magnifies."""
    if power is None:
        return "Magnification unknown: no scale"
    return f"Magnification {power:.3g}×  ({10 / power:.3g} µm per screen pixel)"


def patch_text(patch: TopPatch, number: int) -> str:
    """Name a patch that was flown to."""
    return f"Top patch {patch.rank} of {number}: {patch.score:.3g} × mean, percentile {patch.percentile:.1f}"


def taken_text(title: str, taken_by: str) -> str:
    """What a key does, or who has it."""
    return f"{title} (not bound: the key is taken by “{taken_by}”)" if taken_by else title


def progress_text(progress: Progress) -> str:
    """Say what is being done, and how far it has come."""
    count = f": {progress.done:,} of {progress.total:,}" if progress.total > 1 else ""
    return f"{progress.stage}{count}"


def slides_found_text(n_slides: int, n_folders_aside: int) -> str:
    """Say how many slides a folder holds, and that those of its sub-folders are left out."""
    folders = f"{n_folders_aside} sub-folder{'s' if n_folders_aside > 1 else ''}"
    hold = "hold" if n_folders_aside > 1 else "holds"
    if not n_slides:
        found = "No slides found in this folder."
        return f"{found} {folders} of it {hold} slides; choose one of them." if n_folders_aside else found
    found = f"{n_slides} slide{'s' if n_slides > 1 else ''} found."
    return (
        f"{found} {folders} that {hold} slides, too, {'are' if n_folders_aside > 1 else 'is'} left out."
        if (n_folders_aside)
        else found
    )


def content_text(fingerprint: str) -> str:
    """Shorten the fingerprint of a slide's content to what people compare."""
    return fingerprint.split(":")[-1][:12]


def told_text(prediction: Prediction) -> str:
    """Say what the dashed part of the curve is."""
    from amkd_core.inference.survival_summary import told_until

    return (
        f"Dashed, from {told_until(prediction):.0f} months on: the model has no months of its own there; the curve "
        "runs as the training cohort's, steeper or flatter by the patient's hazard."
    )


def survival_facts(prediction: Prediction) -> list[tuple[str, str]]:
    """Numbers of the predicted curve, and of the cohort that it is compared with."""
    from amkd_core.inference.survival_summary import summarise, told_until

    found, cohort, told = summarise(prediction.curve), prediction.cohort, told_until(prediction)
    median = "not reached" if found.median_months is None else f"{found.median_months:.0f} months"
    if found.median_months is not None and found.median_months > told:
        median += " (dashed part)"
    facts = [("Endpoint", cohort.words.name), ("Median", median)]
    for year, value in found.at_years:
        text = (
            f"beyond the curve ({found.last_month:.0f} months)" if value is None else f"{100 * value:.0f} %"
        ) + (" (dashed part)" if value is not None and 12 * year > told else "")
        facts.append((f"{year} year{'s' if year > 1 else ''}", text))
    risks = prediction.member_risks
    spread = (
        f"{min(risks):.3f} to {max(risks):.3f} over {len(risks)} folds"
        if len(risks) > 1
        else "one model, no spread"
    )
    facts.append(("Risk", f"{prediction.risk:.3f} ({spread})"))
    facts.append(("Cohort", cohort_text(prediction)))
    return facts


def cohort_text(prediction: Prediction) -> str:
    """Size of the training cohort."""
    cohort = prediction.cohort
    return f"{cohort.size} patients, {cohort.events} {cohort.words.events}"


def curve_heading(prediction: Prediction) -> str:
    """What the predicted curve is of."""
    return f"Predicted {prediction.cohort.words.name}"


def curve_words(prediction: Prediction) -> PlotWords:
    """What goes along with the curve where it leaves its panel."""
    return _plot_words(
        f"{curve_heading(prediction)} of {prediction.subject}",
        prediction,
        told_text(prediction),
        SURVIVAL_LIMITS,
    )


def place_words(prediction: Prediction) -> PlotWords:
    """What goes along with the risk's place in the cohort where it leaves its panel."""
    return _plot_words(PLACE_HEADING, prediction, risk_sentence(prediction))


def pathway_words(prediction: Prediction, explained: str) -> PlotWords:
    """What goes along with bars of pathways where they leave their panel; `explained` is what they show."""
    return _plot_words("Pathways", prediction, explained)


def _plot_words(title: str, prediction: Prediction, *explained: str) -> PlotWords:
    model = prediction.provenance["bundle"]
    by = f"Model: {model['name']}" + (f" ({model['sha256'][:12]})." if model["sha256"] else ".")
    return PlotWords(title, (RESEARCH_USE, *notice_sentences(prediction), *explained, by))


def prediction_facts(prediction: Prediction, expression: Expression | None = None) -> list[tuple[str, str]]:
    """What a reader needs to judge a result, as pairs of label and text; `expression` is what the teacher saw."""
    bag, patient = prediction.bag, prediction.patient
    model = prediction.provenance["bundle"]
    together = "" if patient is None else f" on this slide, {patient.n_patches:,} on all of the patient's"
    facts = [
        ("Model", f"{model['name']} ({model['sha256'][:12]})"),
        ("Endpoint", prediction.cohort.words.name),
        ("Cohort", cohort_text(prediction)),
        ("Tissue", f"{len(bag.features):,} patches of {bag.patch_size_px * bag.mpp:.0f} µm{together}"),
        ("Encoder", f"{bag.encoder.name} {bag.encoder.version}".strip()),
        ("Licence", bag.encoder.licence),
    ]
    if prediction.cohort.measured:
        facts.insert(3, ("Measured", prediction.cohort.measured))
    if prediction.cohort.subgroups:
        facts.insert(4, ("Subgroups", prediction.cohort.subgroups))
    if len(prediction.member_risks) > 1:
        low, high = float(min(prediction.member_risks)), float(max(prediction.member_risks))
        facts.insert(1, ("Folds", f"{len(prediction.member_risks)} models, risk {low:.3f} to {high:.3f}"))
    if expression is not None:
        facts.append(("Expression", f"patient {expression.patient}, {expression.path.name}"))
    if bag.slide_mpp is not None:
        source = _SOURCES.get(bag.slide_mpp_source or "", "")
        facts.append(("Scale", f"{mpp_text(bag.slide_mpp)} µm per pixel{', ' if source else ''}{source}"))
    if bag.slide_fingerprint:
        facts.append(("Content", content_text(bag.slide_fingerprint)))
    return facts


def slide_facts(info: SlideInfo, *, given_mpp: tuple[float, float] | None = None) -> list[tuple[str, str]]:
    """What is known of a slide, as pairs of label and text; `given_mpp` is what the user stated, (x, y)."""
    width, height = info.levels[0].size_px
    facts = [
        ("Name", info.slide_id),
        ("Format", info.vendor + (f", {info.compression}" if info.compression else "")),
        ("Pixels", f"{width:,} × {height:,}"),
        (
            "Scale",
            scale_text(info.microns)
            if given_mpp is None
            else f"{mpp_text(given_mpp)} µm per pixel, given by you",
        ),
        ("Levels", ", ".join(f"1/{level.downsample[0]:.4g}" for level in info.levels)),
        ("Objective", f"{info.objective_power:g}×" if info.objective_power else "not recorded"),
        ("Read by", info.backend),
        ("Content", content_text(info.fingerprint)),
    ]
    if info.microns is not None:
        size = f"{width * info.microns.x / 1000:.2f} × {height * info.microns.y / 1000:.2f} mm"
        facts.insert(3, ("Size", size))
    if info.n_scenes > 1:
        facts.insert(2, ("Scene", f"{info.scene + 1} of {info.n_scenes}"))
    if info.associated:
        facts.append(("Also holds", ", ".join(info.associated) + " (not shown)"))
    return facts
