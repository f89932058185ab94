"""*Plugins > AMKD > Patient and region*: several slides as one patient, and a drawn region instead of all tissue."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QComboBox, QLineEdit, QListWidget, QListWidgetItem, QPushButton, QSizePolicy

from amkd_core.errors import RegionError
from amkd_viewer import regions, slide_layers
from amkd_viewer.events import PatientRequest, RegionRequest
from amkd_viewer.labels_widget import heading_label, wrapped_label
from amkd_viewer.layer_ears import LayerEars
from amkd_viewer.layers import region_layer
from amkd_viewer.panel_widget import WorkspacePanel
from amkd_viewer.placement import TRANSFORMS
from amkd_viewer.region_outline_widget import RegionOutlines
from amkd_viewer.region_words import copied_text, no_region_text, other_side_text, result_line
from amkd_viewer.take_shapes_widget import TakeShapesWidget
from amkd_viewer.wording import (
    BUSY,
    PATIENT_HINT,
    REGION_CHANGED,
    REGION_HINT,
    WHOLE_FIRST,
    drawn_text,
)

if TYPE_CHECKING:
    from napari.layers import Layer
    from napari.viewer import Viewer

    from amkd_viewer.colours import WindowColours
    from amkd_viewer.regions import Polygons


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
        self.take = TakeShapesWidget(self._viewer)
        self.mode = QComboBox()
        self.region_button = QPushButton("Predict from the region")
        self.whole_button = QPushButton("Whole slide again")

        # Read-only elements
        self.drawn = wrapped_label(role="amkdMuted")
        self.outcome = wrapped_label()
        self.changed = wrapped_label()

        # Event handlers
        self._ears = LayerEars(self, ("data", *TRANSFORMS), self._on_regions_changed)
        self._slide_ears = LayerEars(self, TRANSFORMS, self._on_regions_changed)
        self._outlines = RegionOutlines(self._viewer, self)
        self.take.wanted.connect(self._on_shapes_wanted)
        self.mode.currentIndexChanged.connect(self._enable)
        for emitter in (napari_viewer.layers.events.inserted, napari_viewer.layers.events.removed):
            self.listen(emitter, self._on_layers_changed)
        self.together_button.clicked.connect(self._on_together_clicked)
        self.draw_button.clicked.connect(self._on_draw_clicked)
        self.region_button.clicked.connect(self._on_region_clicked)
        self.whole_button.clicked.connect(self._on_whole_clicked)
        self.slides.itemChanged.connect(self._enable)
        self.workspace.slide_changed.connect(self._on_slides_changed)
        self.workspace.slides_renamed.connect(self._on_slides_changed)
        self.workspace.prediction_changed.connect(self._on_prediction_changed)
        self.workspace.told.connect(self._enable)
        self.workspace.failed.connect(self.say_error)

        # Initial values and layout
        self.patient_id.setPlaceholderText("name of the patient, for result and named exports")
        self.mode.addItem("Only tissue inside the region", False)
        self.mode.addItem("All tissue but the region", True)
        self.mode.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        self.slides.setMaximumHeight(150)
        self.slides.setAccessibleName("Slides of the patient")
        self.patient_id.setAccessibleName("Name of the patient")
        self.mode.setAccessibleName("What the region is for")
        self.slides.set_colours(self.colours)
        self._lay_out()

    def _lay_out(self) -> None:
        for button, text in (
            (self.together_button, "Predict the ticked slides as one bag"),
            (self.draw_button, "Draw a polygon on the slide that is looked at"),
            (self.region_button, "Predict again from what is drawn"),
            (self.whole_button, "Predict again from all tissue"),
        ):
            self.explain(button, text)
        for item in (
            heading_label("Several slides of one patient"),
            wrapped_label(PATIENT_HINT, role="amkdMuted"),
            self.slides,
            self.patient_id,
            self.together_button,
            heading_label("A region of the slide"),
            wrapped_label(REGION_HINT, role="amkdMuted"),
            self.draw_button,
            self.take,
            self.drawn,
            self.mode,
            self.region_button,
            self.whole_button,
            self.changed,
            self.outcome,
        ):
            self.add(item)
        self._on_slides_changed()
        self._on_prediction_changed()

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
        slide_layers.show_flat(self._viewer)
        layer = self._region_for(slide)
        layer.visible = True  # napari draws on no hidden layer, and says nothing of it
        self._viewer.layers.selection.active = layer
        layer.mode = "add_polygon"

    def _on_shapes_wanted(self, source: Layer) -> None:
        slide = self.workspace.slide
        if slide is None:
            return
        self.say_error("")
        region = self._region_for(slide)
        number = regions.copy_shapes(source, slide, region)
        self._enable()
        self.drawn.setText(f"{copied_text(number, source.name, region.name)} {self.drawn.text()}")

    def _on_region_clicked(self) -> None:
        self.say_error("")
        slides = self._subjects()
        polygons = tuple(self._polygons(slide) for slide in slides)
        lines = [slide.name for slide in slides if regions.has_lines(self._viewer, slide)]
        if lines:
            self.workspace.fail(
                RegionError(
                    f"{lines[0]}: a line encloses no tissue; draw a polygon, a rectangle or an ellipse instead of it"
                )
            )
        elif not any(polygons):
            names, others = ([layer.name for layer in found] for found in (slides, self.take.offered))
            self.workspace.fail(RegionError(no_region_text(names, others)))
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

    def _region_for(self, slide: Layer) -> Layer:
        """The layer of what is drawn on a slide, made where nothing ever was."""
        layer = regions.region_on(self._viewer, slide)
        if layer is None:
            data = region_layer(
                mpp=slide_layers.mpp_of(slide),
                fingerprint=slide_layers.fingerprint_of(slide),
                name=slide.name,
            )
            layer = slide_layers.draw_overlay(self._viewer, data)
            self._hear_regions()
        return layer

    def _polygons(self, slide: Layer) -> Polygons:
        return regions.polygons_on(self._viewer, slide)

    # What the workspace tells

    def _on_slides_changed(self) -> None:
        ticked = {slide_layers.fingerprint_of(layer) for layer in self.chosen}
        there = {slide_layers.fingerprint_of(layer) for layer in self.workspace.slides}
        if not there or (ticked and not ticked & there):
            self.patient_id.clear()  # what is opened next may be another patient's
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
        slides = self.workspace.slides
        found = [regions.region_on(self._viewer, slide) for slide in slides]
        drawn = [layer for layer in found if layer is not None]
        self._ears.hear(drawn)
        self._slide_ears.hear(slides)
        self._outlines.keep(drawn)

    def _on_layers_changed(self, event: object) -> None:
        self._hear_regions()
        self._enable()

    def _on_regions_changed(self, event: object) -> None:
        self._outlines.follow()
        self._enable()

    def _on_prediction_changed(self) -> None:
        prediction = self.workspace.prediction
        self.outcome.setText("" if prediction is None else result_line(prediction))
        self._enable()

    def _enable(self, event: object = None) -> None:
        free, subjects = self.workspace.session.running is None, self._subjects()
        several = len(subjects) > 1
        if free and self.error.text() in BUSY:
            self.say_error("")
        self.together_button.setEnabled(free and several)
        self.draw_button.setEnabled(self.workspace.slide is not None)
        self.region_button.setText(
            "Predict the patient from the regions" if several else "Predict from the region"
        )
        self.whole_button.setText("All tissue of the patient again" if several else "Whole slide again")
        counts = {layer.name: len(self._polygons(layer)) for layer in subjects}
        self.drawn.setText(drawn_text(counts) if several or any(counts.values()) else "")
        self.changed.setText(self._change_since() if free else "")
        for button in (self.region_button, self.whole_button):
            button.setEnabled(free and (several or self.workspace.prediction is not None))

    def _change_since(self) -> str:
        """Say where the result that is shown is of another region than is drawn by now, or of its other side."""
        prediction, slide = self.workspace.prediction, self.workspace.slide
        if prediction is None or slide is None or "region" not in prediction.provenance:
            return ""
        # It made the prediction, and loads torch, which the panel opens without.
        from amkd_core.inference.region import rests_on

        patient = prediction.patient
        slides, n_slides = ([slide], 1) if patient is None else (self.chosen, len(patient.slide_ids))
        if n_slides != len(slides):
            return ""
        if not rests_on(prediction, [self._polygons(one) for one in slides]):
            return REGION_CHANGED
        excludes = bool(prediction.provenance["region"]["exclude"])
        return "" if excludes == self._excludes else other_side_text(excludes=excludes)
