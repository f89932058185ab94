"""Slow first steps of libraries, done off the GUI thread before they are needed.

Together they take some 3 s (torch, pandas and matplotlib, and the table of units that napari parses for its first
layer), and would otherwise fall on the GUI thread in one piece, at the first slide and at the first result.
"""

from __future__ import annotations

import gc
from importlib import import_module

from amkd_core.errors import AmkdError
from amkd_core.private_names import private_logger

_MODULES = (
    "pandas", "matplotlib.figure", "matplotlib.backends.backend_agg", "amkd_core.inference.predict",
    "amkd_core.inference.map_style",
)  # fmt: skip
_log = private_logger(__name__)


def warm_up_layers() -> None:
    """Have the table of units parsed that napari looks layers' units up in, and load what draws thumbnails."""
    import pint
    import scipy.ndimage  # noqa: F401

    # The registry is parsed at the first attribute that is asked of it.
    _ = pint.get_application_registry().micrometer  # type: ignore[no-untyped-call]


def warm_up_prediction() -> None:
    """Load what a prediction and its drawing need."""
    for module in _MODULES:
        try:
            import_module(module)
        except (ImportError, AmkdError):
            # Whoever needs it will say so, where it is needed.
            _log.debug("%s cannot be loaded ahead of time", module, exc_info=True)


def keep_loaded() -> None:
    """Spare what is there by now from every later collection of garbage; for a process that ends with its window.

    Python looks through all objects now and then, and napari has it do so whenever a layer goes; the window stands
    still meanwhile, for 0.3 s over its own and all modules' objects.
    """
    gc.collect()
    gc.freeze()
