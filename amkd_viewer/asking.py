"""What is asked for a slide with the inputs as they are; no Qt."""

from __future__ import annotations

from typing import TYPE_CHECKING

from amkd_core.errors import BundleError, MissingMicronsError
from amkd_viewer import slide_layers
from amkd_viewer.events import Expression, PredictionRequest
from amkd_viewer.wording import NO_MODEL, NO_SCALE, no_scale_text

if TYPE_CHECKING:
    from pathlib import Path

    from napari.layers import Layer


def request_of(
    layer: Layer, *, bundle_path: Path | None, device: str, expression: Expression | None
) -> PredictionRequest:
    """What to ask for a slide layer.

    Raises
    ------
    BundleError
        If no model is chosen.
    MissingMicronsError
        If neither the slide nor the user tells its scale.
    """
    if bundle_path is None:
        raise BundleError(NO_MODEL)
    if slide_layers.mpp_of(layer) is None:
        raise MissingMicronsError(
            NO_SCALE.format(slide=layer.name, why=no_scale_text(slide_layers.info_of(layer)))
        )
    info = slide_layers.info_of(layer)
    return PredictionRequest(
        slide_path=info.path,
        fingerprint=info.fingerprint,
        bundle_path=bundle_path,
        mpp=slide_layers.given_mpp(layer),
        scene=info.scene,
        device=device,
        expression=expression,
        info=info,
    )


def is_expression_of(expression: Expression, layer: Layer, *, chosen_for: str | None) -> bool:
    """Whether expression is a slide's: it was chosen for it, or of the table's patients his name fits the slide's best.

    Parameters
    ----------
    chosen_for
        Fingerprint of the slide that was looked at when it was chosen.
    """
    if slide_layers.fingerprint_of(layer) == chosen_for:
        return True
    from amkd_core.inference.pathway_table import patient_of_slide

    patients = expression.patients or (expression.patient,)
    return patient_of_slide(patients, slide_layers.info_of(layer).slide_id) == expression.patient
