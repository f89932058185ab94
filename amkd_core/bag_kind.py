"""The kind of bags that a model reads: encoder, patch size and scale; a bag of another kind is refused."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from amkd_core.bag import SCALE_ROUNDING, SCALE_TOLERANCE, EncoderIdentity, FeatureBag
from amkd_core.encoder_identity import NOT_RECORDED
from amkd_core.errors import BundleMismatchError
from amkd_core.golden_features import GoldenFeatures


@dataclass(frozen=True, eq=False)
class BagKind:
    """What the bags of a training cohort have in common.

    Attributes
    ----------
    model : str
        Whose kind it is, for sentences such as "but model TCGA-BRCA needs 256 px".
    encoder : EncoderIdentity
    patch_size_px : int
        Side of a patch as it is given to the encoder, in pixels.
    mpp : float
        Micrometres per pixel of a patch.
    golden : GoldenFeatures, optional
        What the encoder made of the golden patches; None where the bags did not record it.
    """

    model: str
    encoder: EncoderIdentity
    patch_size_px: int
    mpp: float
    golden: GoldenFeatures | None = None

    def check_bag(self, bag: FeatureBag) -> None:
        """Refuse a bag of another kind.

        Raises
        ------
        BundleMismatchError
            When encoder, patch size or scale differ, or the encoder was run differently; the sentence names both.
        """
        self.check_encoder(bag.encoder, bag.slide_id, verified=bag.verified)
        self.check_golden(bag.golden, bag.slide_id)
        if bag.patch_size_px != self.patch_size_px:
            raise BundleMismatchError(
                f"{bag.slide_id}: patches of {bag.patch_size_px} px, but {self.model} needs {self.patch_size_px} px; "
                "extract the slide again"
            )
        if abs(bag.mpp / self.mpp - 1) > SCALE_TOLERANCE + 2 * SCALE_ROUNDING:
            raise BundleMismatchError(
                f"{bag.slide_id}: patches at {bag.mpp:g} um per px, but {self.model} needs {self.mpp:g} um per px; "
                "extract the slide again at that scale"
            )

    def check_encoder(self, found: EncoderIdentity, subject: str, *, verified: bool = True) -> None:
        """Refuse another encoder.

        Parameters
        ----------
        subject
            Whose encoder, for the sentence.
        verified
            False for foreign bags, which record no version or weights; those are compared only where given.

        Raises
        ------
        BundleMismatchError
            Naming the first difference.
        """
        fields = ("name", "dimension", "version", "weights_sha256", "transform", "token_policy")
        for field in fields:
            left, right = getattr(self.encoder, field), getattr(found, field)
            recorded = verified or field in ("name", "dimension") or right not in ("", NOT_RECORDED)
            if recorded and left != right:
                raise BundleMismatchError(
                    f"{subject}: made with encoder {field} {_short(right, left)}, but {self.model} needs "
                    f"{_short(left, right)} ({self.encoder.name}); extract the slide with the model's encoder"
                )

    def check_golden(self, found: GoldenFeatures | None, subject: str, *, cause: str = "") -> None:
        """Refuse features of an encoder that was run in another way than for the training cohort.

        Parameters
        ----------
        found
            What the features' encoder made of the golden patches; nothing is compared where either side has none.
        subject
            Whose features, for the sentence.
        cause
            What is most likely wrong, in words.

        Raises
        ------
        BundleMismatchError
            Naming the encoder, the worst cosine and the cause.
        """
        if found is None or self.golden is None or self.golden.agrees(found):
            return
        least = self.golden.least_cosine(found)
        cause = cause or "its preprocessing, precision or weights are others"
        raise BundleMismatchError(
            f"{subject}: encoder {self.encoder.name} answers the golden patches otherwise than when "
            f"{self.model} was trained, worst cosine {self.golden.cosine(found):.3f}, expected at least {least}; "
            f"most likely {cause}; mend the encoder and extract the slide again"
        )


def _short(value: Any, other: Any) -> str:
    """A long text from shortly before where it begins to differ from another one."""
    text = str(value)
    if len(text) <= 24:
        return repr(text)
    alike = zip(text, str(other), strict=False)
    start = max(0, next((place for place, (own, its) in enumerate(alike) if own != its), 0) - 6)
    shown = text[start : start + (18 if start else 12)]
    return repr(("..." if start else "") + shown + ("..." if start + len(shown) < len(text) else ""))
