"""Where the demo's model and slide are."""

from __future__ import annotations

import site
import sys
import sysconfig
from pathlib import Path

from platformdirs import user_cache_path

from amkd_core import __version__
from amkd_core.errors import BundleError

_NAME = Path("demo") / "demo.amkd"
_SLIDE = "synthetic-demo-slide.tif"


def demo_bundle_path() -> Path:
    """Path of the demo bundle: in a checkout's assets, or where an installed package puts it.

    Raises
    ------
    BundleError
        When it is in neither place.
    """
    shared = [Path(sys.prefix), Path(sysconfig.get_path("data"))]
    if site.ENABLE_USER_SITE:  # where `pip install --user` puts what belongs to no module
        shared.append(Path(site.getuserbase()))
    places = [Path(__file__).resolve().parents[2] / "assets" / _NAME]
    for place in (*places, *(base / "share" / "amkd" / _NAME for base in shared)):
        if place.is_file():
            return place
    raise BundleError(
        "the demo model is not installed; give a model with --bundle, or train one with amkd-train"
    )


def demo_folder() -> Path:
    """Folder in the user's cache that holds the demo slide, once it is drawn.

    Its name tells the release and the simulated patient, so that a later release draws its own.
    """
    from amkd_core.simulate.demo import DEMO_PATIENT, DEMO_SEED

    return Path(user_cache_path("amkd-viewer")) / f"demo-{__version__}-{DEMO_SEED}-{DEMO_PATIENT}"


def demo_slide_path() -> Path:
    """Path of the synthetic demo slide; it is drawn at first use, which takes some seconds."""
    from amkd_core.simulate.demo import demo_slide

    return demo_slide(demo_folder() / _SLIDE)


def demo_expression_path() -> Path:
    """Path of the demo patient's expression table, beside the slide."""
    return _expression_of(demo_slide_path())


def demo_expression_beside(slide: Path) -> Path | None:
    """Path of the demo patient's expression table where a slide is the demo's, else None; nothing is drawn."""
    if slide.name != _SLIDE or slide.parent != demo_folder():
        return None
    table = _expression_of(slide)
    return table if table.is_file() else None


def _expression_of(slide: Path) -> Path:
    return slide.with_name(f"{slide.stem}-expression.csv")
