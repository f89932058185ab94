"""Gene sets, and which of them the expression covers well enough to use."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from amkd_core.errors import CohortError
from amkd_core.hash_beside import check_hash_beside

MIN_COVERAGE = 0.9
"""Least share of a pathway's genes that must be measured; the paper lost its number in print."""
LEAST_OF_ONE = 0.5
"""Less of a pathway's genes, and what a table tells of it is mostly what other patients had."""
_MOST_NAMED = 5


@dataclass(frozen=True)
class GeneSet:
    """A pathway's name and its genes."""

    name: str
    genes: frozenset[str]


@dataclass(frozen=True, eq=False, repr=False)
class Membership:
    """Pathways over the genes that they use.

    Attributes
    ----------
    pathways : tuple of str, length n_pathways
        In the order of the file.
    genes : tuple of str, length n_genes
        Genes of at least one kept pathway, sorted.
    matrix : bool array, shape (n_pathways, n_genes)
    dropped : tuple of str
        Pathways whose coverage is below the threshold.
    """

    pathways: tuple[str, ...]
    genes: tuple[str, ...]
    matrix: NDArray[np.bool_]
    dropped: tuple[str, ...]

    def __repr__(self) -> str:
        return (
            f"Membership({len(self.pathways)} pathways, {len(self.genes)} genes, {len(self.dropped)} dropped)"
        )


def read_gmt(path: Path) -> tuple[GeneSet, ...]:
    """Read a GMT file: name, description, genes, separated by tabs.

    Raises
    ------
    CohortError
        When the file is missing, no text or another one than the hash beside it says, a line has no genes, or a name
        stands there twice.
    """
    if not path.is_file():
        raise CohortError(f"{path}: no such file")
    check_hash_beside(path, CohortError)
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise CohortError(f"{path.name}: is no GMT file, expected text in UTF-8 ({error})") from error
    sets: dict[str, GeneSet] = {}
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        name, *rest = line.split("\t")
        genes = frozenset(gene.strip() for gene in rest[1:] if gene.strip())
        if not genes:
            raise CohortError(
                f"{path.name}, line {number}: expected name, description and genes separated by tabs"
            )
        if name in sets:
            raise CohortError(f"{path.name}, line {number}: pathway {name} stands there more than once")
        sets[name] = GeneSet(name, genes)
    if not sets:
        raise CohortError(f"{path.name}: holds no pathways")
    return tuple(sets.values())


def refuse_genes_as_descriptions(path: Path, measured: Collection[str]) -> None:
    """Refuse a GMT file that has no descriptions: the first gene of each pathway stands in their place and is lost.

    Parameters
    ----------
    path
        That `read_gmt` has read.
    measured
        Genes of the expression table.

    Raises
    ------
    CohortError
        When most descriptions are genes of the table that the line holds nowhere else.
    """
    known = frozenset(measured)
    lines = [line.split("\t") for line in path.read_text(encoding="utf-8-sig").splitlines() if line.strip()]
    genes = [cells[1].strip() for cells in lines if cells[1].strip() not in (cells[0].strip(), *cells[2:])]
    lost = [gene for gene in genes if gene in known]
    if len(lost) > len(lines) / 2:
        raise CohortError(
            f"{path.name}: the second cell of {len(lost)} of {len(lines)} lines is a gene of the expression table "
            f"({', '.join(lost[:3])}), expected a description there, which is not read as a gene; put one in, as the "
            "pathway's name once more"
        )


def groups_over(groups: Sequence[GeneSet], genes: Sequence[str]) -> NDArray[np.bool_]:
    """Groups of genes over the genes that a cohort's pathways use, shape (n_groups, n_genes).

    Genes of a group that are in no kept pathway are left out, as the publications that group genes do.

    Raises
    ------
    CohortError
        When a group has none of the genes.
    """
    matrix = np.array([[gene in group.genes for gene in genes] for group in groups], dtype=np.bool_)
    empty = [group.name for group, row in zip(groups, matrix, strict=True) if not row.any()]
    if empty:
        raise CohortError(
            f"gene group {empty[0]} has none of the {len(genes)} genes of the pathways; check that both name genes the "
            "same way, or leave the group out"
        )
    return matrix


def coverage_of(sets: Sequence[GeneSet], measured: Sequence[str]) -> dict[str, float]:
    """Share of each pathway's genes that were measured, between 0 and 1, by its name."""
    known = set(measured)
    return {item.name: len(item.genes & known) / len(item.genes) for item in sets}


def shares_in_words(shares: Mapping[str, float]) -> str:
    """Name the least covered of some pathways."""
    least = sorted((share, name) for name, share in shares.items())
    named = ", ".join(f"{name} {share:.0%}" for share, name in least[:_MOST_NAMED])
    return f"{named}, ..." if len(least) > _MOST_NAMED else named


def cover(
    sets: Sequence[GeneSet], measured: Sequence[str], *, min_coverage: float = MIN_COVERAGE
) -> Membership:
    """Keep the pathways of which enough genes were measured (paper section 2.3.1; METHOD section 1).

    Parameters
    ----------
    measured
        Genes of the expression table.
    min_coverage
        Least share of a pathway's genes that must be measured.

    Raises
    ------
    CohortError
        When no pathway is covered; the sentence says how well the best one is.
    """
    known = set(measured)
    coverage = coverage_of(sets, measured)
    kept = [item for item in sets if coverage[item.name] >= min_coverage and item.genes & known]
    if not kept:
        best = max(coverage, key=lambda name: coverage[name])
        raise CohortError(
            f"no pathway has {min_coverage:.0%} of its genes in the expression table (the best, {best}, has "
            f"{coverage[best]:.0%}); check that both name genes the same way, or lower min_coverage"
        )
    genes = sorted(set().union(*(item.genes & known for item in kept)))
    column = {gene: index for index, gene in enumerate(genes)}
    matrix = np.zeros((len(kept), len(genes)), dtype=bool)
    for row, item in enumerate(kept):
        matrix[row, [column[gene] for gene in item.genes & known]] = True
    dropped = tuple(item.name for item in sets if item not in kept)
    return Membership(tuple(item.name for item in kept), tuple(genes), matrix, dropped)
