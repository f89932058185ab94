"""Whether one encoder, run in one way, made all bags of a cohort, and how it answers the golden patches."""

from __future__ import annotations

from collections.abc import Mapping

from amkd_core.bag import FeatureBag
from amkd_core.errors import CohortError
from amkd_core.golden_features import GoldenFeatures


def cohort_golden(bags: Mapping[str, FeatureBag]) -> GoldenFeatures | None:
    """Golden features of the first patient that has them, which those of all others must agree with.

    Parameters
    ----------
    bags
        By patient.

    Returns
    -------
    GoldenFeatures or None
        None where no bag records any.

    Raises
    ------
    CohortError
        Naming two patients whose bags were made with differently run encoders.
    """
    first: tuple[str, GoldenFeatures] | None = None
    for name, bag in bags.items():
        if bag.golden is None:
            continue
        if first is None:
            first = name, bag.golden
        elif bag.golden is not first[1] and not first[1].agrees(bag.golden):
            raise CohortError(
                f"the encoder {bag.encoder.name} was run differently for the bags of {first[0]} and {name} (worst "
                f"cosine of the golden patches {first[1].cosine(bag.golden):.3f}, expected at least "
                f"{first[1].least_cosine(bag.golden)}); extract all slides with the same weights and preprocessing"
            )
    return None if first is None else first[1]
