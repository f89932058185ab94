"""Tables of pathways and genes, sorted by number and searched by name."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from qtpy.QtCore import QAbstractTableModel, QEvent, QModelIndex, QSortFilterProxyModel, Qt
from qtpy.QtWidgets import (
    QAbstractItemView,
    QHeaderView,
    QStyledItemDelegate,
    QStyleOptionViewItem,
    QTableView,
    QWidget,
)

_NOWHERE = QModelIndex()


class _Rows(QAbstractTableModel):
    """Rows of values; their text is made only for those that are seen."""

    def __init__(self, headings: Sequence[str], parent: QWidget) -> None:
        super().__init__(parent)
        self._headings = list(headings)
        self._rows: list[Sequence[Any]] = []
        self._formats: Sequence[Callable[[Any], str]] = ()

    def replace(self, rows: Sequence[Sequence[Any]], formats: Sequence[Callable[[Any], str]]) -> None:
        self.beginResetModel()
        self._rows, self._formats = list(rows), formats
        self.endResetModel()

    def update(self, rows: Sequence[Sequence[Any]]) -> None:
        before, self._rows = self._rows, list(rows)
        for place, (old, new) in enumerate(zip(before, self._rows, strict=True)):
            if tuple(old) != tuple(new):
                self.dataChanged.emit(self.index(place, 0), self.index(place, self.columnCount() - 1))

    def rowCount(self, parent: QModelIndex = _NOWHERE) -> int:  # noqa: N802 (Qt's name)
        return 0 if parent.isValid() else len(self._rows)

    def columnCount(self, parent: QModelIndex = _NOWHERE) -> int:  # noqa: N802 (Qt's name)
        return 0 if parent.isValid() else len(self._headings)

    def data(self, index: QModelIndex, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        if not index.isValid():
            return None
        value = self._rows[index.row()][index.column()]
        if role == Qt.ItemDataRole.UserRole:
            return value
        if role == Qt.ItemDataRole.DisplayRole:
            return self._formats[index.column()](value)
        if role == Qt.ItemDataRole.ToolTipRole and isinstance(value, str):
            return value
        return None

    def headerData(  # noqa: N802 (Qt's name)
        self, section: int, orientation: Qt.Orientation, role: int = Qt.ItemDataRole.DisplayRole
    ) -> Any:
        if orientation == Qt.Orientation.Horizontal and role == Qt.ItemDataRole.DisplayRole:
            return self._headings[section]
        return None


class _MiddleElided(QStyledItemDelegate):
    """Draws cells whose text is cut in its middle."""

    def initStyleOption(  # noqa: N802 (Qt's name)
        self, option: QStyleOptionViewItem | None, index: QModelIndex
    ) -> None:
        super().initStyleOption(option, index)
        if option is not None:
            option.textElideMode = Qt.TextElideMode.ElideMiddle


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
        self._items = _Rows(headings, self)
        self._proxy = QSortFilterProxyModel(self)
        self._proxy.setSourceModel(self._items)
        self._proxy.setFilterKeyColumn(stretched)
        self._proxy.setFilterCaseSensitivity(Qt.CaseSensitivity.CaseInsensitive)
        self._proxy.setSortRole(Qt.ItemDataRole.UserRole)
        self.setModel(self._proxy)
        # Without an order of its own Qt begins with the last of the first column.
        self.sortByColumn(0, Qt.SortOrder.AscendingOrder)
        self.setSortingEnabled(True)
        self.setAccessibleName(f"Table: {', '.join(headings)}")
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.setHorizontalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        self.verticalHeader().setVisible(False)
        self._set_row_height()
        self.setWordWrap(False)
        header = self.horizontalHeader()
        header.setMinimumSectionSize(44)
        header.setMaximumSectionSize(260)
        # Of the rows that are seen: asking hundreds for their width would hold the window.
        header.setResizeContentsPrecision(0)
        for column in range(len(headings)):
            wide = column == stretched
            mode = QHeaderView.ResizeMode.Stretch if wide else QHeaderView.ResizeMode.ResizeToContents
            header.setSectionResizeMode(column, mode)

    def changeEvent(self, event: QEvent | None) -> None:  # noqa: N802 (Qt's name)
        """Follow the size of the window's text."""
        super().changeEvent(event)
        if event is not None and event.type() == QEvent.Type.FontChange:
            self._set_row_height()

    def _set_row_height(self) -> None:
        self.verticalHeader().setDefaultSectionSize(max(22, self.fontMetrics().height() + 6))

    def set_rows(self, rows: Sequence[Sequence[Any]], formats: Sequence[Callable[[Any], str]]) -> None:
        """Replace what is shown; `formats` turn each column's values into text."""
        self._items.replace(rows, formats)

    def update_rows(self, rows: Sequence[Sequence[Any]]) -> None:
        """Give the same rows, in the order of `set_rows`, other values; what is selected and in view stays so."""
        self._items.update(rows)

    def elide_in_the_middle(self, column: int) -> None:
        """Cut long texts of a column in their middle: names of slides are often alike at the beginning."""
        self.setItemDelegateForColumn(column, _MiddleElided(self))

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
