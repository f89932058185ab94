"""Clinical and expression tables as spreadsheets, pipelines and bad copies leave them, with the sentence for each."""

from __future__ import annotations

import gzip
from dataclasses import dataclass

GOOD = "patient_id,slide_ids,os_months,os_event\nP1,s1,12.5,1\nP2,s2,30,0\nP3,s3,7.25,1\n"
GENES = "patient_id,G1,G2,G3\nP1,1.5,2.5,3.5\nP2,4.5,5.5,6.5\nP3,0.5,1.0,2.0\n"


@dataclass(frozen=True)
class Malformed:
    """One table: bytes, the sentence that it earns (after the file's name), and the name itself."""

    content: bytes
    sentence: str
    name: str = "clinical.csv"


def clinical(old: str, new: str, sentence: str) -> Malformed:
    assert old in GOOD
    return Malformed(GOOD.replace(old, new).encode(), sentence)


def genes(old: str, new: str, sentence: str) -> Malformed:
    assert old in GENES
    return Malformed(GENES.replace(old, new).encode(), sentence, "expression.csv")


_MONTHS = "expected months above 0"
_FLAG = "expected 1 (death) or 0 (censored)"
MALFORMED = {
    "empty": Malformed(b"", ": is empty or begins with an empty line, expected names of columns"),
    "empty lines": Malformed(b"\n\n\n", ": is empty or begins with an empty line"),
    "a mark of UTF-8 alone": Malformed(b"\xef\xbb\xbf", ": is empty or begins with an empty line"),
    "header alone": Malformed(GOOD.splitlines()[0].encode(), ": has names of columns and no rows"),
    "semicolons": Malformed(
        GOOD.replace(",", ";").encode(), ", line 1: columns are separated by semicolons, expected commas"
    ),
    "tabs in a CSV": Malformed(
        GOOD.replace(",", "\t").encode(), ", line 1: columns are separated by tabs, expected commas"
    ),
    "bars": Malformed(
        GOOD.replace(",", "|").encode(), ", line 1: columns are separated by bars, expected commas"
    ),
    "commas in a TSV": Malformed(
        GOOD.encode(), ", line 1: columns are separated by commas, expected tabs", "clinical.tsv"
    ),
    "UTF-16": Malformed(GOOD.encode("utf-16"), ": is UTF-16 text, expected UTF-8"),
    "UTF-16 without its mark": Malformed(
        GOOD.encode("utf-16-le"), ", line 1: holds NUL bytes, expected UTF-8 text"
    ),
    "Latin-1": Malformed(
        GOOD.replace("P2", "Müller").encode("latin-1"), ", line 3: byte 0xfc is no UTF-8 text"
    ),
    "a NUL in a cell": clinical("P2", "P\0002", ", line 3: holds NUL bytes"),
    "a page of zeros": Malformed(GOOD.encode() + bytes(4096), ", line 5: holds NUL bytes"),
    "a carriage return in a row": clinical(
        "P2,s2", "P2\rP4,s2", ", line 3: holds a carriage return within it"
    ),
    "lines that end with carriage returns": Malformed(
        GOOD.replace("\n", "\r").encode(), ", line 1: holds a carriage return within it"
    ),
    "a cell of 200,000 characters": clinical(
        "P2",
        '"' + "P" * 200_000 + '"',
        ", line 3: cannot be read as a row of a table (field larger than field limit",
    ),
    "a comma for a point": clinical(
        "12.5", "12,5", ", line 2: has 5 cells, but line 1 names 4 columns; a decimal comma"
    ),
    "a comma for a point, quoted": clinical(
        "12.5", '"12,5"', f": 1 problem: row 2, patient P1: os_months is 12,5, {_MONTHS}"
    ),
    "every row one cell too long": Malformed(
        GOOD.replace("1\n", "1,\n").replace("0\n", "0,\n").encode(),
        ", line 2: has 5 cells, but line 1 names 4 columns",
    ),
    "a row cut short": clinical("P2,s2,30,0", "P2,s2,30", ", line 3: has 3 of 4 cells, os_event is missing"),
    "a last row cut off": Malformed(GOOD[:-9].encode(), ", line 4: has 2 of 4 cells, os_months is missing"),
    "a column twice": clinical(
        "os_event", "os_months", ", line 1: column os_months stands there 2 times, expected once"
    ),
    "no names of columns": Malformed(
        GOOD.split("\n", 1)[1].encode(), ": no column patient_id, os_months, os_event, slide_ids; found P1"
    ),
    "a missing column": clinical(
        "os_event", "outcome", ": no column os_event; found patient_id, slide_ids, os_months, outcome"
    ),
    "a title above the header": Malformed(
        b"Table S1\n" + GOOD.encode(), ", line 2: has 4 cells, but line 1 names 1 columns"
    ),
    "a quote never closed": clinical("s2", '"s2', ", line 3: a quotation mark is opened and never closed"),
    "a formula for a patient": clinical(
        "P2", "=A1+1", ": 1 problem: row 3: patient_id '=A1+1' begins with '=' like a formula"
    ),
    "a formula for a time": clinical(
        "30", "=B2*30", f": 1 problem: row 3, patient P2: os_months is =B2*30, {_MONTHS}"
    ),
    "an error of Excel": clinical(
        "30", "#REF!", f": 1 problem: row 3, patient P2: os_months is #REF!, {_MONTHS}"
    ),
    "a date for a time": clinical(
        "30", "2021-03-01", f": 1 problem: row 3, patient P2: os_months is 2021-03-01, {_MONTHS}"
    ),
    "a huge whole number": clinical(
        "30", "9" * 25, ": 1 problem: row 3, patient P2: os_months is 1e+25, longer than anyone lives"
    ),
    "a number beyond floats": clinical(
        "30", "1e999", f": 1 problem: row 3, patient P2: os_months is inf, {_MONTHS}"
    ),
    "a negative time": clinical(
        "30", "-30", f": 1 problem: row 3, patient P2: os_months is -30.0, {_MONTHS}"
    ),
    "days called months": clinical(
        "30", "3650", ": 1 problem: row 3, patient P2: os_months is 3650, longer than anyone lives"
    ),
    "a flag of 2": clinical("30,0", "30,2", f": 1 problem: row 3, patient P2: os_event is 2, {_FLAG}"),
    "a flag in words among numbers": clinical(
        "30,0", "30,alive", f": 1 problem: row 3, patient P2: os_event is alive, {_FLAG}"
    ),
    "a row without a patient": clinical("P2,", ",", ": 1 problem: row 3: no patient_id"),
    "a patient twice": clinical("P2,", "P1,", ": 1 problem: row 3: patient P1 stands there more than once"),
    "a path for a slide": clinical(
        "s2", "/data/s2.svs", ": 1 problem: row 3, patient P2: slide '/data/s2' is a path"
    ),
    "a letter that is not seen": clinical(
        "P2", "P\u202e2", ": 1 problem: row 3: patient_id 'P\\u202e2' holds letters"
    ),
    "a workbook called CSV": Malformed(b"PK\x03\x04\x14\0\x06\0\x08\0", ", line 1: holds NUL bytes"),
    "no gzip": Malformed(GOOD.encode(), ": cannot be read as a table (Not a gzipped file", "clinical.csv.gz"),
    "a cut gzip": Malformed(
        gzip.compress(GOOD.encode() * 500)[:-20],
        ": cannot be read as a table (Compressed file ended",
        "clinical.csv.gz",
    ),
    "a million columns": Malformed(
        b"," * 1_000_000 + b"\n1\n", ", line 1: has 1,000,001 columns, expected at most 200,000"
    ),
    "expression in words": genes("5.5", "high", ": row 3, column G2: 'high' is no number"),
    "expression as formulas": genes("5.5", "=B2", ": row 3, column G2: '=B2' is no number"),
    "expression with commas for points": genes("5.5", '"5,5"', ": row 3, column G2: '5,5' is no number"),
    "expression with a hole": genes("5.5", "", ": patient P2, gene G2 is nan, expected a finite number"),
    "expression without an end": genes(
        "5.5", "inf", ": patient P2, gene G2 is inf, expected a finite number"
    ),
    "expression cut off": genes(",2.0", "", ", line 4: has 3 of 4 cells, G3 is missing"),
    "a gene twice": genes("G3", "G2", ", line 1: column G2 stands there 2 times, expected once"),
    "expression with semicolons": Malformed(
        GENES.replace(",", ";").encode(), ", line 1: columns are separated by semicolons", "expression.csv"
    ),
    "expression of other patients": Malformed(
        GENES.replace("P", "Q").encode(), ": names no patient of the clinical table", "expression.csv"
    ),
    "a gene that became a date": genes("G2", "1-Mar", ": 1 genes are named like dates (1-Mar)"),
    "a patient of expression twice": genes("P2,", "P1,", ": patient P1 stands there more than once"),
}
