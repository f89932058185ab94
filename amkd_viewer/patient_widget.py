"""*Plugins > AMKD > Patient and region*: several slides as one patient, and a drawn region instead of all tissue."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QComboBox, QLineEdit, QListWidget, QListWidgetItem, QPushButton, QSizePolicy

from amkd_core.errors import RegionError
from amkd_viewer import events, slide_layers
from amkd_viewer.events import PatientRequest, RegionRequest, SessionEvent
from amkd_viewer.labels_widget import heading_label, wrapped_label
from amkd_viewer.layer_ears import LayerEars
from amkd_viewer.layers import LINES, outline_of, region_layer
from amkd_viewer.panel_widget import WorkspacePanel
from amkd_viewer.wording import (
    PATIENT_HINT,
    REGION_CHANGED,
    REGION_HINT,
    WHOLE_FIRST,
    drawn_text,
    result_line,
)

if TYPE_CHECKING:
    from napari.layers import Layer
    from napari.viewer import Viewer

    from amkd_viewer.colours import WindowColours

    Polygons = tuple[NDArray[np.float64], ...]


class TickList(QListWidget):
    """A list with a tick box on each line; napari's style draws only those of check boxes in the theme's colours."""

    def set_colours(self, colours: WindowColours) -> None:
        """Follow the window's theme."""
        theme = "dark" if colours.dark else "light"
        self.setStyleSheet(f"""
        QListView::indicator {{ width: 12px; height: 12px; border: 1px solid {colours.text}; border-radius: 2px; }}
        QListView::indicator:checked {{ image: url("theme_{theme}:/check.svg"); }}
        """)


class PatientWidget(WorkspacePanel):
    """Chooses what of the patient's tissue is predicted."""

    def __init__(self, napari_viewer: Viewer) -> None:
        super().__init__(napari_viewer)

        # Interactive elements
        self.slides = TickList()
        self.patient_id = QLineEdit()
        self.together_button = QPushButton("Predict as one patient")
        self.draw_button = QPushButton("Draw a region")
        self.mode = QComboBox()
        self.region_button = QPushButton("Predict from the region")
        self.whole_button = QPushButton("Whole slide again")

        # Read-only elements
        self.drawn = wrapped_label(role="amkdMuted")
        self.outcome = wrapped_label()
        self.changed = wrapped_label()

        # Event handlers
        self._ears = LayerEars(self, ("data",), self._enable)
        self.together_button.clicked.connect(self._on_together_clicked)
        self.draw_button.clicked.connect(self._on_draw_clicked)
        self.region_button.clicked.connect(self._on_region_clicked)
        self.whole_button.clicked.connect(self._on_whole_clicked)
        self.slides.itemChanged.connect(self._enable)
        self.workspace.slide_changed.connect(self._on_slides_changed)
        self.workspace.prediction_changed.connect(self._enable)
        self.workspace.told.connect(self._on_told)
        self.workspace.failed.connect(self.say_error)

        # Initial values and layout
        self.patient_id.setPlaceholderText("name of the patient, for result and named exports")
        self.mode.addItem("Only tissue inside the region", False)
        self.mode.addItem("All tissue but the region", True)
        self.mode.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        self.slides.setMaximumHeight(150)
        self.slides.set_colours(self.colours)
        for item in (
            heading_label("Several slides of one patient"),
            wrapped_label(PATIENT_HINT, role="amkdMuted"),
        ):
            self.add(item)
        for item in (self.slides, self.patient_id, self.together_button):
            self.add(item)
        for item in (heading_label("A region of the slide"), wrapped_label(REGION_HINT, role="amkdMuted")):
            self.add(item)
        for item in (self.draw_button, self.drawn, self.mode, self.region_button):
            self.add(item)
        for item in (self.whole_button, self.outcome, self.changed):
            self.add(item)
        self._on_slides_changed()

    @property
    def chosen(self) -> list[Layer]:
        """Slides that are ticked."""
        items = [self.slides.item(place) for place in range(self.slides.count())]
        return [
            item.data(Qt.ItemDataRole.UserRole)
            for item in items
            if item.checkState() == Qt.CheckState.Checked
        ]

    # What the user does

    def _on_together_clicked(self) -> None:
        self.say_error("")
        self._predict_together(())

    def _on_draw_clicked(self) -> None:
        slide = self.workspace.slide
        if slide is None:
            return
        layer = self._region_on(slide)
        if layer is None:
            data = region_layer(
                mpp=slide_layers.mpp_of(slide),
                fingerprint=slide_layers.fingerprint_of(slide),
                name=slide.name,
            )
            layer = slide_layers.draw_overlay(self._viewer, data)
            self._hear_regions()
        self._viewer.layers.selection.active = layer
        layer.mode = "add_polygon"

    def _on_region_clicked(self) -> None:
        self.say_error("")
        slides = self._subjects()
        polygons = tuple(self._polygons(slide) for slide in slides)
        lines = [slide.name for slide in slides if self._has_lines(slide)]
        if lines:
            self.workspace.fail(
                RegionError(
                    f"{lines[0]}: a line encloses no tissue; draw a polygon, a rectangle or an ellipse instead of it"
                )
            )
        elif not any(polygons):
            names = " and ".join(slide.name for slide in slides)
            self.workspace.fail(RegionError(f"{names}: no region is drawn; draw one on the slide first"))
        elif len(slides) > 1:
            self._predict_together(polygons)
        else:
            self._predict_part(slides[0], polygons[0])

    def _on_whole_clicked(self) -> None:
        self.say_error("")
        if len(self._subjects()) > 1:
            self._predict_together(())
        else:
            self.workspace.run()

    def _predict_together(self, polygons: tuple[Polygons, ...]) -> None:
        """Predict the ticked slides as one patient, from their regions where any are given."""
        slides = self.chosen
        requests = [self.workspace.request_for(layer) for layer in slides]
        ready = tuple(request for request in requests if request is not None)
        if len(ready) < len(requests):
            return
        name = self.patient_id.text().strip() or " + ".join(layer.name for layer in slides)
        wholes = tuple(
            self.workspace.session.whole(request.fingerprint, request.bundle_path) for request in ready
        )
        self.workspace.start(PatientRequest(ready, name, polygons, self._excludes, wholes))

    def _predict_part(self, slide: Layer, polygons: Polygons) -> None:
        request = self.workspace.request_for(slide)
        if request is None:
            return
        whole = self.workspace.session.whole(request.fingerprint, request.bundle_path)
        if whole is None:
            self.say_error(WHOLE_FIRST)
            return
        self.workspace.start(RegionRequest(request, whole, polygons, self._excludes))

    @property
    def _excludes(self) -> bool:
        return bool(self.mode.currentData())

    def _subjects(self) -> list[Layer]:
        """Slides whose regions are meant: the patient's that are ticked, else the one that is looked at."""
        chosen, slide = self.chosen, self.workspace.slide
        return chosen if len(chosen) > 1 else [slide] if slide is not None else []

    def _region_on(self, slide: Layer) -> Layer | None:
        """What is drawn on a slide; None where nothing ever was."""
        return slide_layers.overlay(self._viewer, slide, "region")

    def _polygons(self, slide: Layer) -> Polygons:
        """Drawn regions as level-0 (x, y), counted from the slide's corner."""
        layer = self._region_on(slide)
        if layer is None:
            return ()
        shapes = zip(layer.data, layer.shape_type, strict=True)
        return tuple(outline_of(shape, kind)[:, ::-1] + 0.5 for shape, kind in shapes if kind not in LINES)

    def _has_lines(self, slide: Layer) -> bool:
        layer = self._region_on(slide)
        return layer is not None and not LINES.isdisjoint(layer.shape_type)

    # What the workspace tells

    def _on_slides_changed(self) -> None:
        ticked = {slide_layers.fingerprint_of(layer) for layer in self.chosen}
        self.slides.blockSignals(True)
        self.slides.clear()
        for layer in self.workspace.slides:
            item = QListWidgetItem(layer.name)
            item.setData(Qt.ItemDataRole.UserRole, layer)
            on = slide_layers.fingerprint_of(layer) in ticked
            item.setCheckState(Qt.CheckState.Checked if on else Qt.CheckState.Unchecked)
            self.slides.addItem(item)
        self.slides.blockSignals(False)
        self._hear_regions()
        self._enable()

    def _hear_regions(self) -> None:
        """Learn of what is drawn, with this panel or before it was there."""
        self._ears.hear(self._region_on(slide) for slide in self.workspace.slides)

    def _on_told(self, event: SessionEvent) -> None:
        if isinstance(event, events.Finished) and not isinstance(event.request, events.QueueRequest):
            self.outcome.setText(result_line(event.prediction))
        self._enable()

    def _enable(self, event: object = None) -> None:
        free, subjects = self.workspace.session.running is None, self._subjects()
        several = len(subjects) > 1
        self.together_button.setEnabled(free and several)
        self.draw_button.setEnabled(self.workspace.slide is not None)
        self.region_button.setText(
            "Predict the patient from the regions" if several else "Predict from the region"
        )
        self.whole_button.setText("All tissue of the patient again" if several else "Whole slide again")
        self.drawn.setText(
            drawn_text({layer.name: len(self._polygons(layer)) for layer in subjects}) if several else ""
        )
        self.changed.setText(REGION_CHANGED if free and self._is_redrawn(subjects) else "")
        for button in (self.region_button, self.whole_button):
            button.setEnabled(free and (several or self.workspace.prediction is not None))

    def _is_redrawn(self, subjects: list[Layer]) -> bool:
        """Whether the result that is shown is of a region that has another shape by now."""
        prediction = self.workspace.prediction
        if prediction is None or "region" not in prediction.provenance:
            return False
        # It made the prediction, and loads torch, which the panel opens without.
        from amkd_core.inference.region import rests_on

        n_slides = 1 if prediction.patient is None else len(prediction.patient.slide_ids)
        polygons = [self._polygons(slide) for slide in subjects]
        return n_slides == len(subjects) and not rests_on(prediction, polygons)
