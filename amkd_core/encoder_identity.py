"""Which encoder made features: what travels in every bag and bundle."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from amkd_core.errors import BagError

# What a foreign bag says of its encoder beyond the name.
NOT_RECORDED = "not recorded"


@dataclass(frozen=True)
class EncoderIdentity:
    """Which frozen network, weights and preprocessing made a bag.

    Seven public encoders give 1,024 numbers a patch, so the width tells nothing; name, version and
    weights hash together do.

    Parameters
    ----------
    name
        Key in the encoder registry ("texture", "uni").
    version
        Version of the architecture or definition.
    dimension
        Features per patch.
    weights_sha256
        Hash of the weights file, or of the definition of an encoder without weights; empty when a
        foreign bag does not record it.
    transform
        Preprocessing in words ("resize 224 bicubic, ImageNet mean and std").
    token_policy
        Which tokens become the feature ("cls", "cls+mean", "none").
    licence
        Terms that reach whatever is made from the features.
    """

    name: str
    version: str
    dimension: int
    weights_sha256: str
    transform: str
    token_policy: str
    licence: str

    def to_dict(self) -> dict[str, Any]:
        """Return the identity as JSON-able values."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> EncoderIdentity:
        """Read an identity back.

        Raises
        ------
        BagError
            When a field is missing, unknown or of another type.
        """
        known = {item.name for item in fields(cls)}
        if set(values) != known:
            difference = ", ".join(sorted(known ^ set(values)))
            raise BagError(f"encoder identity: fields missing or unknown: {difference}")
        for name, value in values.items():
            expected = int if name == "dimension" else str
            if not isinstance(value, expected):
                raise BagError(f"encoder identity: {name} must be {expected.__name__}, found {value!r}")
        return cls(**values)
