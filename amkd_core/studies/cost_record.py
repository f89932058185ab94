"""What `amkd cost` has measured so far, so that a command that was ended goes on where it was."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from amkd_core.atomic import write_bytes
from amkd_core.errors import ConfigError
from amkd_core.studies.cost import Cost
from amkd_core.training.run_folder import keep_record

SETTINGS, RECORD = "settings.json", "measured.json"
_LARGEST_BYTES = 16 << 20


@dataclass
class _Content:
    sittings: list[str]
    costs: list[Cost]


_adapter = TypeAdapter(_Content)


class CostRecord:
    """Measurements of one folder, all by the same settings on the same machine; to be made by the folder's owner.

    Parameters
    ----------
    out
        The command's folder.
    settings
        What the figures depend on; measurements by others are not put beside these.

    Raises
    ------
    RunFolderError
        If the folder holds measurements by other settings; the first difference is named.
    ConfigError
        If the record of measurements is damaged.
    """

    def __init__(self, out: Path, settings: Mapping[str, str | int]) -> None:
        keep_record(out / SETTINGS, settings)
        self._path = out / RECORD
        self._content = self._read() if self._path.exists() else _Content([], [])
        self._begun = False

    @property
    def n_sittings(self) -> int:
        """How many runs of the command measured something."""
        return len(self._content.sittings)

    def find(self, model: str, n_patches: int) -> Cost | None:
        """A measurement that is kept, or None."""
        return next(
            (c for c in self._content.costs if (c.model, c.n_patches) == (model, n_patches)),
            None,
        )

    def add(self, cost: Cost) -> None:
        """Keep a measurement, on disk at once."""
        if not self._begun:
            self._content.sittings.append(datetime.now(UTC).isoformat(timespec="seconds"))
            self._begun = True
        self._content.costs.append(cost)
        write_bytes(self._path, _adapter.dump_json(self._content, indent=1))

    def _read(self) -> _Content:
        try:
            if self._path.stat().st_size > _LARGEST_BYTES:
                raise ConfigError(f"{self._path} is no record of measurements: it is larger than any is")
            return _adapter.validate_json(self._path.read_bytes())
        except ValidationError as error:
            first = error.errors()[0]
            place = ".".join(map(str, first["loc"])) or "the whole"
            raise ConfigError(
                f"{self._path} is damaged ({place}: {first['msg']}); delete it to measure again"
            ) from None
        except OSError as error:
            raise ConfigError(f"{self._path} cannot be read: {error.strerror}") from None
