"""Tables as CSV and LaTeX."""

from __future__ import annotations

import csv
import io
from pathlib import Path

from amkd_core.atomic import write_text
from amkd_core.export.plain_cells import plain_cell
from amkd_core.export.run_report import ReportTable

_LATEX = {"\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_", "{": r"\{", "}": r"\}",
          "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "±": r"$\pm$", "α": r"$\alpha$"}  # fmt: skip


def write_table_files(folder: Path, name: str, table: ReportTable) -> None:
    """Write ``<name>.csv`` and ``<name>.tex``, atomically."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerows([*map(plain_cell, row)] for row in (table.header, *table.rows))
    write_text(folder / f"{name}.csv", text.getvalue())
    write_text(folder / f"{name}.tex", latex_of(table))


def latex_of(table: ReportTable) -> str:
    """A booktabs table; text is escaped."""
    lines = [
        r"\begin{table}",
        rf"\caption{{{escaped(table.caption)}}}",
        rf"\begin{{tabular}}{{{'l' * len(table.header)}}}",
        r"\toprule",
        " & ".join(map(escaped, table.header)) + r" \\",
        r"\midrule",
        *(" & ".join(map(escaped, row)) + r" \\" for row in table.rows),
        r"\bottomrule",
        r"\end{tabular}",
    ]
    if table.note:
        lines.append(rf"\par\footnotesize {escaped(table.note)}")
    return "\n".join([*lines, r"\end{table}"]) + "\n"


def escaped(text: str) -> str:
    """Text that LaTeX prints as it is."""
    return "".join(_LATEX.get(letter, letter) for letter in text)
