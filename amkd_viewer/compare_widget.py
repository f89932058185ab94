"""*Plugins > AMKD > Compare teacher and student*: two maps side by side, their agreement and their difference."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

from qtpy.QtCore import QTimer
from qtpy.QtGui import QShowEvent
from qtpy.QtWidgets import QCheckBox, QComboBox, QPushButton

from amkd_viewer import slide_layers
from amkd_viewer.beside_widget import MapsBeside, beside_of, dock_of, end_beside, show_beside
from amkd_viewer.canvases_widget import Shown, described
from amkd_viewer.labels_widget import heading_label, wrapped_label
from amkd_viewer.layers import difference_layer, sources_of
from amkd_viewer.name_box_widget import NameBox
from amkd_viewer.panel_widget import WorkspacePanel, row
from amkd_viewer.wording import (
    CHOOSE_MAPS,
    MAP_CAUTION,
    NOTHING_TO_COMPARE,
    agreement_text,
    apart_text,
    result_titles,
)

if TYPE_CHECKING:
    from napari.layers import Layer
    from napari.viewer import Viewer

    from amkd_core.inference.comparison import Comparison
    from amkd_core.inference.prediction import Prediction

DIFFERENCE_TITLE = "Purple: higher on the left; orange: on the right"


class Entry(NamedTuple):
    """One map of one result: fingerprint of its slide, prediction and source."""

    fingerprint: str
    prediction: Prediction
    source: str


class CompareWidget(WorkspacePanel):
    """Two maps of this session beside one another, with one camera.

    As long as nobody sees the panel, in the background of other tabs, it notes that something has changed and does
    nothing: canvases of napari are dear, and the user is at something else.
    """

    def __init__(self, napari_viewer: Viewer) -> None:
        super().__init__(napari_viewer)
        self._entries: list[Entry] = []
        self._titles: list[str] = []
        self._chosen: tuple[Entry | None, Entry | None] | None = None  # by the user; None: the panel chooses
        self._found: tuple[Entry, Entry, Comparison | None] | None = None
        self._drawn: Any = None
        self._stale = True
        self._follows_dock = False
        self._catch_up = QTimer(self)
        self._catch_up.setSingleShot(True)
        self._catch_up.timeout.connect(self._refresh)

        # Interactive elements
        self.left, self.right = NameBox(), NameBox()
        self.difference = QCheckBox("Difference map")
        self.show_button = QPushButton("Show side by side")
        self.fit_button = QPushButton("Fit")

        # Read-only elements
        self.agreement = wrapped_label()
        self.missing = wrapped_label(NOTHING_TO_COMPARE, role="amkdNotice")

        # Event handlers
        for box in (self.left, self.right):
            box.setPlaceholderText("Choose a map")
            box.activated.connect(self._on_map_chosen)
        self.difference.toggled.connect(self._on_asked)
        self.show_button.clicked.connect(self._on_asked)
        self.fit_button.clicked.connect(self._on_fit_clicked)
        self.workspace.prediction_changed.connect(self._on_results_changed)
        self.workspace.look_changed.connect(self._on_look_changed)

        # Layout
        self.add(self.missing)
        self.left.setAccessibleName("Map on the left")
        self.right.setAccessibleName("Map on the right")
        self._headings = heading_label("Left"), heading_label("Right")
        for heading, box in zip(self._headings, (self.left, self.right), strict=True):
            self.add(heading)
            self.add(box)
        self.add(row(self.difference, self.show_button, self.fit_button))
        for item in (self.agreement, wrapped_label(MAP_CAUTION, role="amkdMuted")):
            self.add(item)
        self._show()

    @property
    def beside(self) -> MapsBeside | None:
        """The maps side by side as long as they are this panel's."""
        beside = beside_of(self._viewer)
        return beside if beside is not None and beside.owner is self else None

    def showEvent(self, event: QShowEvent | None) -> None:  # noqa: N802 (Qt's name)
        """Catch up with what has changed since the panel was seen."""
        super().showEvent(event)
        dock = dock_of(self)
        if dock is not None and not self._follows_dock:
            self._follows_dock = True
            dock.visibilityChanged.connect(self._on_dock_seen)
        self._catch_up.start()

    def _on_dock_seen(self, seen: bool) -> None:
        if seen:
            self._catch_up.start()

    # What the user does

    def _on_map_chosen(self) -> None:
        first, second = self._entry(self.left), self._entry(self.right)
        self._chosen = first, second
        self._show(asked=True)

    def _on_asked(self) -> None:
        self._show(asked=True)

    def _on_fit_clicked(self) -> None:
        beside = self.beside
        if beside is not None:
            beside.row.fit()

    # What the workspace tells

    def _on_results_changed(self) -> None:
        self._stale = True
        self._refresh()

    def _on_look_changed(self) -> None:
        if self._in_view:
            self._show()

    @property
    def _in_view(self) -> bool:
        return self.isVisible() and not self.visibleRegion().isEmpty()

    def _refresh(self) -> None:
        """Bring the panel up to date if it is seen."""
        if not self._in_view:
            return
        if self._stale:
            self._offer()
        self._show()

    def _offer(self) -> None:
        """Offer every map of this session whose slide is open, the newest first."""
        self._stale = False
        self._entries = [
            Entry(fingerprint, prediction, source)
            for fingerprint, prediction in self.workspace.session.history()
            if prediction.has_map and self._is_scaled(fingerprint)
            for source in sources_of(prediction)[:2]
        ]
        self._titles = result_titles([(entry.prediction, entry.source) for entry in self._entries])
        for box, entry in zip((self.left, self.right), self._pair(), strict=True):
            box.clear()
            box.addItems(self._titles)
            box.setCurrentIndex(-1 if entry is None else self._entries.index(entry))

    def _pair(self) -> tuple[Entry | None, Entry | None]:
        """What the user chose, as long as it is there; else teacher and student, of the slide that is looked at first.

        Where there is no teacher the user is asked: two slides may be of two patients.
        """
        if self._chosen is not None and all(one is None or one in self._entries for one in self._chosen):
            return self._chosen
        self._chosen = None
        teachers = [entry for entry in self._entries if entry.source == "teacher"]
        own = [entry for entry in teachers if entry.fingerprint == self.workspace.fingerprint]
        teacher = next(iter(own or teachers), None)
        return (None, None) if teacher is None else (teacher, teacher._replace(source="student"))

    def _show(self, *, asked: bool = False) -> None:
        ready = len(self._entries) > 1
        first, second = self._entry(self.left), self._entry(self.right)
        both = first is not None and second is not None
        self.missing.setText(CHOOSE_MAPS if ready else NOTHING_TO_COMPARE)
        self.missing.setVisible(not both)
        for widget in (*self._headings, self.left, self.right):
            widget.setVisible(ready)
        for widget in (self.difference, self.show_button, self.fit_button, self.agreement):
            widget.setVisible(both)
        if first is None or second is None:
            self._drawn = self._found = None
            end_beside(self._viewer, self)
            return
        slides = self._layer(first), self._layer(second)
        if slides[0] is None or slides[1] is None:
            return  # just taken away; the results that are left are told of soon
        found = self._compared(first, second)
        look = replace(self.workspace.look, source="")  # each canvas has a source of its own
        wanted = first, second, slides, self.difference.isChecked(), look
        if wanted == self._drawn and self.beside is not None and not asked:
            return
        maps = [
            described(
                self._titles[box.currentIndex()], slide, entry.prediction, replace(look, source=entry.source)
            )
            for box, slide, entry in zip((self.left, self.right), slides, (first, second), strict=True)
        ]
        mpp = slide_layers.mpp_of(slides[0])
        if self.difference.isChecked() and found is not None and mpp is not None:
            drawn = difference_layer(found.difference, mpp=mpp, name="difference")
            maps.append(Shown(DIFFERENCE_TITLE, slides[0], drawn, "difference"))
        show_beside(self._viewer, maps, owner=self, asked=asked)
        self._drawn = wanted if self.beside is not None else None

    def _compared(self, first: Entry, second: Entry) -> Comparison | None:
        """Compare two maps where they rest on the same patches, and say how they agree; once for each pair."""
        from amkd_core.inference.comparison import compare_maps, same_patches

        if self._found is None or self._found[:2] != (first, second):
            one, other = first.prediction, second.prediction
            found = None
            if same_patches(one, other):
                found = compare_maps(one, other, sources=(first.source, second.source))
            self._found = first, second, found
            self.agreement.setText(
                apart_text(one, other) if found is None else agreement_text(found.agreement)
            )
        return self._found[2]

    def _entry(self, box: QComboBox) -> Entry | None:
        place = box.currentIndex()
        return self._entries[place] if 0 <= place < len(self._entries) else None

    def _is_scaled(self, fingerprint: str) -> bool:
        layer = slide_layers.slide_of(fingerprint, self._viewer.layers)
        return layer is not None and slide_layers.mpp_of(layer) is not None

    def _layer(self, entry: Entry) -> Layer | None:
        return slide_layers.slide_of(entry.fingerprint, self._viewer.layers)
