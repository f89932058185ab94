"""What an Excel workbook makes its reader build, counted part by part before it is opened."""

from __future__ import annotations

import zipfile
from pathlib import Path
from xml.parsers.expat import ExpatError, ParserCreate

from amkd_core.cohort.compressed import refuse_bomb
from amkd_core.errors import CohortError

# An .xls of before 2007, and every workbook that asks for a password.
_OLE_MARK = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_CHUNK_BYTES = 2**16
# Excel's own limits.
_MOST_ROWS, _MOST_COLUMNS = 1_048_576, 16_384
_MOST_DIGITS = 12
# A reader makes every cell left of the last one of a row, and fills all rows up to the widest.
_SMALL_CELLS, _MOST_EMPTY_PER_CELL = 4_000_000, 4
# Of these parts the reader makes an object from every element.
_MOST_ELEMENTS = {
    "styleSheet": 100_000,
    "workbook": 10_000,
    "Types": 10_000,
    "Relationships": 10_000,
    "Properties": 10_000,
    "coreProperties": 10_000,
}
_SHEET = "worksheet"


def check_workbook(path: Path) -> None:
    """Refuse a workbook that is none, is locked, or would cost far more than its size.

    Raises
    ------
    CohortError
    """
    with path.open("rb") as file:
        if file.read(len(_OLE_MARK)) == _OLE_MARK:
            raise CohortError(
                f"{path.name}: is an old Excel workbook (.xls) or one with a password; save it as .xlsx without one"
            )
    try:
        with zipfile.ZipFile(path) as book:
            parts = book.infolist()
            # A part can never be read beyond the size that the list tells of it.
            refuse_bomb(path, sum(part.file_size for part in parts))
            for part in parts:
                if part.flag_bits & 1 or part.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                    raise CohortError(
                        f"{path.name}: {part.filename!r} is packed in a way that Excel never uses"
                    )
                _check_part(book, part, path.name)
    except zipfile.BadZipFile as error:
        raise CohortError(f"{path.name}: is no Excel workbook, or a damaged one ({error})") from error


def _check_part(book: zipfile.ZipFile, part: zipfile.ZipInfo, name: str) -> None:
    """Count one part; what is no XML, or is cut off, is left to the reader, which sees no more of it than this."""
    count = _Count(name)
    parser = ParserCreate()
    parser.StartElementHandler = count.begin
    parser.EndElementHandler = count.end
    parser.StartDoctypeDeclHandler = count.refuse_definitions
    with book.open(part) as stream:
        while count.is_of_interest and (chunk := stream.read(_CHUNK_BYTES)):
            try:
                parser.Parse(chunk)
            except ExpatError:
                return


class _Count:
    """Elements of a part, and of a sheet its rows, its cells, and the cells that a reader makes of them."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.root = ""
        self.n_elements = self.n_cells = self.n_made = 0
        self.row = self.column = self.width = self.widest = 0

    @property
    def is_of_interest(self) -> bool:
        return self.root in ("", _SHEET) or self.root in _MOST_ELEMENTS

    def begin(self, tag: str, attributes: dict[str, str]) -> None:
        tag = tag.rpartition(":")[2]
        self.root = self.root or tag
        self.n_elements += 1
        if self.root == _SHEET:
            self._of_sheet(tag, attributes)
        elif self.n_elements > _MOST_ELEMENTS.get(self.root, self.n_elements):
            raise CohortError(
                f"{self.name}: its {self.root} has more than {_MOST_ELEMENTS[self.root]:,} entries, so this is no table"
            )

    def end(self, tag: str) -> None:
        if tag.rpartition(":")[2] == "row":
            self.n_made += self.width
            made = max(self.n_made, self.row * self.widest)
            if made > max(_SMALL_CELLS, _MOST_EMPTY_PER_CELL * self.n_cells):
                raise CohortError(
                    f"{self.name}: row {self.row} ends a sheet of {made:,} cells, of which {self.n_cells:,} are there; "
                    "expected a table without large gaps"
                )

    def refuse_definitions(self, *_: object) -> None:
        raise CohortError(f"{self.name}: defines entities of its own, which Excel never does")

    def _of_sheet(self, tag: str, attributes: dict[str, str]) -> None:
        if tag == "row":
            row = _whole(attributes.get("r", str(self.row + 1)))
            if not self.row < row <= _MOST_ROWS:
                raise CohortError(
                    f"{self.name}: row {row:,} follows row {self.row:,}, expected rows in order up to {_MOST_ROWS:,}"
                )
            self.row, self.column, self.width = row, 0, 0
        elif tag == "c":
            self.n_cells += 1
            self.column = _column(attributes["r"]) if "r" in attributes else self.column + 1
            if not 0 < self.column <= _MOST_COLUMNS:
                raise CohortError(
                    f"{self.name}: row {self.row} has a cell beyond the {_MOST_COLUMNS:,} columns of a sheet"
                )
            self.width = max(self.width, self.column)
        elif tag in ("v", "is"):
            self.widest = max(self.widest, self.column)


def _whole(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() and len(text) <= _MOST_DIGITS else -1


def _column(reference: str) -> int:
    """Number of the column of a reference such as AB12; 0 where it has none."""
    number = 0
    for letter in reference.upper()[:5]:
        if not "A" <= letter <= "Z":
            break
        number = 26 * number + ord(letter) - ord("A") + 1
    return number
