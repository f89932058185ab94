"""Tables of pathways and genes, sorted by number and searched by name."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QModelIndex, QSortFilterProxyModel, Qt
from qtpy.QtGui import QStandardItem, QStandardItemModel
from qtpy.QtWidgets import QAbstractItemView, QHeaderView, QTableView, QWidget

if TYPE_CHECKING:
    from collections.abc import Callable


class SortedTable(QTableView):
    """A read-only table; numbers sort as numbers, rows are found by any word of a column.

    Parameters
    ----------
    headings
        Of the columns.
    stretched
        Index of the column that takes the room that is left, and that is searched.
    """

    def __init__(self, headings: Sequence[str], *, stretched: int, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._headings, self._stretched = list(headings), stretched
        self._items = QStandardItemModel(0, len(headings), self)
        self._proxy = QSortFilterProxyModel(self)
        self._proxy.setSourceModel(self._items)
        self._proxy.setFilterKeyColumn(stretched)
        self._proxy.setFilterCaseSensitivity(Qt.CaseSensitivity.CaseInsensitive)
        self._proxy.setSortRole(Qt.ItemDataRole.UserRole)
        self.setModel(self._proxy)
        self.setSortingEnabled(True)
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.setHorizontalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        self.verticalHeader().setVisible(False)
        self.verticalHeader().setDefaultSectionSize(22)
        self.setWordWrap(False)
        self._dress()

    def set_rows(self, rows: Sequence[Sequence[Any]], formats: Sequence[Callable[[Any], str]]) -> None:
        """Replace what is shown; `formats` turn each column's values into text."""
        self.setSortingEnabled(False)
        self._items.clear()
        for row in rows:
            items = []
            for value, text in zip(row, formats, strict=True):
                item = QStandardItem(text(value))
                item.setData(value, Qt.ItemDataRole.UserRole)
                item.setToolTip(str(value) if isinstance(value, str) else "")
                items.append(item)
            self._items.appendRow(items)
        self._dress()
        self.setSortingEnabled(True)

    def search(self, text: str) -> None:
        """Show only rows whose searched column holds a text."""
        self._proxy.setFilterFixedString(text)

    @property
    def n_shown(self) -> int:
        """Rows that the search leaves."""
        return int(self._proxy.rowCount())

    def value(self, row: int, column: int) -> Any:
        """Value of a cell as it is sorted by, by its place on the screen."""
        return self._proxy.index(row, column).data(Qt.ItemDataRole.UserRole)

    @property
    def chosen(self) -> int | None:
        """Row on the screen that is selected."""
        rows: list[QModelIndex] = self.selectionModel().selectedRows()
        return rows[0].row() if rows else None

    def _dress(self) -> None:
        self._items.setHorizontalHeaderLabels(self._headings)
        header = self.horizontalHeader()
        for column in range(len(self._headings)):
            stretched = column == self._stretched
            mode = QHeaderView.ResizeMode.Stretch if stretched else QHeaderView.ResizeMode.ResizeToContents
            header.setSectionResizeMode(column, mode)
        header.setMinimumSectionSize(44)
        header.setMaximumSectionSize(260)
