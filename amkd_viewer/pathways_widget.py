"""*Plugins > AMKD > Pathways*: which pathways the teacher attends to, and where, and which move its risk."""

from __future__ import annotations

import math
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QComboBox, QLineEdit, QPushButton

from amkd_viewer.beside_widget import beside_of, end_beside, show_beside
from amkd_viewer.canvases_widget import described
from amkd_viewer.expression_widget import ExpressionWidget
from amkd_viewer.figure_widget import FigureWidget
from amkd_viewer.labels_widget import heading_label, wrapped_label
from amkd_viewer.panel_widget import WorkspacePanel, row
from amkd_viewer.pathway_bars import attention_bars, effect_bars
from amkd_viewer.pathway_model_widget import SortedTable
from amkd_viewer.plots import draw_pathway_bars, short_name
from amkd_viewer.wording import MAP_CAUTION, NO_EXPRESSION, pathway_words, result_title

if TYPE_CHECKING:
    from napari.viewer import Viewer

    from amkd_core.inference.pathway_table import GeneValue, PathwayRow
    from amkd_core.inference.prediction import Prediction

MOST_PINNED = 3
CHART_PX = 225
"""Height of one chart of ten bars."""


class PathwaysWidget(WorkspacePanel):
    """Table of pathways, their maps, bar chart and genes."""

    def __init__(self, napari_viewer: Viewer) -> None:
        super().__init__(napari_viewer, 380)
        self._pinned: dict[str, list[str]] = {}  # by the fingerprint of their slide
        self._beside: tuple[str, Prediction] | None = None  # whose pathways were shown side by side last

        # Interactive elements
        self.expression = ExpressionWidget(self.workspace)
        self.search = QLineEdit()
        self.table = SortedTable(("#", "Pathway", "Attention", "Effect"), stretched=1)
        self.measure = QComboBox()
        self.pin_button = QPushButton("Pin")
        self.beside_button = QPushButton("Show pinned side by side")
        self.back_button = QPushButton("Student's map")

        # Read-only elements
        self.missing = wrapped_label(NO_EXPRESSION, role="amkdNotice")
        self.pins = wrapped_label(role="amkdMuted")
        self.bars = FigureWidget(self.workspace, self.colours, size_px=(350, 2 * CHART_PX))
        self.cohort = wrapped_label(role="amkdMuted")
        self.genes_heading = heading_label("Genes")
        self.genes = SortedTable(("Gene", "Value", "z-score"), stretched=0)

        # Event handlers
        self.search.textChanged.connect(self.table.search)
        self.table.selectionModel().selectionChanged.connect(self._on_pathway_chosen)
        self.pin_button.clicked.connect(self._on_pin_clicked)
        self.beside_button.clicked.connect(self._on_beside_clicked)
        self.measure.currentIndexChanged.connect(self._draw_bars)
        self.back_button.clicked.connect(lambda: self.workspace.set_look(source="student"))
        self.workspace.prediction_changed.connect(self._on_prediction_changed)

        # Initial values and layout
        self.search.setPlaceholderText("Search pathways")
        self.search.setClearButtonEnabled(True)
        self.table.setMinimumHeight(220)
        self.measure.addItem("Bars: most and least attended", "attention")
        self.measure.addItem("Bars: what moves the teacher's risk", "effect")
        self.genes.setMinimumHeight(160)
        self.search.setAccessibleName("Search pathways")
        self.table.setAccessibleName("Pathways")
        self.measure.setAccessibleName("What the bars show")
        self.genes.setAccessibleName("Genes of the pathway")
        self._shown = (
            self.search,
            self.table,
            self.pin_button,
            self.beside_button,
            self.back_button,
            self.pins,
            self.measure,
            self.bars,
            self.cohort,
            self.genes_heading,
            self.genes,
        )
        for item in (self.expression, self.missing, self.search, self.table):
            self.add(item)
        self.add(row(self.pin_button, self.beside_button, self.back_button, stretch=1))
        for item in (self.pins, self.measure, self.bars, self.cohort):
            self.add(item)
        for item in (self.genes_heading, self.genes, wrapped_label(MAP_CAUTION, role="amkdMuted")):
            self.add(item)
        self._on_prediction_changed()

    @property
    def pathway(self) -> str | None:
        """The pathway that is chosen in the table."""
        chosen = self.table.chosen
        return None if chosen is None else str(self.table.value(chosen, 1))

    @property
    def pinned(self) -> list[str]:
        """Pathways that are pinned on the slide that is looked at, the first first."""
        prediction = self.workspace.prediction
        if prediction is None or prediction.teacher is None:
            return []
        kept = self._pinned.get(self.workspace.fingerprint or "", [])
        return [name for name in kept if name in prediction.teacher.pathways]

    def _on_prediction_changed(self) -> None:
        prediction = self.workspace.prediction
        teacher = None if prediction is None else prediction.teacher
        self.missing.setVisible(teacher is None)
        for widget in self._shown:
            widget.setVisible(teacher is not None)
        self._show_pins()
        self._end_outdated()
        if prediction is None or teacher is None:
            return
        from amkd_core.inference.pathway_table import patient_effects, ranked_pathways

        rows: tuple[PathwayRow, ...] = ranked_pathways(teacher)
        added = {entry.name: entry.effect for entry in patient_effects(teacher, prediction.cohort)}
        self.table.set_rows(
            [(entry.rank, entry.name, entry.normalised, added.get(entry.name, math.nan)) for entry in rows],
            (str, partial(short_name, longest=60), "{:.3f}".format, _effect),
        )
        self.table.sortByColumn(0, Qt.SortOrder.AscendingOrder)
        self.genes.set_rows([], ())
        self.genes_heading.setText("Genes: choose a pathway")
        self._draw_bars()

    def _draw_bars(self) -> None:
        prediction = self.workspace.prediction
        if prediction is None or prediction.teacher is None:
            return
        bars_of = effect_bars if self.measure.currentData() == "effect" else attention_bars
        chart = bars_of(prediction, prediction.teacher)
        self.cohort.setText(chart.text)
        self.bars.setVisible(bool(chart.groups))
        if chart.groups:
            self.bars.setFixedHeight(len(chart.groups) * CHART_PX)
            draw = partial(draw_pathway_bars, groups=chart.groups, signed=chart.signed)
            self.bars.draw(draw, chart.table, pathway_words(prediction, chart.text))

    def _on_pathway_chosen(self) -> None:
        name = self.pathway
        self._show_pins()
        if name is None:
            return
        self.workspace.set_look(source=name)
        self.genes.set_rows([], ())
        self.genes_heading.setText(f"Genes of {short_name(name, 40)}")
        # Of the prediction that is shown: model and patient may have been chosen anew since.
        prediction, asked = self.workspace.prediction, self.workspace.asked_with
        if asked is None or asked.expression is None:
            return
        bundle_path, expression = asked.bundle_path, asked.expression

        def read() -> tuple[GeneValue, ...]:
            from amkd_core.inference.expression import on_training_scale
            from amkd_core.inference.pathway_table import pathway_genes

            bundle = self.workspace.session.bundle(bundle_path)
            genes = on_training_scale(expression.genes, bundle.card, name=expression.path.name)
            return pathway_genes(bundle, genes, name)

        def show(rows: tuple[GeneValue, ...]) -> None:
            if self.pathway == name and self.workspace.prediction is prediction:
                self._on_genes_read(rows)

        self.workspace.do(self, "genes", read, show)

    def _on_genes_read(self, genes: tuple[GeneValue, ...]) -> None:
        self.genes.set_rows(
            [(gene.gene, gene.value, gene.z_score) for gene in genes], (str, _number, _signed)
        )

    def _on_pin_clicked(self) -> None:
        name, fingerprint, pinned = self.pathway, self.workspace.fingerprint, self.pinned
        if name is None or fingerprint is None:
            return
        others = [one for one in pinned if one != name]
        self._pinned[fingerprint] = others if name in pinned else [*pinned, name][-MOST_PINNED:]
        self._show_pins()

    def _on_beside_clicked(self) -> None:
        prediction, layer, fingerprint = (
            self.workspace.prediction,
            self.workspace.slide,
            self.workspace.fingerprint,
        )
        if prediction is None or layer is None or fingerprint is None:
            return
        look = self.workspace.look
        maps = [
            described(
                result_title(prediction, short_name(name, 50)), layer, prediction, replace(look, source=name)
            )
            for name in self.pinned
        ]
        show_beside(self._viewer, maps, owner=self, asked=True)
        self._beside = fingerprint, prediction

    def _end_outdated(self) -> None:
        """Take the maps side by side away once another result, or none, has taken the place of theirs.

        Those of a slide that is not looked at stay, under its name.
        """
        beside = beside_of(self._viewer)
        if beside is None or beside.owner is not self:
            self._beside = None
        elif self._beside is not None:
            fingerprint, prediction = self._beside
            # Of the chosen model: another one's may be newer, and be shown nowhere.
            if self.workspace.session.result(fingerprint, self.workspace.bundle_path) is not prediction:
                end_beside(self._viewer, self)

    def _show_pins(self) -> None:
        pinned = self.pinned
        names = "; ".join(short_name(name, 40) for name in pinned)
        self.pins.setText(f"Pinned ({len(pinned)} of {MOST_PINNED}): {names}" if names else "")
        self.pin_button.setText("Unpin" if self.pathway in pinned else "Pin")
        self.beside_button.setEnabled(bool(pinned))


def _number(value: float) -> str:
    return "not measured" if math.isnan(value) else f"{value:.2f}"


def _signed(value: float) -> str:
    return "" if math.isnan(value) else f"{value:+.2f}"


def _effect(value: float) -> str:
    return "" if math.isnan(value) else f"{value:+.2g}"
