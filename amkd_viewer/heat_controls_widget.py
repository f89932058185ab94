"""How the attention map is shown: whose, in which colours, how much of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QCheckBox, QComboBox, QFormLayout, QSizePolicy, QSlider, QWidget

from amkd_viewer import slide_layers
from amkd_viewer.colours import COLOUR_MAPS, WindowColours
from amkd_viewer.labels_widget import wrapped_label
from amkd_viewer.layers import look_colours, sources_of
from amkd_viewer.legend_widget import LegendWidget, colours_of
from amkd_viewer.map_watch_widget import MapWatch
from amkd_viewer.name_box_widget import NameBox
from amkd_viewer.number_box_widget import NumberBox
from amkd_viewer.plots import short_name
from amkd_viewer.shown_map import map_of
from amkd_viewer.wording import MAP_CAUTION, MAP_TAKEN_AWAY

if TYPE_CHECKING:
    from amkd_viewer.workspace_widget import Workspace

_KINDS = (("Percentile within the slide", "percentile"), ("Raw: weight / mean", "raw"))
_TITLES = {"student": "Student (slide alone)", "teacher": "Teacher (with expression)"}


class HeatControls(QWidget):
    """Controls of the map of the slide that is looked at."""

    def __init__(self, workspace: Workspace, colours: WindowColours, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._workspace = workspace

        # Interactive elements
        self.shown = QCheckBox("Show the map")
        self.source = NameBox()
        self.colour_map = QComboBox()
        self.kind = QComboBox()
        self.opacity = QSlider(Qt.Orientation.Horizontal)
        self.top_percent = NumberBox()
        self.smooth = QCheckBox("Smooth over neighbouring patches")

        # Read-only elements
        self._watch = MapWatch(workspace, self)
        self.legend = LegendWidget(colours)
        self.what = wrapped_label(role="amkdMuted")

        # Before the handlers: a range that is set changes the value
        self._fill()

        # Event handlers
        self.shown.toggled.connect(self._on_shown_toggled)
        self.source.activated.connect(lambda: workspace.set_look(source=self.source.currentData()))
        self.colour_map.activated.connect(
            lambda: workspace.set_look(colour_map=self.colour_map.currentText())
        )
        self.kind.activated.connect(lambda: workspace.set_look(kind=self.kind.currentData()))
        self.opacity.valueChanged.connect(lambda value: workspace.set_look(opacity=value / 100))
        self.top_percent.valueChanged.connect(lambda value: workspace.set_look(top_percent=value))
        self.smooth.toggled.connect(lambda checked: workspace.set_look(smooth=checked))
        workspace.look_changed.connect(self._show_look)
        workspace.prediction_changed.connect(self._offer_sources)
        workspace.drawn.connect(self._show_look)
        self._watch.changed.connect(self._show_look)

        # Initial values and layout
        self._lay_out()
        self._offer_sources()

    def _fill(self) -> None:
        self.colour_map.addItems(COLOUR_MAPS)
        for title, kind in _KINDS:
            self.kind.addItem(title, kind)
        self.opacity.setRange(5, 100)
        self.top_percent.setRange(0.5, 100)
        self.top_percent.setDecimals(1)
        self.top_percent.setSuffix(" %")
        self.shown.setChecked(True)
        self.source.setAccessibleName("Map of")
        self.kind.setAccessibleName("Values")
        self.colour_map.setAccessibleName("Colours")
        self.opacity.setAccessibleName("Opacity in percent")
        self.top_percent.setAccessibleName("Only the top, in percent")
        for box in (self.colour_map, self.kind):
            box.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)

    def _lay_out(self) -> None:
        form = QFormLayout(self)
        form.setContentsMargins(0, 0, 0, 0)
        form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        form.setLabelAlignment(Qt.AlignmentFlag.AlignLeft)
        form.addRow(self.shown)
        form.addRow("Map of", self.source)
        form.addRow("Values", self.kind)
        form.addRow("Colours", self.colour_map)
        form.addRow("Opacity", self.opacity)
        form.addRow("Only the top", self.top_percent)
        form.addRow(self.smooth)
        form.addRow(self.legend)
        form.addRow(self.what)
        form.addRow(wrapped_label(MAP_CAUTION, role="amkdMuted"))

    def _on_shown_toggled(self, checked: bool) -> None:
        layer = map_of(self._workspace)
        if layer is not None:
            layer.visible = checked
        elif checked:
            self._workspace.draw_map_again()

    def _offer_sources(self) -> None:
        prediction = self._workspace.prediction
        self.source.clear()
        for source in ["student"] if prediction is None else sources_of(prediction):
            self.source.addItem(_TITLES.get(source, short_name(source, 60)), source)
        self.setEnabled(prediction is not None)
        self._show_look()

    def _show_look(self) -> None:
        look, layer, known = (
            self._workspace.look,
            map_of(self._workspace),
            self._workspace.prediction is not None,
        )
        colours = look.colour_map if layer is None else look_colours(layer.colormap.name)
        controls = (self.source, self.colour_map, self.kind, self.opacity, self.top_percent, self.smooth)
        for control in (*controls, self.shown):
            control.blockSignals(True)
        self.source.setCurrentIndex(max(0, self.source.findData(look.source)))
        # Colours that were chosen in napari's own controls are named and not offered.
        self.colour_map.setPlaceholderText(colours)
        self.colour_map.setCurrentIndex(self.colour_map.findText(colours))
        self.kind.setCurrentIndex(self.kind.findData(look.kind))
        self.opacity.setValue(round(100 * (look.opacity if layer is None else layer.opacity)))
        self.top_percent.setValue(look.top_percent)
        self.smooth.setChecked(look.smooth)
        self.shown.setChecked(not known if layer is None else layer.visible)
        for control in (*controls, self.shown):
            control.blockSignals(False)
        if layer is None:
            self.legend.set_look(look)
        else:
            self.legend.set_look(look, slide_layers.limits_of(layer), colours_of(layer))
        self.what.setText(self._what_is_shown())

    def _what_is_shown(self) -> str:
        layer, prediction = map_of(self._workspace), self._workspace.prediction
        if prediction is None:
            return "Predict the slide to see its map."
        if layer is None:
            return MAP_TAKEN_AWAY if prediction.has_map else "This result has no map."
        style = self._workspace.look.style_for(prediction)
        n_cells = int(np.isfinite(layer.data).sum())
        title = _TITLES.get(style.source, short_name(style.source, 60))
        return f"{title}: {style.label}; {n_cells:,} patches drawn."
