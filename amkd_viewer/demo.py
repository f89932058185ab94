"""Where the demo's model and slide are."""

from __future__ import annotations

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent
_BUNDLE = Path("demo", "demo.amkd")


def demo_bundle_path() -> Path:
    """Path of the demo bundle: installed with the package, or in the checkout's assets."""
    installed = _PACKAGE.parent / "amkd_core" / _BUNDLE
    return installed if installed.exists() else _PACKAGE.parent / "assets" / _BUNDLE


def demo_slide_path() -> Path:
    """Path of the synthetic demo slide in the user's cache; it is drawn at first use."""
    from platformdirs import user_cache_path

    from amkd_core.simulate.demo import make_demo_slide

    folder = user_cache_path("amkd-viewer")
    folder.mkdir(parents=True, exist_ok=True)
    return make_demo_slide(folder)
