"""*Plugins > AMKD > View and heatmap*: overview, magnification, rotation, place under the cursor, map controls."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qtpy.QtCore import Qt, QTimer
from qtpy.QtWidgets import QLabel, QMainWindow, QPushButton, QSlider

from amkd_viewer import navigation, slide_layers
from amkd_viewer.heat_controls_widget import HeatControls
from amkd_viewer.labels_widget import heading_label, wrapped_label
from amkd_viewer.layer_ears import LayerEars
from amkd_viewer.number_box_widget import NumberBox
from amkd_viewer.overview_widget import OverviewWidget
from amkd_viewer.panel_widget import WorkspacePanel, row
from amkd_viewer.wording import cursor_text, magnification_text

if TYPE_CHECKING:
    from napari.utils.events import Event
    from napari.viewer import Viewer
    from numpy.typing import NDArray

_FOLLOW_MS = 30


class ViewWidget(WorkspacePanel):
    """How the slide is looked at."""

    def __init__(self, napari_viewer: Viewer) -> None:
        super().__init__(napari_viewer)
        self._thumbnail_of = ""
        self.status: QLabel | None = None

        # Interactive elements
        self.overview = OverviewWidget()
        self.presets = [QPushButton(f"{power}×") for power in navigation.PRESETS]
        self.fit = QPushButton("Fit")
        self.angle = NumberBox()
        self.dial = QSlider(Qt.Orientation.Horizontal)
        self.upright = QPushButton("0°")
        self.quarter = QPushButton("+90°")
        self.heat = HeatControls(self.workspace, self.colours)

        # Read-only elements
        self.magnification = QLabel()
        self.cursor_place = wrapped_label(role="amkdMuted")

        # Event handlers
        self.overview.clicked.connect(self._on_overview_clicked)
        for power, button in zip(navigation.PRESETS, self.presets, strict=True):
            button.clicked.connect(lambda _=False, power=power: self._on_preset(power))
        self.fit.clicked.connect(lambda: slide_layers.fit(napari_viewer, self.workspace.slide))
        self.angle.valueChanged.connect(self._on_angle_changed)
        self.dial.valueChanged.connect(lambda value: self.angle.setValue(value))
        self.upright.clicked.connect(lambda: self.angle.setValue(0))
        self.quarter.clicked.connect(lambda: self.angle.setValue((self.angle.value() + 270) % 360 - 180))
        self.workspace.slide_changed.connect(self._on_slide_changed)
        self._follow = QTimer(self)
        self._follow.setSingleShot(True)
        self._follow.timeout.connect(self._show_field)
        for emitter in (napari_viewer.scene.camera.events.zoom, napari_viewer.scene.camera.events.center):
            self.listen(emitter, self._on_camera_moved)
        self.listen(napari_viewer.cursor.events.position, self._on_cursor_moved)
        self._ears = LayerEars(self, ("affine", "rotate", "translate"), self._on_turned)

        # Initial values
        self.angle.setRange(-180, 180)
        self.angle.setSuffix("°")
        self.angle.setDecimals(0)
        self.dial.setRange(-180, 180)
        self.angle.setAccessibleName("Angle in degrees")
        self.dial.setAccessibleName("Angle")
        for button in (*self.presets, self.fit, self.upright, self.quarter):
            button.setMinimumWidth(20)
        self._lay_out()
        self._on_slide_changed()

    def _lay_out(self) -> None:
        for item in (
            self.overview,
            self.magnification,
            row(*self.presets, self.fit, stretch=None),
            row(self.dial, self.angle, self.upright, self.quarter),
            self.cursor_place,
            heading_label("Attention map"),
            self.heat,
        ):
            self.add(item)
        for power, button in zip(navigation.PRESETS, self.presets, strict=True):
            title = f"{power}× nominal magnification"
            self.explain(button, title, title)
        self.explain(self.fit, "Show the whole slide", "Whole slide")
        self.explain(self.upright, "Show the slide as it was scanned", "As scanned")
        self.explain(self.quarter, "Turn the slide by a quarter", "Turn by +90°")

    # What the user does

    def _on_overview_clicked(self, x: float, y: float) -> None:
        if self.workspace.slide is not None:
            navigation.move_to(self._viewer, self.workspace.slide, (x, y))

    def _on_preset(self, power: int) -> None:
        navigation.magnify(self._viewer, power)

    def _on_angle_changed(self, degrees: float) -> None:
        layer = self.workspace.slide
        self.dial.blockSignals(True)
        self.dial.setValue(round(degrees))
        self.dial.blockSignals(False)
        if layer is not None:
            navigation.turn(self._viewer, layer, degrees)
            self._show_field()

    # What the viewer tells

    def _on_slide_changed(self) -> None:
        layer = self.workspace.slide
        self._ears.hear([layer])
        known = layer is not None and slide_layers.mpp_of(layer) is not None
        for widget in (*self.presets, self.magnification):
            widget.setEnabled(known)
        for widget in (self.fit, self.angle, self.dial, self.upright, self.quarter, self.overview):
            widget.setEnabled(layer is not None)
        self._show_angle()
        if self.status is not None:
            self.status.clear()  # place and heat of the slide before
        self.cursor_place.setText(
            "Point at the slide to read place and heat." if layer else "Open a slide first."
        )
        fingerprint = "" if layer is None else slide_layers.fingerprint_of(layer)
        if fingerprint != self._thumbnail_of:
            self._thumbnail_of = fingerprint
            self.overview.show_slide(None)
            if layer is not None:
                coarsest, size = layer.data[-1], layer.data[0].shape[1::-1]
                self.workspace.do(
                    self,
                    "thumbnail",
                    lambda: coarsest[:],
                    lambda pixels: self._on_thumbnail(fingerprint, pixels, size),
                )
        self._show_field()

    def _on_thumbnail(self, fingerprint: str, pixels: NDArray[Any], size_px: tuple[int, int]) -> None:
        if fingerprint == self._thumbnail_of:  # else its slide is gone meanwhile
            self.overview.show_slide(pixels, size_px)

    def _show_angle(self) -> None:
        layer = self.workspace.slide
        for widget in (self.angle, self.dial):
            widget.blockSignals(True)
        self.angle.setValue(0 if layer is None else navigation.angle_of(layer))
        self.dial.setValue(round(self.angle.value()))
        for widget in (self.angle, self.dial):
            widget.blockSignals(False)

    def _on_turned(self, event: Event) -> None:
        """Follow what is done elsewhere: in napari's controls, or by a key."""
        self._show_angle()
        self._show_field()

    def _on_camera_moved(self, event: Event) -> None:
        if not self._follow.isActive():
            self._follow.start(_FOLLOW_MS)

    def _on_cursor_moved(self, event: Any = None) -> None:
        layer = self.workspace.slide
        if layer is None:
            return
        text = cursor_text(
            navigation.pixel_of(layer, self._viewer.cursor.position),
            slide_layers.mpp_of(layer),
            heat=slide_layers.heat_at(self._viewer, layer, self._viewer.cursor.position),
            kind=self.workspace.look.kind,
        )
        self.cursor_place.setText(text)
        label = self._status_label()
        if label is not None:
            label.setText(text)

    def _status_label(self) -> QLabel | None:
        """A label of ours at the right of the window's status bar: napari writes over the bar's own line."""
        if self.status is None:
            window = self.parentWidget()
            while window is not None and not isinstance(window, QMainWindow):
                window = window.parentWidget()
            if window is not None:
                self.status = QLabel()
                window.statusBar().addPermanentWidget(self.status)
                self.destroyed.connect(self.status.deleteLater)
        return self.status

    def _show_field(self) -> None:
        layer = self.workspace.slide
        self.magnification.setText(
            magnification_text(None if layer is None else navigation.magnification(self._viewer, layer))
        )
        if layer is not None:
            self.overview.show_field(navigation.field_of(self._viewer, layer))
