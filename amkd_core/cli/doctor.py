"""`amkd doctor`: what this machine has and lacks, and what to do about each."""

from __future__ import annotations

import ctypes.util
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import typer

from amkd_core.cli.terminal import say
from amkd_core.versions import FLOORS, installed, is_older

FREE_DISK_GIB = 5
FREE_MEMORY_GIB = 4

State = Literal["ok", "missing", "problem"]


@dataclass(frozen=True)
class Finding:
    """One line of the report.

    Parameters
    ----------
    subject
        What was looked at.
    state
        "ok"; "missing" when something optional is not there; "problem" when predictions will fail.
    found
        What was found, in words.
    advice
        What to do about it; empty when nothing needs doing.
    """

    subject: str
    state: State
    found: str
    advice: str = ""


def doctor_command() -> None:
    """Say what this machine has and lacks, and what to do about each."""
    worst: State = "ok"
    marks = {"ok": "ok     ", "missing": "missing", "problem": "PROBLEM"}
    for finding in examine():
        say(f"{marks[finding.state]}  {finding.subject}: {finding.found}")
        if finding.advice:
            say(f"         -> {finding.advice}")
        if finding.state == "problem":
            worst = "problem"
    raise typer.Exit(1 if worst == "problem" else 0)


def examine() -> Iterator[Finding]:
    """Yield the findings one after another, so that the slow ones do not hold back the quick ones."""
    yield Finding("Python", "ok", f"{platform.python_version()} on {platform.platform()}")
    yield _openslide()
    yield _torch()
    yield _gpu()
    yield _qt()
    yield _opengl()
    yield _screen()
    yield _disk()
    yield _memory()
    yield _settings()
    yield _cache()
    yield from _encoder_weights()
    yield _demo_bundle()


def _openslide() -> Finding:
    try:
        import openslide
    except (ImportError, OSError) as error:
        return Finding("OpenSlide", "problem", f"cannot be loaded ({error})", "pip install openslide-bin")
    version = str(openslide.__library_version__)
    if is_older(version, FLOORS["openslide-bin"]):
        advice = "pip install --upgrade openslide-bin (older ones have memory faults that a damaged slide triggers)"
        return Finding("OpenSlide", "problem", f"{version}, older than 4.0.1", advice)
    return Finding("OpenSlide", "ok", f"{version} (openslide-python {installed('openslide-python')})")


def _torch() -> Finding:
    version = installed("torch")
    if version is None:
        return Finding("PyTorch", "problem", "not installed", "pip install 'torch>=2.10'")
    if is_older(version, FLOORS["torch"]):
        advice = "pip install --upgrade torch (older ones run code hidden in weight files)"
        return Finding("PyTorch", "problem", f"{version}, older than 2.10", advice)
    return Finding("PyTorch", "ok", version)


def _gpu() -> Finding:
    # In a process of its own: asking CUDA can take seconds and leave a context behind.
    code = (
        "import torch; n = torch.cuda.device_count(); "
        "print('; '.join(torch.cuda.get_device_name(i) for i in range(n)) "
        "or ('Apple GPU (mps)' if torch.backends.mps.is_available() else ''))"
    )
    name = _ask_python(code)
    if name:
        return Finding("GPU", "ok", name)
    advice = "the texture encoder runs well without one; foundation encoders take hours a slide on a CPU"
    return Finding("GPU", "missing", "none that PyTorch can use", advice)


def _qt() -> Finding:
    napari = installed("napari")
    if napari is None:
        advice = "pip install 'amkd-viewer[viewer]' 'napari[pyqt6]' if windows are wanted on this machine"
        return Finding("napari and Qt", "missing", "napari is not installed", advice)
    binding = _ask_python("import qtpy; print(qtpy.API_NAME, qtpy.QT_VERSION)")
    if not binding:
        return Finding(
            "napari and Qt", "missing", f"napari {napari}, no Qt binding", "pip install 'napari[pyqt6]'"
        )
    if binding.startswith("PySide"):
        advice = (
            "PySide6 crashed with asynchronous drawing in our trials; pip install PyQt6 is the safer choice"
        )
        return Finding("napari and Qt", "ok", f"napari {napari}, {binding}", advice)
    return Finding("napari and Qt", "ok", f"napari {napari}, {binding}")


def _opengl() -> Finding:
    if sys.platform != "linux":
        return Finding("OpenGL", "ok", "part of the system")
    missing = [name for name in ("GL", "EGL") if ctypes.util.find_library(name) is None]
    if missing:
        libraries = " and ".join(f"lib{name}" for name in missing)
        return Finding(
            "OpenGL", "missing", f"{libraries} not found", "install libgl1 and libegl1 (`make system`)"
        )
    return Finding("OpenGL", "ok", "libGL and libEGL found")


def _screen() -> Finding:
    if sys.platform != "linux":
        return Finding("Screen", "ok", "part of the system")
    shown = os.environ.get("WAYLAND_DISPLAY") or os.environ.get("DISPLAY")
    if shown:
        return Finding("Screen", "ok", shown)
    if shutil.which("xvfb-run"):
        return Finding("Screen", "ok", "none, but Xvfb can stand in for pictures of the window")
    advice = "predictions work; for pictures of the window install xvfb and xauth (`make system`)"
    return Finding("Screen", "missing", "no display and no Xvfb", advice)


def _disk() -> Finding:
    from platformdirs import user_cache_path

    from amkd_core.inference.kept_files import cache_folder

    folder = cache_folder() or user_cache_path("amkd-viewer")
    existing = next(parent for parent in (folder, *folder.parents) if parent.exists())
    free_gib = shutil.disk_usage(existing).free / 2**30
    if free_gib < FREE_DISK_GIB:
        advice = (
            f"features and results go there; free {FREE_DISK_GIB} GiB or choose another place in the settings"
        )
        return Finding("Free disk", "problem", f"{free_gib:.1f} GiB under {existing}", advice)
    return Finding("Free disk", "ok", f"{free_gib:.0f} GiB under {existing}")


def _memory() -> Finding:
    import psutil

    available_gib = psutil.virtual_memory().available / 2**30
    found = f"{available_gib:.1f} GiB available, {os.cpu_count()} processors"
    if available_gib < FREE_MEMORY_GIB:
        return Finding(
            "Memory", "missing", found, f"close other programs; large slides want {FREE_MEMORY_GIB} GiB"
        )
    return Finding("Memory", "ok", found)


def _settings() -> Finding:
    from amkd_core.settings import read_settings

    found = read_settings()
    if found.problem:
        return Finding("Settings", "problem", found.problem)
    settings, where = found.settings, _short(found.path)
    model = "the demo's" if settings.bundle is None else _short(settings.bundle)
    chosen = f"model {model}, device {settings.device}, cache of at most {settings.cache_limit_gib:g} GiB"
    if settings.bundle is not None and not settings.bundle.is_file():
        advice = "choose another model in the window's settings, or give --bundle"
        return Finding("Settings", "problem", f"{chosen}; there is no model at {model} ({where})", advice)
    return Finding(
        "Settings", "ok", f"{chosen} ({where if found.stored else f'defaults, no file at {where}'})"
    )


def _cache() -> Finding:
    from amkd_core.errors import ConfigError
    from amkd_core.inference.kept_files import FOLDER_VARIABLE
    from amkd_core.inference.user_cache import check_cache_folder, measure_cache

    state = measure_cache()
    why = {"variable": f", by {FOLDER_VARIABLE}", "settings": ", by the settings", "default": ""}[
        state.stated_by
    ]
    if state.folder is None:
        return Finding("Cache", "ok", f"nothing is kept{why}")
    try:
        check_cache_folder(state.folder)
    except ConfigError as error:
        return Finding("Cache", "problem", f"{error.args[0]}", f"it was chosen{why}" if why else "")
    size, limit = (sum(sizes.values()) / 2**30 for sizes in (state.size_bytes, state.limit_bytes))
    return Finding("Cache", "ok", f"{size:.2f} of at most {limit:g} GiB at {_short(state.folder)}{why}")


def _encoder_weights() -> Iterator[Finding]:
    from amkd_core.settings import current_settings
    from amkd_core.slides.encoders import ENCODERS, find_weights, weight_places

    stated = current_settings().weights
    for name, card in ENCODERS.items():
        if card.hub_id is None:
            yield Finding(f"Encoder {name}", "ok", f"built in ({card.dimension} features)")
            continue
        path = find_weights(name)
        if path is None:
            advice = (
                f"get them from {card.hub_id} ({card.licence}) and put them there, name them in the window's settings, "
                "or give --weights"
            )
            looked = " or ".join(
                _short(place) + (" (named in the settings)" if place == stated.get(name) else "")
                for place in weight_places(name)
            )
            yield Finding(f"Encoder {name}", "missing", f"no weights found at {looked}", advice)
        else:
            yield Finding(f"Encoder {name}", "ok", f"weights at {_short(path)}")


def _demo_bundle() -> Finding:
    from amkd_core.errors import BundleError
    from amkd_core.inference.demo import demo_bundle_path

    try:
        path = demo_bundle_path()
    except BundleError as error:
        return Finding("Demo bundle", "missing", str(error))
    return Finding("Demo bundle", "ok", _short(path))


def _short(path: Path) -> str:
    try:
        return f"~/{path.relative_to(Path.home())}"
    except ValueError:
        return str(path)


def _ask_python(code: str) -> str:
    """Return what a fresh interpreter prints for `code`, or nothing when it fails."""
    answer = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False
    )
    return answer.stdout.strip() if answer.returncode == 0 else ""
