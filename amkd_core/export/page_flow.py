"""Text set from the top of an A4 page to its foot, and on to another page where one is full."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from amkd_core.bundle_card import RESEARCH_USE_ONLY
from amkd_core.export.figures import WARNING_COLOUR

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from amkd_core.export.run_report import KeyFigure, Report, ReportSection, ReportTable

A4_IN = (8.27, 11.69)
MARGIN = 0.07
ACCENT = "#007c8a"
GREY = "#555555"
WIDTH = 1 - 2 * MARGIN
# Nothing but the footer stands lower; shares of the page's height, as all heights here.
FOOT = 0.045
_LEADING = 1.3
# Space between columns, and where the second of two begins at the latest.
_GAP, _FAR = 0.02, 0.7
_TITLE_LINES = 2
# Of the key figures the last is the longest: survival at three times, with its limits.
_LAST_WIDER = 0.4


class PageFlow:
    """Pages of a report, each under the same banner and title; `top` is where the next line of the last one goes.

    Lines are as long as the letters in them are wide, so that capitals and Chinese stay on the page as well.

    Parameters
    ----------
    report
        What is said on every page: banner, title, subtitle and footer.
    """

    def __init__(self, report: Report) -> None:
        self._report = report
        self.pages: list[Figure] = []
        self.start_page()

    @property
    def figure(self) -> Figure:
        """The last page."""
        return self.pages[-1]

    def start_page(self) -> None:
        """Go on upon another page."""
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure

        self.pages.append(Figure(figsize=A4_IN, facecolor="white"))
        FigureCanvasAgg(self.figure)
        report = self._report
        self._lines([report.footer], 0.03, MARGIN, 8, colour=GREY)
        banner = RESEARCH_USE_ONLY + (f" {report.banner}" if report.synthetic else "")
        self.top = 0.965
        self.write(banner, size=9, colour=WARNING_COLOUR, weight="bold", after=0.006)
        title = self.wrapped(report.title, WIDTH, 15, "bold")
        if len(title) > _TITLE_LINES:
            title = [*title[: _TITLE_LINES - 1], title[_TITLE_LINES - 1] + "..."]
        self._lines(title, self.top, MARGIN, 15, weight="bold")
        self.top -= _height(len(title), 15) + 0.004
        self.write(report.subtitle, size=9, colour=GREY, after=0.014)

    def need(self, height: float) -> bool:
        """Go to another page unless so much of this one is left; whether it was another."""
        if self.top - height >= FOOT:
            return False
        self.start_page()
        return True

    def write(
        self, text: str, *, size: float, colour: str = "black", weight: str = "normal", after: float = 0.003
    ) -> None:
        """Set a paragraph over the width of the page, with so much space after it."""
        self._set_lines(self.wrapped(text, WIDTH, size, weight), size, colour, weight, after)

    def write_keys(self, keys: tuple[KeyFigure, ...]) -> None:
        """Set key figures beside each other: labels, numbers and notes each in a row of their own."""
        step = WIDTH / (len(keys) + _LAST_WIDER)
        widths = [step - _GAP] * (len(keys) - 1) + [(1 + _LAST_WIDER) * step]
        for texts, size, colour, weight, after in (
            ([key.label for key in keys], 8, GREY, "normal", 0.006),
            ([key.value for key in keys], 13, "black", "bold", 0.006),
            ([key.note for key in keys], 7.5, "#333333", "normal", 0.018),
        ):
            cells = [
                self.wrapped(text, width, size, weight) for text, width in zip(texts, widths, strict=True)
            ]
            for index, lines in enumerate(cells):
                self._lines(lines, self.top, MARGIN + index * step, size, colour=colour, weight=weight)
            self.top -= _height(max(map(len, cells)), size) + after

    def write_points(self, section: ReportSection) -> None:
        """Set a section that is a list."""
        self._write_heading(section.title)
        for point in section.points:
            first, *rest = self.wrapped(point, WIDTH - _GAP, 8)
            self._set_lines([f"- {first}", *(f"  {line}" for line in rest)], 8, after=0.003)

    def write_section(self, section: ReportSection) -> None:
        """Set a section's paragraphs and tables; a table that is broken has its header again on the next page."""
        self._write_heading(section.title)
        for paragraph in section.paragraphs:
            self.write(paragraph, size=8.5, after=0.004)
        for table in section.tables:
            self._write_table(table)
        self.top -= 0.01

    def wrapped(self, text: str, width: float, size: float, weight: str = "normal") -> list[str]:
        """Lines of a text, none wider than a share of the page; broken after spaces and underscores, else anywhere."""
        lines, line = [], ""
        for piece in re.findall(r"[^ _]+[ _]*|[ _]+", _in_one_line(text)):
            if self._width((line + piece).rstrip(), size, weight) <= width:
                line += piece
                continue
            if line:
                lines.append(line.rstrip())
            while self._width(piece.rstrip(), size, weight) > width and len(piece) > 1:
                fitting = 1
                while self._width(piece[: fitting + 1], size, weight) <= width:
                    fitting += 1
                lines.append(piece[:fitting])
                piece = piece[fitting:]
            line = piece
        return [*lines, line.rstrip()]

    def _write_heading(self, title: str) -> None:
        self.need(0.07)  # with some lines of what stands under it
        self.write(title, size=11, colour=ACCENT, weight="bold", after=0.004)

    def _write_table(self, table: ReportTable) -> None:
        edges = self._edges(table)
        widths = [end - start - _GAP for start, end in zip(edges, [*edges[1:], WIDTH + _GAP], strict=True)]
        self.need(0.06)
        self.write(table.caption, size=9, weight="bold")
        self._write_row(table.header, edges, widths, colour=GREY)
        for row in table.rows:
            lines = max(len(self.wrapped(cell, width, 8)) for cell, width in zip(row, widths, strict=True))
            if self.need(_height(lines, 8)):
                self._write_row(table.header, edges, widths, colour=GREY)
            self._write_row(row, edges, widths)
        if table.note:
            self.write(table.note, size=7.5, colour=GREY, after=0.006)

    def _write_row(
        self, row: tuple[str, ...], edges: list[float], widths: list[float], *, colour: str = "black"
    ) -> None:
        cells = [self.wrapped(cell, width, 8) for cell, width in zip(row, widths, strict=True)]
        for edge, lines in zip(edges, cells, strict=True):
            self._lines(lines, self.top, MARGIN + edge, 8, colour=colour)
        self.top -= _height(max(map(len, cells)), 8) + 0.0025

    def _edges(self, table: ReportTable) -> list[float]:
        """Left edges of a table's columns, from the margin."""
        if table.is_long:
            return [0.0, 0.12]
        if len(table.header) == 2:
            widest = max(
                self._width(_in_one_line(row[0]), 8, "normal") for row in (table.header, *table.rows)
            )
            return [0.0, min(max(0.5, widest + _GAP), _FAR)]
        return [0.0, 0.1, 0.4, 0.6][: len(table.header)]

    def _set_lines(
        self, lines: list[str], size: float, colour: str = "black", weight: str = "normal", after: float = 0.0
    ) -> None:
        """Set lines at the left margin, on as many pages as they need."""
        for line in lines:
            self.need(_height(1, size))
            self._lines([line], self.top, MARGIN, size, colour=colour, weight=weight)
            self.top -= _height(1, size)
        self.top -= after

    def _lines(
        self,
        lines: list[str],
        top: float,
        x: float,
        size: float,
        *,
        colour: str = "black",
        weight: str = "normal",
    ) -> None:
        for index, line in enumerate(lines):
            self.figure.text(
                x, top - _height(index, size), line, fontsize=size, color=colour, fontweight=weight, va="top",
                parse_math=False,
            )  # fmt: skip

    def _width(self, text: str, size: float, weight: str) -> float:
        """Width of one line as a share of the page."""
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.font_manager import FontProperties

        canvas = self.figure.canvas
        assert isinstance(canvas, FigureCanvasAgg)
        font = FontProperties(size=size, weight=weight)
        width, _, _ = canvas.get_renderer().get_text_width_height_descent(text, font, False)
        return float(width / self.figure.bbox.width)


def _in_one_line(text: str) -> str:
    return " ".join(text.split())


def _height(lines: int, size: float) -> float:
    return lines * size * _LEADING / 72 / A4_IN[1]
