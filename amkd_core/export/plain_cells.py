"""Cells of CSV files that no spreadsheet takes for a formula."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from amkd_core.file_names import FORMULA_STARTS
from amkd_core.notices import RESEARCH_CODE

if TYPE_CHECKING:
    import pandas as pd

# A number, or numbers with their interval, may begin with a sign; a plus within only where another number begins.
_NUMBERS = re.compile(r"[-+]?[\d.](?:[\d.,()%±\s–-]|to|(?<=[(\s])\+(?=\d)|e[-+]?\d)*")


def plain_cell(text: str) -> str:
    """Text that no spreadsheet takes for a formula or a new line; numbers stay as they are."""
    return text if _NUMBERS.fullmatch(text) else plain_name(text)


def plain_name(text: str) -> str:
    """A name as text for a spreadsheet, also where it looks like a number ("-1")."""
    marked = f"'{text}" if text.startswith(FORMULA_STARTS) else text
    # pandas puts no quotation marks around a lone carriage return, and a reader would begin a row at it.
    return marked.replace("\r", " ")


def for_research(table: pd.DataFrame) -> pd.DataFrame:
    """The table with ``notices``, in every row the code of what it is for; a line of its own would be no row."""
    return table.assign(notices=RESEARCH_CODE)


def plain_table(table: pd.DataFrame) -> pd.DataFrame:
    """The table with every text in it as `plain_cell` gives it."""
    return table.map(lambda value: plain_cell(value) if isinstance(value, str) else value)
