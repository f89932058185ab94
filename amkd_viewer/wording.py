"""What the panels say about slides and predictions, as plain text."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from amkd_core.inference.prediction import Prediction
    from amkd_core.progress import Progress
    from amkd_core.slides import Microns, SlideInfo

RESEARCH_USE = "Research use only. Not for diagnosis or treatment decisions."
"""Shown at all times, whatever the bundle says."""
MAP_CAPTION = "Gene-guided attention"
MAP_HINT = "Percentile within the slide. What the model weighed, not proof of cause."
NO_MODEL = "No model is chosen, and the demo's is not installed; choose a bundle (.amkd)."
SCALE_HINT = "About 0.25 for a 40× scan, 0.5 for 20×."
SCALE_QUESTION = (
    "This slide does not tell its scale; enter its micrometres per pixel: "
    "about 0.25 for a 40× scan, 0.5 for 20×."
)

_SOURCES = {
    "vendor": "from the scanner's metadata",
    "tiff_resolution": "from the TIFF resolution tags",
    "objective_power": "guessed from the objective's nominal power",
    "user": "given by you",
}
_PANEL_CODES = frozenset({"research_only"})


def risk_sentence(prediction: Prediction) -> str:
    """Say where the slide's risk lies in the training cohort."""
    share = round(prediction.risk_percentile)
    part = {0: "none", 100: "all"}.get(share, f"{share} %")
    return (
        f"Higher predicted risk than {part} of the {prediction.cohort.size} training patients "
        f"(risk score {prediction.risk:.3f})."
    )


def group_text(prediction: Prediction) -> str:
    """Name the risk group."""
    return f"{prediction.risk_group} risk".upper()


def notice_sentences(prediction: Prediction) -> list[str]:
    """Sentences of the notices, without those that the panel shows at all times."""
    return [notice.sentence for notice in prediction.notices if notice.code not in _PANEL_CODES]


def scale_text(microns: Microns | None) -> str:
    """Say the slide's scale and where it comes from."""
    if microns is None:
        return "unknown"
    value = f"{microns.x:.4g}" if microns.x == microns.y else f"{microns.x:.4g} × {microns.y:.4g}"
    return f"{value} µm per pixel, {_SOURCES[microns.source]}"


def progress_text(progress: Progress) -> str:
    """Say what is being done, and how far it has come."""
    count = f": {progress.done:,} of {progress.total:,}" if progress.total > 1 else ""
    return f"{progress.stage}{count}"


def content_text(fingerprint: str) -> str:
    """Shorten the fingerprint of a slide's content to what people compare."""
    return fingerprint.split(":")[-1][:12]


def prediction_facts(prediction: Prediction) -> list[tuple[str, str]]:
    """What a reader needs to judge a result, as pairs of label and text."""
    bag, cohort = prediction.bag, prediction.cohort
    model = prediction.provenance["bundle"]
    facts = [
        ("Model", f"{model['name']} ({model['sha256'][:12]})"),
        ("Cohort", f"{cohort.size} patients, {cohort.events} deaths"),
        ("Tissue", f"{len(bag.features):,} patches of {bag.patch_size_px * bag.mpp:.0f} µm"),
        ("Encoder", f"{bag.encoder.name} {bag.encoder.version}".strip()),
        ("Licence", bag.encoder.licence),
    ]
    if len(prediction.member_risks) > 1:
        low, high = float(min(prediction.member_risks)), float(max(prediction.member_risks))
        facts.insert(1, ("Folds", f"{len(prediction.member_risks)} models, risk {low:.3f} to {high:.3f}"))
    if bag.slide_mpp is not None:
        source = _SOURCES.get(bag.slide_mpp_source or "", "")
        facts.append(("Scale", f"{bag.slide_mpp[0]:.4g} µm per pixel{', ' if source else ''}{source}"))
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
            else f"{given_mpp[0]:.4g} µm per pixel, given by you",
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
