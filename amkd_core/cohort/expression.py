"""Expression as it is downloaded: either way round, by Ensembl identifier or symbol, on several scales."""

from __future__ import annotations

import re
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from amkd_core.cohort.barcodes import choose_samples, patient_of
from amkd_core.cohort.clinical_values import is_empty
from amkd_core.cohort.genes import Array, ExpressionTable, numbers_of, refuse_dates, refuse_gaps
from amkd_core.cohort.tables import named, read_table, sheet_notes
from amkd_core.errors import CohortError

if TYPE_CHECKING:
    import pandas as pd

Scale = Literal["auto", "log", "linear", "zscore"]
FoundScale = Literal["log", "linear", "zscore"]

# log2 of anything counted in tissue stays below this; counts and TPM do not.
_LARGEST_LOG = 40.0
# Of z-scores with heavy tails 2 to 5 % of the genes go beyond it (TCGA), of counts nearly all: fewer are other columns.
_FEWEST_BEYOND = 0.005
_MOST_NAMED = 5
UNITS = {"log": "logarithms", "linear": "counts or TPM", "zscore": "z-scores"}
"""What the values of a file are called."""
_ENSEMBL = re.compile(r"^ENS[A-Z]*G\d{11}(\.\d+)?$")


@dataclass(frozen=True)
class ReadExpression:
    """A table, each interpretation that was taken, in a sentence, and the scale on which the file's values stand."""

    table: ExpressionTable
    notes: tuple[str, ...]
    scale: FoundScale = "log"


def read_cohort_expression(
    path: Path, known: AbstractSet[str], *, probe_map: Path | None = None, scale: Scale = "auto"
) -> ReadExpression:
    """Read expression for the patients of a clinical table.

    Genes may stand in rows (UCSC Xena) or in columns. What is of no patient of the clinical table (further columns
    about genes, other cohorts' samples) is passed over. Of several samples of a TCGA patient the primary tumour is
    taken, then the first in sorted order; normal tissue never. Several identifiers of one symbol are averaged. A gene
    without a value in any of the patients counts as not measured.

    Parameters
    ----------
    known
        Patients of the clinical table; they tell which way round the table stands.
    probe_map
        Table from identifiers to symbols (columns ``id`` and ``gene``, as Xena gives them).
    scale
        "auto" recognises log values and heavy-tailed z-scores, and refuses counts; "linear" takes log2(x + 1) of
        counts or TPM; "zscore" compresses by sign(z) log(1 + |z|); "log" takes values as they are.

    Raises
    ------
    CohortError
        When the table cannot be read, no patient of the clinical table is in it, or its values do not look like
        what `scale` says.
    """
    frame = read_table(path, first_is_text=True)
    source, notes = named(path, frame), sheet_notes(path, frame)
    if _begins_with_a_counter(frame, known):
        frame = frame.iloc[:, 1:]
        notes.append("The first column, which has no name and counts the rows, is passed over.")
    samples, genes, values = _oriented(frame, known, source, notes)
    genes, values = _measured(genes, values, source, notes)
    genes, values = _symbols(genes, values, probe_map, source, notes)
    samples, values = _patients(samples, values, source, notes)
    refuse_dates(genes, source)
    refuse_gaps(samples, genes, values, source)
    if scale == "auto":
        _refuse_other_columns(genes, values, source)
    found = _found_scale(values, scale, source, notes)
    values = brought_to_logs(values, found)
    still = int((np.ptp(values, axis=0) == 0).sum()) if len(values) > 1 else 0
    if still:
        notes.append(f"{still} of {len(genes)} genes have the same value in all patients and tell nothing.")
    return ReadExpression(ExpressionTable(tuple(samples), tuple(genes), values), tuple(notes), found)


def _begins_with_a_counter(frame: pd.DataFrame, known: AbstractSet[str]) -> bool:
    """As pandas writes a table whose patients are a column of their own."""
    if frame.shape[1] < 3 or str(frame.columns[0]) not in {"", "Unnamed: 0"}:
        return False
    first, second = ([str(value).strip() for value in frame.iloc[:, place]] for place in (0, 1))
    counts = first == [str(place) for place in range(len(frame))]
    return counts and not known & set(first) and any(patient_of(value) in known for value in second)


def _oriented(
    frame: pd.DataFrame, known: AbstractSet[str], name: str, notes: list[str]
) -> tuple[list[str], list[str], Array]:
    """Samples, genes and values (n_samples, n_genes), whichever of them stands in rows."""
    if frame.shape[1] < 2:
        raise CohortError(
            f"{name}: has {frame.shape[1]} column, expected identifiers and values; is it tab-separated?"
        )
    first = ["" if is_empty(value) else str(value).strip() for value in frame.iloc[:, 0]]
    heads = [str(column).strip() for column in frame.columns[1:]]
    in_rows = sum(patient_of(value) in known for value in first)
    in_columns = sum(patient_of(value) in known for value in heads)
    if not in_rows and not in_columns:
        raise CohortError(
            f"{name}: names no patient of the clinical table, neither in rows ({first[0] if first else 'none'}, ...) "
            f"nor in columns ({heads[0]}, ...), expected such as {min(known, default='any')}"
        )
    if in_rows >= in_columns:
        own = [row for row, value in enumerate(first) if patient_of(value) in known]
        notes += _passed_over("row", first, own)
        return [first[row] for row in own], heads, numbers_of(frame.iloc[own, 1:], name)
    notes.append("Genes stand in rows and samples in columns.")
    own = [column for column, value in enumerate(heads) if patient_of(value) in known]
    notes += _passed_over("column", heads, own)
    values = numbers_of(frame.iloc[:, [column + 1 for column in own]], name)
    return [heads[column] for column in own], first, values.T


def _passed_over(what: str, names: list[str], own: list[int]) -> list[str]:
    """Rows or columns that are no patient's, in a sentence: cBioPortal's Entrez_Gene_Id, and other cohorts' samples."""
    others = sorted(set(range(len(names))) - set(own))
    if not others:
        return []
    count = f"1 {what} is" if len(others) == 1 else f"{len(others)} {what}s are"
    return [
        f"{count} of no patient of the cohort and passed over ({_some([names[place] for place in others])})."
    ]


def _some(names: list[str]) -> str:
    return ", ".join(names[:_MOST_NAMED]) + (", ..." if len(names) > _MOST_NAMED else "")


def _measured(genes: list[str], values: Array, name: str, notes: list[str]) -> tuple[list[str], Array]:
    """Without what cBioPortal's tables hold beside genes: rows without a symbol, and z-scores of what nobody expresses.

    Left there, one cell of them would stop the whole table.
    """
    named = np.array([gene != "" for gene in genes])
    told = ~np.isnan(values).all(axis=0)
    if not (named & told).any():
        raise CohortError(f"{name}: holds no value of any gene for the patients of the clinical table")
    if not named.all():
        notes.append(f"{(~named).sum()} rows have no gene's name and are passed over.")
    if (named & ~told).any():
        without = [genes[place] for place in np.flatnonzero(named & ~told)]
        notes.append(
            f"{len(without)} genes have no value in any patient and count as not measured ({_some(without)})."
        )
    kept = np.flatnonzero(named & told)
    return [genes[place] for place in kept], values[:, kept]


def _symbols(
    genes: list[str], values: Array, probe_map: Path | None, name: str, notes: list[str]
) -> tuple[list[str], Array]:
    ensembl = sum(_ENSEMBL.match(gene) is not None for gene in genes)
    if probe_map is not None:
        mapping = _read_probe_map(probe_map)
        places = [place for place, gene in enumerate(genes) if _lookup(gene, mapping)]
        if not places:
            raise CohortError(f"{probe_map.name}: maps none of the identifiers of {name}, such as {genes[0]}")
        notes.append(
            f"{len(places)} of {len(genes)} identifiers are mapped to symbols by {probe_map.name}; the others are left "
            "out."
        )
        genes, values = [_lookup(genes[place], mapping) for place in places], values[:, places]
    elif ensembl > len(genes) / 2:
        raise CohortError(
            f"{name}: names genes by Ensembl identifiers such as {genes[0]}; give probe_map, a table with the columns "
            "id and gene, so that they can be mapped to the symbols of the pathways"
        )
    distinct = sorted(set(genes))
    if len(distinct) == len(genes):
        return genes, values
    if probe_map is None:
        twice = next(gene for gene in distinct if genes.count(gene) > 1)
        raise CohortError(f"{name}: gene {twice} stands there more than once, expected each one once")
    place_of = {gene: place for place, gene in enumerate(distinct)}
    owner = np.array([place_of[gene] for gene in genes])
    sums = np.zeros((len(distinct), values.shape[0]))
    np.add.at(sums, owner, values.T)
    notes.append(
        f"{len(genes) - len(distinct)} further identifiers of the same symbol are averaged with the first."
    )
    return distinct, (sums / np.bincount(owner)[:, None]).T


def _read_probe_map(path: Path) -> dict[str, str]:
    frame = read_table(path)
    columns = {str(column).lower().lstrip("#"): column for column in frame.columns}
    if "id" not in columns or "gene" not in columns:
        found = ", ".join(map(str, frame.columns[:6]))
        raise CohortError(f"{path.name}: is no probe map: expected columns id and gene, found {found}")
    pairs = zip(frame[columns["id"]].astype(str), frame[columns["gene"]].astype(str), strict=True)
    mapping = {key.strip(): gene.strip() for key, gene in pairs if gene.strip() not in ("", "nan", "?")}
    # Releases differ in the version behind the dot; the identifier before it stays.
    return {**{key.split(".")[0]: gene for key, gene in mapping.items()}, **mapping}


def _lookup(gene: str, mapping: dict[str, str]) -> str:
    return mapping.get(gene) or mapping.get(gene.split(".")[0], "")


def _patients(samples: list[str], values: Array, name: str, notes: list[str]) -> tuple[list[str], Array]:
    repeated = len({patient_of(sample) for sample in samples}) < len(samples)
    if repeated and len(set(samples)) < len(samples):
        twice = next(sample for sample in samples if samples.count(sample) > 1)
        raise CohortError(f"{name}: patient {twice} stands there more than once, expected each one once")
    rows, n_normal, n_further = choose_samples(samples)
    if n_normal or n_further:
        notes.append(
            f"{n_normal} samples of normal tissue and {n_further} further samples of the same patients are left out "
            "(the primary tumour is taken, then the first in sorted order)."
        )
    return [patient_of(samples[row]) for row in rows], values[rows]


def likely_scale(low: float, high: float) -> FoundScale:
    """What a table with values from `low` to `high` holds: none below 0 and some above 40 are counts or TPM."""
    if low >= 0:
        return "linear" if high > _LARGEST_LOG else "log"
    return "zscore" if max(-low, high) > _LARGEST_LOG else "log"


def brought_to_logs(values: Array, scale: FoundScale) -> Array:
    """Values as the teacher reads them: log2(x + 1) of linear ones, sign(z) log(1 + |z|) of z-scores; same shape."""
    if scale == "linear":
        return np.log2(values + 1)
    return np.sign(values) * np.log1p(np.abs(values)) if scale == "zscore" else values


def same_units(one: FoundScale, other: FoundScale) -> bool:
    """Whether tables of two scales are alike once `brought_to_logs`: z-scores never become logarithms."""
    return (one == "zscore") == (other == "zscore")


def _refuse_other_columns(genes: list[str], values: Array, name: str) -> None:
    """Refuse values beyond logarithms in next to no gene: ages or days among the genes would set the scale of all."""
    beyond = np.abs(values).max(axis=0) > _LARGEST_LOG
    if 0 < beyond.sum() <= _FEWEST_BEYOND * len(genes):
        named = [gene for gene, is_beyond in zip(genes, beyond, strict=True) if is_beyond]
        raise CohortError(
            f"{name}: only {len(named)} of {len(genes):,} genes have values beyond {_LARGEST_LOG:g} ({_some(named)}), "
            "as columns have that are no genes; leave them out, or state expression_scale"
        )


def _found_scale(values: Array, scale: Scale, name: str, notes: list[str]) -> FoundScale:
    """The scale that is stated or, for "auto", recognised; what is done about it is noted."""
    low, high = float(values.min()), float(values.max())
    likely = likely_scale(low, high)
    if scale == "auto" and likely == "linear":
        raise CohortError(
            f"{name}: values run from {low:g} to {high:g}, which is no log scale; state expression_scale = "
            '"linear" to take log2(x + 1), or "log" if they are logarithms nonetheless'
        )
    found: FoundScale = likely if scale == "auto" else scale
    if found == "linear" and low < 0:
        raise CohortError(
            f"{name}: expression_scale is linear, but the smallest value is {low:g}, expected none below 0"
        )
    taken = {
        "linear": "taken as counts or TPM: log2(x + 1) is used",
        "zscore": "z-scores of linear values with heavy tails: sign(z) log(1 + |z|) is used",
        "log": "taken as logarithms",
    }[found]
    notes.append(f"Values from {low:g} to {high:g} are {taken}.")
    return found
