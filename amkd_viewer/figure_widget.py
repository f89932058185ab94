"""A plot in a panel: drawn by matplotlib off the GUI thread, shown as a picture, copied and saved by its menu."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QRect, QSize, Qt, QTimer
from qtpy.QtGui import (
    QColor,
    QContextMenuEvent,
    QFont,
    QFontMetrics,
    QGuiApplication,
    QImage,
    QPainter,
    QPaintEvent,
    QResizeEvent,
)
from qtpy.QtWidgets import QFileDialog, QMenu, QSizePolicy, QWidget

from amkd_core.errors import ConfigError
from amkd_viewer.colours import WindowColours
from amkd_viewer.plot_foot import PlotWords, with_words
from amkd_viewer.plots import rendered, write_plot
from amkd_viewer.tasks import writing

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from amkd_viewer.workspace_widget import Workspace

Draw = Callable[..., None]
"""Called as ``draw(figure, colours)``, in another thread."""
_SETTLED_MS = 120
_WORDS_PX, _WORDS_MARGIN_PX = 11, 8


class FigureWidget(QWidget):
    """Shows what a function draws, at the widget's own size, in the window's colours.

    Attributes
    ----------
    figure : matplotlib Figure or None
        As it was drawn last; None until what is to be shown is drawn.
    """

    def __init__(
        self,
        workspace: Workspace,
        colours: WindowColours,
        *,
        size_px: tuple[int, int] = (340, 240),
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(parent)
        self._workspace, self._colours, self._size_px = workspace, colours, size_px
        self._draw: Draw | None = None
        self._table: Callable[[], list[list[Any]]] | None = None
        self._words: PlotWords | None = None
        self._image: QImage | None = None
        self.figure: Figure | None = None
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setFixedHeight(size_px[1])
        self.setMinimumWidth(min(260, size_px[0]))
        self._settled = QTimer(self)
        self._settled.setSingleShot(True)
        self._settled.timeout.connect(self._render)

    def sizeHint(self) -> QSize:  # noqa: N802 (Qt's name)
        """Return a size at which labels and legend are readable."""
        return QSize(*self._size_px)

    def draw(
        self,
        draw: Draw,
        table: Callable[[], list[list[Any]]] | None = None,
        words: PlotWords | None = None,
    ) -> None:
        """Show what a function draws.

        Parameters
        ----------
        table
            Gives its numbers for CSV, the heading first.
        words
            What stands beside the plot in the panel, and goes along when it is copied or saved.
        """
        self._draw, self._table, self._words = draw, table, words
        # At once: the earlier picture may be another slide's, and is copied under these words.
        self._image = self.figure = None
        self.update()
        self._render()

    def set_colours(self, colours: WindowColours) -> None:
        """Follow the window's theme."""
        if colours != self._colours:
            self._colours = colours
            self._render()

    def copy(self) -> None:
        """Put the picture on the clipboard, with its words."""
        if self._image is not None:
            image = self._image
            if self._words is not None:
                image = _with_words(image, self._words, self._colours, self.devicePixelRatioF())
            QGuiApplication.clipboard().setImage(image)

    def save(self, path: Path | str) -> None:
        """Write the plot as PNG, SVG or CSV by the file's ending, off the GUI thread; on white, for print."""
        if self._draw is None:
            return
        table = None if self._table is None else self._table()
        size_in = (self.width() / 72, self.height() / 72)
        draw = self._draw if self._words is None else with_words(self._draw, self._words)
        task = partial(write_plot, Path(path), draw, table, size_in)
        self._workspace.do(self, f"save {path}", writing(task), self._on_saved)

    def contextMenuEvent(self, event: QContextMenuEvent | None) -> None:  # noqa: N802 (Qt's name)
        """Offer to copy and to save."""
        if event is None or self._draw is None:
            return
        menu = QMenu(self)
        if self._image is not None:
            menu.addAction("Copy picture", self.copy)
        menu.addAction("Save as…", self.ask_and_save)
        menu.exec(event.globalPos())

    def ask_and_save(self) -> None:
        """Ask for a file and save."""
        kinds = "PNG (*.png);;SVG (*.svg)" + (";;CSV (*.csv)" if self._table is not None else "")
        path, kind = QFileDialog.getSaveFileName(self, "Save plot", "", kinds)
        if path:
            self._save_as(Path(path), kind)

    def _save_as(self, path: Path, kind: str) -> None:
        """Save under a name as it was typed; without an ending it gets that of the kind that was chosen beside it."""
        ending = kind.partition("(*")[2].rstrip(")")
        if path.suffix.lower() in (".png", ".svg", ".csv") or not ending:
            self.save(path)
            return
        named = path.with_name(path.name + ending)
        if named.exists():
            # The dialog asked about the name that was typed.
            self._workspace.fail(ConfigError(f"{named.name} is there already; choose it to replace it"))
        else:
            self.save(named)

    def paintEvent(self, event: QPaintEvent | None) -> None:  # noqa: N802 (Qt's name)
        """Show the picture, scaled only while a new one is being drawn."""
        if self._image is None:
            return
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform)
        painter.drawImage(self.rect(), self._image)
        painter.end()

    def resizeEvent(self, event: QResizeEvent | None) -> None:  # noqa: N802 (Qt's name)
        """Draw again once the size has settled."""
        self._settled.start(_SETTLED_MS)

    def _render(self) -> None:
        if self._draw is None or self.width() < 50:
            return
        scale = self.devicePixelRatioF()
        size = (max(self.width(), 260), self.height())
        task = partial(rendered, self._draw, self._colours, size, scale)
        self._workspace.do(self, "draw", task, partial(self._on_rendered, self._draw))

    def _on_rendered(self, draw: Draw, drawn: tuple[Any, Figure]) -> None:
        if draw is not self._draw:
            return  # something else is to be shown by now, and may wait for its room
        pixels, self.figure = drawn
        height, width = pixels.shape[:2]
        self._image = QImage(pixels.tobytes(), width, height, 4 * width, QImage.Format.Format_RGBA8888).copy()
        self.update()

    def _on_saved(self, path: Path) -> None:
        from napari.utils.notifications import show_info

        show_info(f"Saved {path.name}")


def _with_words(image: QImage, words: PlotWords, colours: WindowColours, scale: float) -> QImage:
    """The picture with its title above and its sentences below; at once, as who copies pastes next."""
    font = QFont()
    font.setPixelSize(round(_WORDS_PX * scale))
    flags = int(Qt.TextFlag.TextWordWrap | Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignTop)
    metrics, width = QFontMetrics(font), image.width() - 2 * _WORDS_MARGIN_PX
    text = "\n".join(words.sentences)
    top = metrics.height() + _WORDS_MARGIN_PX
    foot = metrics.boundingRect(QRect(0, 0, width, 1 << 20), flags, text).height() + 2 * _WORDS_MARGIN_PX
    whole = QImage(image.width(), top + image.height() + foot, image.format())
    whole.fill(QColor(colours.background))
    painter = QPainter(whole)
    painter.drawImage(0, top, image)
    painter.setFont(font)
    painter.setPen(QColor(colours.text))
    painter.drawText(QRect(_WORDS_MARGIN_PX, _WORDS_MARGIN_PX // 2, width, top), flags, words.title)
    painter.drawText(QRect(_WORDS_MARGIN_PX, top + image.height(), width, foot), flags, text)
    painter.end()
    return whole
