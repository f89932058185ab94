"""Which slide is in view, with what lies on it as the user left it, and what is selected in napari's list; no Qt."""

from __future__ import annotations

from typing import TYPE_CHECKING

from amkd_viewer.slide_layers import (
    draw_overlay,
    entry_of,
    fingerprint_of,
    fit_where_lost,
    is_away,
    mpp_of,
    overlay,
    overlays_of,
    role_of,
    set_changed,
)

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Layer
    from napari.utils.events import Event

    from amkd_core.inference.maps import TopPatch

SHOWN_ROLES = ("slide", "map", "boxes", "region", "copy")
"""Of layers that are shown together with their slide."""


def turn_to(viewer: ViewerModel, slide: Layer) -> None:
    """Bring one slide into view: shown alone, under what lies on it, selected, and not lost on the canvas."""
    show_only(viewer, slide)
    raise_overlays(viewer, slide)
    select(viewer, slide)
    fit_where_lost(viewer, slide)


def show_only(viewer: ViewerModel, slide: Layer) -> None:
    """Show one slide with its map and boxes as the user left them, and hide the other slides with theirs."""
    fingerprint = fingerprint_of(slide)
    in_view = {fingerprint_of(layer) for layer in viewer.layers if layer.visible}
    for layer in viewer.layers:
        role, own = role_of(layer), fingerprint_of(layer) == fingerprint
        if role == "slide":
            # Of a slide that is open twice only the one copy.
            set_changed(layer, "visible", layer is slide)
        elif role and not own:
            # Where the user hid a slide with all that is on it, he has not said that he wants no map.
            hide(layer, wanted=None if fingerprint_of(layer) in in_view else True)
        elif role in SHOWN_ROLES:
            show(layer)


def show(layer: Layer) -> None:
    """Show what lies on a slide that is looked at as the user left it; what is put away stays so."""
    if not is_away(layer):
        set_changed(layer, "visible", entry_of(layer).pop("wanted", layer.visible))


def hide(layer: Layer, *, wanted: bool | None = None) -> None:
    """Hide what lies on a slide for as long as another one is looked at; `show` brings it back.

    Parameters
    ----------
    wanted
        Whether it is to come back; as it is in view now by default.
    """
    entry_of(layer).setdefault("wanted", layer.visible if wanted is None else wanted)
    set_changed(layer, "visible", False)


def put_away(layer: Layer) -> None:
    """Hide what no result stands for any more until it is drawn anew; the user cannot show it either.

    It is not removed: that costs napari a tenth of a second, and as much again when it is drawn anew.
    """
    hide(layer)
    if not is_away(layer):
        entry_of(layer)["away"] = True
        layer.events.visible.connect(_stay_away)


def bring_back(layer: Layer) -> None:
    """Show what is drawn anew as the user left it."""
    entry = entry_of(layer)
    if entry.pop("away", False):
        layer.events.visible.disconnect(_stay_away)
        show(layer)


def mark(viewer: ViewerModel, slide: Layer, patch: TopPatch | None) -> None:
    """Mark one patch on a slide by a frame, or none; the layer that was active stays so."""
    from amkd_viewer.layers import mark_layer

    layer = overlay(viewer, slide, "mark")
    if patch is None:
        if layer is not None:
            layer.visible = False
        return
    if viewer.dims.ndisplay != 2:
        return  # who only points at a patch keeps his view
    data = mark_layer(patch, mpp=mpp_of(slide), fingerprint=fingerprint_of(slide))
    active = viewer.layers.selection.active
    layer = draw_overlay(viewer, data)
    bring_back(layer)
    layer.visible = True
    viewer.layers.selection.active = active


def _stay_away(event: Event) -> None:
    layer = event.source
    if layer.visible:
        layer.visible = False


def selected(viewer: ViewerModel) -> Layer | None:
    """The layer that is selected in napari's list; None where there is none or several.

    It is the layer itself: what a plugin gets of `selection.active` is a proxy, which is no layer of the list.
    """
    selection = viewer.layers.selection
    return next(iter(selection)) if len(selection) == 1 else None


def select(viewer: ViewerModel, slide: Layer) -> None:
    """Select a slide's map, or itself, in napari's list, unless it, what lies on it or the user's own is selected."""
    selection = viewer.layers.selection
    active = selected(viewer)
    if active is None:
        settled = bool(selection)  # several
    else:
        other_copy = role_of(active) == "slide" and active is not slide
        settled = fingerprint_of(active) in ("", fingerprint_of(slide)) and not other_copy
    if not settled:
        selection.active = overlay(viewer, slide, "map") or slide


def raise_overlays(viewer: ViewerModel, slide: Layer) -> None:
    """Bring what belongs to a slide above it: of one that is open twice it may lie under this copy."""
    place, layers = viewer.layers.index(slide), viewer.layers
    below = [layers.index(one) for one in overlays_of(fingerprint_of(slide), layers)]
    below = sorted(index for index in below if index < place)
    if below:
        layers.move_multiple(below, place + 1)
