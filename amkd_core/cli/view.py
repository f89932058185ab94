"""`amkd view`: the window, opened straight on a slide."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from amkd_core.bundle_listing import check_listing
from amkd_core.cli.terminal import mpp_option, user_errors
from amkd_core.errors import BundleError, MissingExtraError, SlideError


def view_command(
    slide: Annotated[Path | None, typer.Argument(help="A slide; without it the window opens empty.")] = None,
    bundle: Annotated[
        Path | None,
        typer.Option(help="Model bundle (.amkd); by default the settings', else the synthetic demo's."),
    ] = None,
    mpp: Annotated[Any, mpp_option("; overrules what the slide records.")] = None,
    predict: Annotated[bool, typer.Option(help="Start predicting at once.")] = True,
) -> None:
    """Open a slide in napari with its predicted risk, map and most telling patches (research use only)."""
    with user_errors():
        if slide is not None and not slide.exists():
            raise SlideError(f"{slide}: no such file or folder")
        if bundle is not None:
            check_bundle_file(bundle)
        if has_viewer() and not has_screen():
            raise MissingExtraError(
                "no window opens here, for there is no screen (DISPLAY and WAYLAND_DISPLAY are not set); amkd predict "
                "writes the same results without one, and ssh -X or xvfb-run gives one"
            )
        viewer_command("view")(slide, bundle, mpp=mpp, run=predict)


def has_screen() -> bool:
    """Whether windows can open here; a virtual screen is one."""
    shown = os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
    drawn_nowhere = os.environ.get("QT_QPA_PLATFORM", "").partition(":")[0] in ("offscreen", "minimal", "vnc")
    return bool(shown) or drawn_nowhere or sys.platform != "linux"


def check_bundle_file(path: Path) -> None:
    """Refuse what cannot be a bundle; the window reads it in full, with torch, whose import takes seconds.

    Raises
    ------
    BundleError
        When there is no such file, or it is a folder, no zip with a manifest, or too large.
    """
    check_listing(path, str(path))
    try:
        with zipfile.ZipFile(path) as archive:
            has_manifest = "manifest.json" in archive.namelist()
    except (zipfile.BadZipFile, OSError, EOFError, NotImplementedError, RuntimeError, ValueError) as error:
        raise BundleError(f"{path}: is not a model bundle, or is damaged ({error})") from error
    if not has_manifest:
        raise BundleError(f"{path}: a zip without manifest.json, expected a model bundle (.amkd)")


def viewer_command(name: str) -> Callable[..., Any]:
    """A command of the viewer, which the core does not import but finds among the installed entry points.

    Raises
    ------
    MissingExtraError
        When the viewer, napari or a Qt binding is not installed.
    """
    how = "pip install 'amkd-viewer[viewer]' 'napari[pyqt6]'"
    if not has_viewer():
        raise MissingExtraError(f"windows need napari, which is not installed: {how}")
    for entry in importlib.metadata.entry_points(group="amkd.commands", name=name):
        command: Callable[..., Any] = entry.load()
        return command
    raise MissingExtraError(f"the viewer is not installed: {how}")


def has_viewer() -> bool:
    """Whether napari is installed; asking does not import it."""
    return importlib.util.find_spec("napari") is not None
