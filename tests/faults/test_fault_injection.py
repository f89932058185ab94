"""Formulas and markup in names of slides, patients, cohorts and pathways: printed as text in all that is passed on."""

from __future__ import annotations

import csv
import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pandas as pd
import pytest
from bundle_fixtures import N_GENES, random_bag, random_bundle
from fault_count import FaultCount

from amkd_core.bundle import Bundle
from amkd_core.cohort.clinical import read_clinical_table
from amkd_core.cohort.columns import ClinicalKeys
from amkd_core.errors import CohortError
from amkd_core.export.figures import write_figure
from amkd_core.export.geojson import write_geojson
from amkd_core.export.ome_tiff import write_heatmap_tiff
from amkd_core.export.plain_cells import plain_cell, plain_table
from amkd_core.export.prediction_report import write_report
from amkd_core.export.run_report import ReportTable
from amkd_core.export.scores import write_results_table
from amkd_core.file_names import FORMULA_STARTS
from amkd_core.inference.pathway_table import EffectRow, ranked_pathways
from amkd_core.inference.predict import predict_bag
from amkd_core.inference.prediction import Prediction
from amkd_core.studies.tables import write_table_files
from amkd_viewer.plots import effect_table, pathway_table, write_plot

PAYLOADS = (
    "=cmd|' /C calc'!A0", "+SUM(1;2)", "-2+3+cmd|' /C calc'!A0", "@SUM(A1:A9)", "\t=1+1", "\r=1+1",
    '=HYPERLINK("http://x.example","click")', "<script>alert(1)</script>", "<img src=x onerror=alert(1)>",
    '"><svg onload=alert(1)>', "</title></style><script>x()</script>", "{{7*7}}{% for x in y %}", "&lt;b&gt;&#106;",
    "\\input{/etc/passwd}", "\\write18{id}", "$\\frac{$", "$x^{2$ & y_1 % # ~ ^", "'; DROP TABLE patients; --",
    '","other":"cell\nnext line', "](javascript:alert(1))", "\N{RIGHT-TO-LEFT OVERRIDE}gpj.exe", "(text) Tj ET \\050",
)  # fmt: skip
SAMPLE = (0, 7, 10, 15, 18)
GENES = {f"GENE{index}": 4.0 + index / 10 for index in range(N_GENES)}


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    return random_bundle()


def named(payload: str, bundle: Bundle) -> Prediction:
    """A prediction in which slide, model (called as its cohort) and pathways bear the name."""
    pathways = [f"{payload}{index}" for index in range(len(bundle.card.pathways))]
    card = bundle.card.model_copy(update={"name": payload, "pathways": pathways})
    bag = replace(random_bag(12), slide_id=payload)
    return predict_bag(bag, replace(bundle, card=card), genes=GENES)


class Tags(HTMLParser):
    """Elements and attributes of a page, and the text between them."""

    def __init__(self, page: str) -> None:
        super().__init__(convert_charrefs=True)
        self.names: list[str] = []
        self.handlers: list[str] = []
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names.append(tag)
        self.handlers += [name for name, _ in attrs if name.startswith("on")]

    def handle_data(self, data: str) -> None:
        self.text += data


def check_html(payload: str, prediction: Prediction, folder: Path, plain: Tags) -> None:
    write_report(folder / "r.html", prediction, None, identified=True)
    page = Tags((folder / "r.html").read_text(encoding="utf-8"))
    assert page.names == plain.names
    assert page.handlers == []
    assert " ".join(payload.split()) in " ".join(page.text.split())


def check_csv(prediction: Prediction, folder: Path) -> None:
    write_results_table(folder / "results.csv", [prediction], identified=True)
    with (folder / "results.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.reader(file))
    assert len(rows) == 2
    assert len(rows[1]) == len(rows[0])
    for cell in rows[1]:
        assert not cell.startswith(FORMULA_STARTS) or _is_number(cell), cell


def check_plotted(prediction: Prediction, folder: Path) -> None:
    """The window's tables of pathways, saved from their plots."""
    rows = ranked_pathways(prediction.teacher)
    effects = [EffectRow(row.rank, row.name, -0.5) for row in rows]
    for table in (
        pathway_table(rows, rows, "research_only"),
        effect_table(effects, effects, "research_only"),
    ):
        write_plot(folder / "plot.csv", print, table, (5, 4))
        with (folder / "plot.csv").open(newline="", encoding="utf-8") as file:
            written = list(csv.reader(file))
        assert [row[1] for row in written[1:]] == [plain_cell(row.name) for row in rows]
        assert {len(row) for row in written} == {len(table[0])}
        for cell in (cell for row in written for cell in row):
            assert not cell.startswith(FORMULA_STARTS) or _is_number(cell), cell
            assert "\r" not in cell


def _is_number(cell: str) -> bool:
    return re.fullmatch(r"[-+]?\d+(\.\d+)?(e[-+]?\d+)?", cell) is not None


def check_tables(payload: str, folder: Path) -> None:
    table = ReportTable(
        payload, ("model", payload), ((payload, "-0.12 (-0.20 to 0.30)"), ("b", payload)), payload
    )
    write_table_files(folder, "t", table)
    with (folder / "t.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.reader(file))
    assert rows[1] == [plain_cell(payload), "-0.12 (-0.20 to 0.30)", "research_only"]
    assert not any(
        row[column].startswith(FORMULA_STARTS) for row, column in ((rows[0], 1), (rows[1], 0), (rows[2], 1))
    )
    text = (folder / "t.tex").read_text(encoding="utf-8")
    for character in "&%$#_":
        own = sum(line.count(character) - line.count("\\" + character) for line in _without_ours(text))
        assert own == 0, (character, payload)
    commands = set(re.findall(r"\\([A-Za-z]+)", text))
    assert not commands & {"input", "write", "frac", "immediate", "include"}


def _without_ours(text: str) -> list[str]:
    """Lines of a table without the marks that we write ourselves: comments, ends of cells, minus and relation signs."""
    text = re.sub(r"\$(-|\\pm|\\alpha|<|>)\$", "", text)
    return [re.sub(r" & |\{%$", "", line) for line in text.splitlines() if not line.startswith("%")]


def check_json(payload: str, prediction: Prediction, folder: Path) -> None:
    write_geojson(folder / "g.geojson", prediction, identified=True)
    record = json.loads((folder / "g.geojson").read_text(encoding="utf-8"))
    assert record["amkd"]["slide"] == payload
    assert record["amkd"]["provenance"]["bundle"]["name"] == payload


def check_drawn(prediction: Prediction, folder: Path) -> None:
    """Matplotlib takes dollars for mathematics, and stops at what is none."""
    write_report(folder / "r.pdf", prediction, None, identified=True)
    assert (folder / "r.pdf").read_bytes().startswith(b"%PDF")
    write_figure(folder / "f.png", prediction, None, identified=True)
    write_heatmap_tiff(folder / "h.ome.tif", prediction, identified=True)


def all_payloads(folder: Path, bundle: Bundle, counted: list[FaultCount], drawn: tuple[int, ...]) -> None:
    count = FaultCount("formulas and markup in names")
    counted.append(count)
    write_report(folder / "plain.html", named("plain", bundle), None, identified=True)
    plain = Tags((folder / "plain.html").read_text(encoding="utf-8"))
    for index, payload in enumerate(PAYLOADS):
        prediction = named(payload, bundle)
        check_csv(prediction, folder)
        check_plotted(prediction, folder)
        check_tables(payload, folder)
        check_json(payload, prediction, folder)
        if index in drawn:
            check_html(payload, prediction, folder, plain)
            check_drawn(prediction, folder)
        count.cases, count.same = count.cases + 1, count.same + 1


def test_a_sample_of_payloads_is_text_everywhere(
    tmp_path: Path, bundle: Bundle, counted: list[FaultCount]
) -> None:
    all_payloads(tmp_path, bundle, counted, SAMPLE[:3])


@pytest.mark.slow
def test_all_payloads_are_text_everywhere(tmp_path: Path, bundle: Bundle, counted: list[FaultCount]) -> None:
    assert len(PAYLOADS) >= 20
    all_payloads(tmp_path, bundle, counted, tuple(range(len(PAYLOADS))))


@pytest.mark.parametrize("payload", [item for item in PAYLOADS if item.strip().startswith(FORMULA_STARTS)])
def test_patients_are_not_called_like_formulas(payload: str, tmp_path: Path) -> None:
    table = pd.DataFrame({"patient_id": [payload], "slide_ids": ["s1"], "os_months": [5], "os_event": [1]})
    table.to_csv(tmp_path / "clinical.csv", index=False)
    # pandas puts no quotation marks around a lone carriage return, so that it ends the row.
    sentence = (
        "line 2: holds a carriage return" if "\r" in payload else r"row 2: patient_id .* like a formula"
    )
    with pytest.raises(CohortError, match=sentence):
        read_clinical_table(tmp_path / "clinical.csv", ClinicalKeys())


@pytest.mark.parametrize(
    "text",
    ["-0.12", "+3", "-1.5e-07", "-0.12 (-0.20 to 0.30)", "-3 ± 0.1", "0.5", "plain", "-12 %", "-0.1, -0.2"],
)
def test_numbers_stay_numbers(text: str) -> None:
    assert plain_cell(text) == text


def test_tables_of_pathways_are_plain() -> None:
    table = plain_table(pd.DataFrame({"pathway": ["=1", "P"], "attention": [-1.0, 2.0]}))
    assert table["pathway"].tolist() == ["'=1", "P"]
    assert table["attention"].tolist() == [-1.0, 2.0]
