"""What a bag tells of the slide that it was made of: which image, which scale, what could not be read."""

from __future__ import annotations

from typing import TYPE_CHECKING

from amkd_core.notices import Notice

if TYPE_CHECKING:
    from amkd_core.slides.info import Microns
    from amkd_core.slides.low_power import LowPower
    from amkd_core.slides.slide import Slide


def image_notices(slide: Slide) -> list[Notice]:
    """Which of several images of a file was read."""
    info = slide.info
    if info.n_scenes == 1:
        return []
    which, how = f"scene {info.scene} (counted from 0)", ""
    if info.scene == 0:
        which, how = "the first (scene 0)", "; amkd extract and amkd predict take another by --scene"
    return [
        Notice(
            "several_images",
            f"The slide's file holds {info.n_scenes} images; {which} was read, the others were not{how}.",
        )
    ]


def scale_notices(slide: Slide) -> list[Notice]:
    """Where the scale is the nominal magnification's, is far from it, or overrules what the slide records."""
    microns, recorded = slide.microns, slide.info.recorded
    if recorded is not None and not _alike(microns, recorded):
        return [
            Notice(
                "scale_source",
                f"The slide records {recorded.text} micrometres per pixel; the {microns.text} that the "
                "user gave were taken instead.",
            )
        ]
    if recorded is not None and recorded.contradicted_by is not None:
        return [
            Notice(
                "scale_source",
                f"The slide's nominal objective power means about {recorded.contradicted_by:.3g} micrometres per "
                f"pixel; the {microns.text} that the user gave were taken instead.",
            )
        ]
    if microns.contradicted_by is not None:
        return [
            Notice(
                "scale_source",
                f"The slide records {microns.mean:.4g} micrometres per pixel, but its nominal objective power means "
                f"about {microns.contradicted_by:.3g}; the former was taken (amkd predict overrules it by --mpp, "
                "amkd extract by --mpp-table).",
            )
        ]
    if microns.source != "objective_power":
        return []
    return [
        Notice(
            "scale_source",
            f"The slide tells no micrometres per pixel; {microns.mean:.3g} was taken from its nominal objective "
            "power, which may be off by 20 %.",
        )
    ]


def _alike(one: Microns, other: Microns) -> bool:
    return all(0.95 < ratio < 1.05 for ratio in (one.x / other.x, one.y / other.y))


def damage_notices(low: LowPower) -> list[Notice]:
    """Where the overview is damaged no tissue is found, and no patch that fails would tell."""
    share = float(low.unreadable.mean())
    if not share:
        return []
    words = f"{share:.1%}" if share >= 0.001 else "less than 0.1%"
    return [
        Notice(
            "unreadable_places",
            f"The slide is damaged: {words} of its area could not be read at low power, and tissue there was not "
            "looked for.",
        )
    ]


def invalid_notice(n_invalid: int, n_patches: int, n_missing: int) -> Notice:
    """How many patches are left out."""
    lost = f"; {n_missing} of them lie on tissue whose tiles hold no data" if n_missing else ""
    return Notice(
        "invalid_patches",
        f"{n_invalid} of {n_patches} patches could not be read and were left out{lost}.",
    )
