"""Tables as CSV and LaTeX."""

from __future__ import annotations

import csv
import io
import re
from pathlib import Path

from amkd_core.atomic import write_text
from amkd_core.bundle_card import RESEARCH_USE_ONLY
from amkd_core.export.plain_cells import plain_cell
from amkd_core.export.run_report import ReportTable
from amkd_core.notices import RESEARCH_CODE

_LATEX = {"\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_", "{": r"\{", "}": r"\}",
          "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "±": r"$\pm$", "≤": r"$\leq$", "α": r"$\alpha$",
          "<": r"$<$", ">": r"$>$"}  # fmt: skip
# Before a number, and not within a word or an exponent.
_MINUS = re.compile(r"(?<![\w.)])-(?=\d)")
# Letters of a row beyond which a table is shrunk to the width of the text.
_WIDE = 85


def write_table_files(folder: Path, name: str, table: ReportTable) -> None:
    """Write ``<name>.csv`` and ``<name>.tex``, atomically; the one has ``notices`` in every row, the other a note."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    marked = ((*table.header, "notices"), *((*row, RESEARCH_CODE) for row in table.rows))
    writer.writerows([*map(plain_cell, row)] for row in marked)
    write_text(folder / f"{name}.csv", text.getvalue())
    write_text(folder / f"{name}.tex", latex_of(table))


def latex_of(table: ReportTable) -> str:
    """A booktabs table; text is escaped, and one wider than a page's text is shrunk to it."""
    columns = zip(table.header, *table.rows, strict=True)
    is_wide = sum(max(map(len, column)) for column in columns) > _WIDE
    lines = [
        r"% \usepackage{booktabs}" + (r" \usepackage{graphicx}" if is_wide else ""),
        r"\begin{table}",
        r"\centering",
        rf"\caption{{{escaped(table.caption)}}}",
        *([r"\resizebox{\textwidth}{!}{%"] if is_wide else []),
        rf"\begin{{tabular}}{{{'l' * len(table.header)}}}",
        r"\toprule",
        " & ".join(map(escaped, table.header)) + r" \\",
        r"\midrule",
        *(" & ".join(map(escaped, row)) + r" \\" for row in table.rows),
        r"\bottomrule",
        r"\end{tabular}" + ("}" if is_wide else ""),
    ]
    note = f"{table.note} {RESEARCH_USE_ONLY}".lstrip()
    lines.append(rf"\par\smallskip\footnotesize {escaped(note)}")
    return "\n".join([*lines, r"\end{table}"]) + "\n"


def escaped(text: str) -> str:
    """Text that LaTeX prints as it is."""
    signed = _MINUS.sub("\N{MINUS SIGN}", text)
    return "".join(_LATEX.get(letter, letter) for letter in signed).replace("\N{MINUS SIGN}", "$-$")
