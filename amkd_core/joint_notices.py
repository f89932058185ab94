"""Notices of several slides as one patient's: what is true of one slide must not be read as true of another."""

from __future__ import annotations

from collections.abc import Sequence

from amkd_core.notices import Notice, NoticeCode

SlideNotices = Sequence[Sequence[Notice]]
"""Per slide of a patient what its own bag says."""

_OF_SLIDES: dict[NoticeCode, str] = {
    "not_he": "{who} {does} not look like H&E; the models know H&E only, so do not use this result.",
    "coarse_scale": "{who} {has} a coarser scale than the encoder expects; patches were scaled up and show less detail "
    "than those it was made for.",
    "non_square_pixels": "{who} {has} pixels that are not square; width and height were scaled apart.",
    "several_images": "{who} {comes} from a file with several images, of which one was read.",
    "scale_source": "{who} {has} micrometres per pixel that follow from the nominal magnification, contradict it or "
    "were given by the user.",
    "unreadable_places": "{who} {is_} damaged: a part of the area could not be read at low power, and tissue there was "
    "not looked for.",
    "invalid_patches": "{who} {has} patches that could not be read, or stood twice in the feature file, and do not "
    "count.",
    "tissue_left_out": "{who} {has} much tissue outside the patches that were weighed: too narrow for a patch, or cut "
    "by the edge of the scan.",
    "unverified_bag": "{who} {has} features from a file that does not record the encoder's weights and the source "
    "slide; whether they fit the model could not be verified.",
}
_VERBS = {"does": "do", "has": "have", "comes": "come", "is_": "are"}


def joint_notices(slides: SlideNotices) -> tuple[Notice, ...]:
    """Notices of the patient: of each code that some slides have one, which says of how many and names none.

    What is of no slide's own, such as that there is no map, stays as it is. A single slide's are its own.
    """
    if len(slides) == 1:
        return tuple(slides[0])
    told: dict[Notice, None] = {}
    for notice in (notice for own in slides for notice in own):
        text = _OF_SLIDES.get(notice.code)
        told[notice if text is None else Notice(notice.code, _of_slides(text, notice.code, slides))] = None
    return tuple(told)


def notices_on(slides: SlideNotices, index: int) -> tuple[Notice, ...]:
    """Notices of the patient as they are shown on one slide: its own in its own words, the others' as of others."""
    own, told = slides[index], []
    for notice in joint_notices(slides):
        if notice.code not in _OF_SLIDES:
            told.append(notice)
            continue
        mine = [one for one in own if one.code == notice.code]
        n_others = sum(notice.code in _codes(one) for one in slides) - bool(mine)
        told.extend(mine[:-1])
        if mine and n_others:
            more = f"The same holds for {share_of(n_others, len(slides) - 1, 'other slide')}."
            told.append(Notice(notice.code, f"{mine[-1].sentence} {more}"))
        else:
            told.append(mine[-1] if mine else notice)
    return tuple(told)


def share_of(number: int, total: int, what: str = "slide") -> str:
    """Say how many of a patient's slides are meant, without a name."""
    if number == total:
        which = {1: "", 2: "both of "}.get(total, f"all {total} of ")
        return f"{which}the patient's {what}{'' if total == 1 else 's'}"
    return f"{'one' if number == 1 else number} of the patient's {total} {what}s"


def _of_slides(text: str, code: NoticeCode, slides: SlideNotices) -> str:
    number = sum(code in _codes(own) for own in slides)
    who = share_of(number, len(slides))
    verbs = {verb: verb.rstrip("_") if number == 1 else plural for verb, plural in _VERBS.items()}
    return text.format(who=who[:1].upper() + who[1:], **verbs)


def _codes(notices: Sequence[Notice]) -> set[NoticeCode]:
    return {notice.code for notice in notices}
