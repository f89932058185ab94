"""What goes into a prediction: slide, model, device and, where the slide does not tell it, scale."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import (
    QComboBox,
    QFileDialog,
    QFormLayout,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QSizePolicy,
    QWidget,
)

from amkd_core.errors import BundleError
from amkd_core.inference.demo import demo_bundle_path
from amkd_viewer.labels_widget import wrapped_label
from amkd_viewer.name_box_widget import NameBox
from amkd_viewer.number_box_widget import NumberBox
from amkd_viewer.wording import DEMO_MODEL

if TYPE_CHECKING:
    from napari.layers import Layer

_SLIDE_FILTER = (
    "Slides (*.svs *.tif *.tiff *.btf *.ndpi *.vms *.vmu *.scn *.mrxs *.bif *.svslide *.dcm);;All files (*)"
)
BUNDLE_FILTER = "Model bundles (*.amkd)"
DEVICES = (("CPU", "cpu"), ("GPU (CUDA)", "cuda"), ("GPU (Apple)", "mps"))


class ScaleBox(NumberBox):
    """A field for micrometres per pixel; 0 reads "not known"."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setDecimals(4)
        self.setRange(0.0, 49.9)
        self.setSingleStep(0.01)
        self.setSpecialValueText("not known")

    def show_value(self, mpp: tuple[float, float] | None) -> None:
        """Show a value (x, y) without telling anyone that it changed; what is typed holds for both."""
        self.blockSignals(True)
        self.setSuffix("" if mpp is None or mpp[0] == mpp[1] else f" × {mpp[1]:.4g}")
        self.setValue(0.0 if mpp is None else mpp[0])
        self.blockSignals(False)


class InputsWidget(QWidget):
    """A form; it knows layers and paths, and neither viewer nor session."""

    slide_chosen = Signal()
    open_requested = Signal(str)
    scale_given = Signal(object)
    inputs_given = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._demo_path = demo_path()
        self._bundle_path: Path | None = None

        # Interactive elements
        self.slides = NameBox()
        self.open_button = _button("Open…", "Open a slide from a file")
        self.bundle_button = _button("Choose…", "Choose another model bundle (.amkd)")
        self.device = QComboBox()
        self.mpp = ScaleBox()

        # Read-only elements
        self.bundle_name = QLabel()
        self.scale_question = wrapped_label(role="amkdNotice")
        self._candidates = QWidget()
        self.candidates: list[QPushButton] = []

        # Event handlers
        self.slides.currentIndexChanged.connect(self._on_slides_index_changed)
        self.open_button.clicked.connect(self._on_open_clicked)
        self.bundle_button.clicked.connect(self._on_bundle_clicked)
        self.mpp.valueChanged.connect(self._on_mpp_changed)
        self.device.activated.connect(self.inputs_given)

        # Initial values
        for name, device in DEVICES:
            self.device.addItem(name, device)
        self.bundle_path = self._demo_path
        self.slides.setPlaceholderText("No slide is open")
        self.slides.setAccessibleName("Slide")
        self.device.setAccessibleName("Device")
        self.mpp.setAccessibleName("µm per pixel")
        self.device.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)

        # Layout
        self._form = QFormLayout(self)
        self._form.setContentsMargins(0, 0, 0, 0)
        self._form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        self._form.setLabelAlignment(Qt.AlignmentFlag.AlignLeft)
        self._form.addRow("Slide", _row(self.slides, self.open_button))
        self._form.addRow("Model", _row(self.bundle_name, self.bundle_button))
        self._form.addRow("Device", self.device)
        self._form.addRow("µm per pixel", self.mpp)
        self._form.addRow(self.scale_question)
        self._form.addRow(self._candidates)
        self._candidate_row = QHBoxLayout(self._candidates)
        self._candidate_row.setContentsMargins(0, 0, 0, 0)
        self.ask_scale(None)

    @property
    def slide(self) -> Layer | None:
        """The chosen slide layer."""
        layer: Layer | None = self.slides.currentData()
        return layer

    @property
    def bundle_path(self) -> Path | None:
        """The chosen model bundle; None where none was chosen and the demo's is not installed."""
        return self._bundle_path

    @bundle_path.setter
    def bundle_path(self, path: Path | None) -> None:
        self._bundle_path = path
        self.bundle_name.setText("none chosen" if path is None else self.name_of(path))
        self.bundle_name.setToolTip("" if path is None else str(path))

    def name_of(self, bundle_path: Path) -> str:
        """A model's name as it stands here when it is chosen."""
        return DEMO_MODEL if bundle_path == self._demo_path else bundle_path.name

    @property
    def device_name(self) -> str:
        """The chosen device, as torch names it."""
        return str(self.device.currentData())

    @device_name.setter
    def device_name(self, device: str) -> None:
        choose_device(self.device, device)

    def set_slides(self, layers: Sequence[Layer], chosen: Layer | None) -> None:
        """Offer these slide layers and show which is chosen; nothing is told."""
        offer_slides(self.slides, layers, chosen)
        self.slides.setEnabled(bool(layers))

    def ask_scale(
        self,
        question: str | None,
        candidates: Sequence[tuple[str, tuple[float, float]]] = (),
        *,
        mpp: tuple[float, float] | None = None,
    ) -> None:
        """Show or hide the question for micrometres per pixel, with the answer given so far.

        Parameters
        ----------
        question
            What is asked; None where nothing is.
        candidates
            What the answer may be, as text and (x, y): one button each.
        mpp
            The answer, (x, y), once it is given.
        """
        self._offer(candidates)
        self._form.setRowVisible(self.mpp, question is not None)
        self._show_question(shown=question is not None and mpp is None)
        self.scale_question.setText(question or "")
        self.mpp.show_value(mpp)

    def _show_question(self, *, shown: bool) -> None:
        self._form.setRowVisible(self.scale_question, shown)
        self._form.setRowVisible(self._candidates, shown and bool(self.candidates))

    def _offer(self, candidates: Sequence[tuple[str, tuple[float, float]]]) -> None:
        for button in self.candidates:
            self._candidate_row.removeWidget(button)
            button.hide()
            button.deleteLater()
        self.candidates = [_button(text, f"{text} µm per pixel") for text, _ in candidates]
        for button, (_, mpp) in zip(self.candidates, candidates, strict=True):
            button.clicked.connect(lambda _checked=False, mpp=mpp: self._give_scale(mpp))
            self._candidate_row.addWidget(button)

    def _on_slides_index_changed(self) -> None:
        self.slide_chosen.emit()

    def _on_open_clicked(self) -> None:
        path, _ = QFileDialog.getOpenFileName(self, "Open a slide", "", _SLIDE_FILTER)
        if path:
            self.open_requested.emit(path)

    def _on_bundle_clicked(self) -> None:
        path, _ = QFileDialog.getOpenFileName(self, "Choose a model bundle", "", BUNDLE_FILTER)
        if path:
            self.bundle_path = Path(path)
            self.inputs_given.emit()

    def _on_mpp_changed(self, value: float) -> None:
        if value > 0:
            self._give_scale((value, value))

    def _give_scale(self, mpp: tuple[float, float]) -> None:
        self._show_question(shown=False)
        self.scale_given.emit(mpp)


def offer_slides(box: QComboBox, layers: Sequence[Layer], chosen: Layer | None) -> None:
    """Offer these slide layers in a box and show which is chosen; nothing is told."""
    box.blockSignals(True)
    box.clear()
    for layer in layers:
        box.addItem(layer.name, layer)
    box.setCurrentIndex(layers.index(chosen) if chosen in layers else len(layers) - 1)
    box.blockSignals(False)


def choose_device(box: QComboBox, device: str) -> None:
    """Choose a device in a box of `DEVICES`; one more of them ("cuda:1") is added."""
    if box.findData(device) < 0:
        box.addItem(device.replace("cuda:", "GPU (CUDA) "), device)
    box.setCurrentIndex(box.findData(device))


def demo_path() -> Path | None:
    """Path of the demo's bundle; None where it is not installed."""
    try:
        return demo_bundle_path()
    except BundleError:
        return None  # the field says that no model is chosen


def _button(text: str, tip: str) -> QPushButton:
    button = QPushButton(text)
    button.setToolTip(tip)
    return button


def _row(field: QWidget, button: QWidget) -> QWidget:
    row = QWidget()
    layout = QHBoxLayout(row)
    layout.setContentsMargins(0, 0, 0, 0)
    layout.addWidget(field, 1)
    layout.addWidget(button)
    return row
