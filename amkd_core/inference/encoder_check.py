"""Whether a loaded encoder is the model's and runs as it did when the model was trained."""

from __future__ import annotations

from typing import TYPE_CHECKING

from amkd_core.bundle import Bundle
from amkd_core.slides.encoders.golden_patches import golden_features, likely_cause

if TYPE_CHECKING:
    from amkd_core.slides.encoders.registry import PatchEncoder


def check_running_encoder(encoder: PatchEncoder, bundle: Bundle, subject: str) -> None:
    """Compare an encoder's identity, and its features of the golden patches, with what a bundle records.

    Bundles made before golden features were kept are compared by identity alone.

    Raises
    ------
    BundleMismatchError
        One sentence that names the encoder, the worst cosine and the likely cause.
    EncoderError
        When the encoder does not encode the golden patches at all.
    """
    kind = bundle.bag_kind
    kind.check_encoder(encoder.identity, subject)
    if bundle.golden is None:
        return
    found = golden_features(encoder)
    if not bundle.golden.agrees(found):
        kind.check_golden(found, subject, cause=likely_cause(encoder, bundle.golden))
