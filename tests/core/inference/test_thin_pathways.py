"""What a patient's table has few genes of is said with the result."""

from __future__ import annotations

import numpy as np
import pytest
from bundle_fixtures import random_bag, random_bundle

from amkd_core.bundle import Bundle
from amkd_core.cohort.pathways import Membership
from amkd_core.errors import ModalityError
from amkd_core.inference.predict import predict_bag
from amkd_core.inference.teacher import thin_pathways

GENES = tuple(f"G{place:02}" for place in range(30))


@pytest.fixture
def bundle() -> Bundle:
    """Of the 30 genes WIDE has all, SMALL the last three and PAIR the two before them."""
    matrix = np.ones((3, 30), dtype=bool)
    matrix[1, :27] = False
    matrix[2, :25] = matrix[2, 27:] = False
    return random_bundle(covered=Membership(("WIDE", "SMALL", "PAIR"), GENES, matrix, ()))


def notices(bundle: Bundle, genes: dict[str, float]) -> list[str]:
    found = predict_bag(random_bag(20), bundle, genes=genes).notices
    return [notice.sentence for notice in found if notice.code == "pathway_genes"]


def test_pathways_that_lack_more_than_half_of_their_genes_are_named(bundle: Bundle) -> None:
    row = dict.fromkeys(GENES, 1.0)
    assert notices(bundle, row) == []
    assert notices(bundle, {**row, "G29": np.nan, "G26": np.nan}) == []  # two of three, one of two
    (sentence,) = notices(bundle, {name: value for name, value in row.items() if name not in {"G28", "G29"}})
    assert sentence == (
        "The patient's expression lacks genes: 1 of the 3 pathways have less than 50% of their genes in it (SMALL "
        "33%). Missing genes count as in the mean training patient, so do not rely on these pathways and their maps."
    )
    (sentence,) = notices(bundle, {**row, "G27": np.nan, "G28": np.nan, "G29": np.inf})
    assert "(SMALL 0%)" in sentence
    assert predict_bag(random_bag(20), bundle).teacher is None
    with pytest.raises(ModalityError, match="covers 87% of the 30 genes"):
        notices(bundle, {**row, **dict.fromkeys(GENES[-4:], np.nan)})


def test_the_least_covered_pathways_come_first_and_five_are_named() -> None:
    names = tuple(f"P{place}" for place in range(8))
    matrix = np.eye(8, dtype=bool)
    wide = random_bundle(covered=Membership(names, GENES[:8], matrix, ()))
    found = thin_pathways(wide, GENES[6:8])
    assert found == (
        "6 of the 8 pathways have less than 50% of their genes in it (P0 0%, P1 0%, P2 0%, P3 0%, P4 0%, ...)"
    )
