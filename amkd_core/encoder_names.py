"""What other tools call the encoders of our registry.

TRIDENT writes ``uni_v1`` where STAMP writes ``mahmood-uni-77ffbca1`` and we write ``uni``. A name that is not listed
here stays as it is and therefore fits no model of ours.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType

OUR_NAME: Mapping[str, str] = MappingProxyType(
    {
        "uni_v1": "uni",  # TRIDENT
        "uni_v2": "uni2-h",
        "conch_v1": "conch",
        "hoptimus0": "h-optimus-0",
        "mahmood-uni": "uni",  # STAMP
        "mahmood-uni2": "uni2-h",
        "mahmood-conch": "conch",
        "h_optimus_0": "h-optimus-0",
    }
)
# STAMP ends some names with the first letters of a revision.
_REVISION = re.compile(r"-[0-9a-f]{8}$")


def our_encoder_name(name: str) -> str:
    """Name in our registry of an encoder that another tool named; unknown names come back as they are."""
    plain = _REVISION.sub("", name.strip())
    return OUR_NAME.get(plain.lower(), plain)
