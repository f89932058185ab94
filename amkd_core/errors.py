"""The family of errors that a user can cause or mend; each message is one sentence.

Every child also inherits the built-in error that it refines, so that a script may catch
``ValueError`` or ``OSError`` as usual, and the command line and the window catch `AmkdError` alone.
"""

from __future__ import annotations

from collections.abc import Sequence


class AmkdError(Exception):
    """Root of all errors whose message is meant for the user."""


class SlideError(AmkdError, OSError):
    """A slide cannot be opened, or is not a slide."""


class SlideReadError(SlideError):
    """A slide opened, but a region of it cannot be read."""


class MissingMicronsError(AmkdError, ValueError):
    """Nothing tells the slide's micrometres per pixel, and the caller gave none."""


class TissueError(AmkdError, ValueError):
    """No tissue, or less than one patch of it, was found on a slide."""


class EncoderError(AmkdError, ValueError):
    """A patch encoder is unknown, or cannot be used as asked."""


class EncoderWeightsMissingError(EncoderError, FileNotFoundError):
    """The weights of a foundation encoder were not found where they were looked for."""


class BagError(AmkdError, ValueError):
    """A feature bag is damaged, foreign or incomplete."""


class DamagedBagError(BagError):
    """A bag of ours was changed or cut short since it was written."""


class IncompleteBagError(BagError):
    """A foreign bag records too little; `missing` are the fields of `BagAssumptions` that would have to be stated."""

    def __init__(self, message: str, missing: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.missing = tuple(missing)


class BundleError(AmkdError, ValueError):
    """A model bundle is damaged, foreign or incomplete."""


class BundleMismatchError(BundleError):
    """A bag was made with another encoder, patch size or scale than the bundle's."""


class RegionError(AmkdError, ValueError):
    """A region drawn on a slide holds no tissue, or is no region."""


class CohortError(AmkdError, ValueError):
    """Cohort tables contradict themselves or lack what training needs."""


class LeakError(AmkdError, RuntimeError):
    """A number that a fold fitted has seen patients that it validates or tests."""


class ConfigError(AmkdError, ValueError):
    """A configuration has an unknown key or a value outside its range."""


class ModalityError(AmkdError, ValueError):
    """A model was given fewer modalities than it needs."""


class OutcomeError(AmkdError, ValueError):
    """Follow-up times or event flags are not usable."""


class RunFolderError(AmkdError, OSError):
    """An output folder is in use, not writable, or holds another run."""


class FolderInUseError(RunFolderError):
    """Another process works in the folder right now."""


class DiskFullError(AmkdError, OSError):
    """A disk does not hold what is to be written; the message tells the bytes needed or written, and those free."""


class WorkerError(AmkdError, RuntimeError):
    """A worker process died or hung; its message names the task that was lost."""


class DeviceMemoryError(AmkdError, RuntimeError):
    """A device's memory does not hold the smallest piece of work."""


class MissingExtraError(AmkdError, ImportError):
    """An optional part of the product is not installed; the message says how to install it."""
