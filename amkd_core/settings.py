"""What a user has chosen once for all sessions: one small JSON file, honoured by the window and the command line.

The file lies in the platform's configuration folder. It holds the place and size of the cache, the default model and
device, and where the weights of encoders are; nothing of any patient.
"""

from __future__ import annotations

import json
import logging
import os
import re
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any

from platformdirs import user_config_path
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, PlainSerializer, ValidationError

from amkd_core.atomic import write_text
from amkd_core.errors import ConfigError

FOLDER_VARIABLE = "AMKD_CONFIG_DIR"
"""Environment variable that names another folder than the user's configuration folder."""
FILE_NAME = "settings.json"
PUT_ASIDE_SUFFIX = ".unreadable"

_log = logging.getLogger(__name__)
_lock = threading.Lock()
_told: set[str] = set()


def _absolute(path: Path) -> Path:
    path = path.expanduser()
    if not path.is_absolute():
        raise ValueError("expected an absolute path")
    return path


def _known_device(name: str) -> str:
    if not re.fullmatch(r"cpu|mps|cuda(:\d{1,2})?", name):
        raise ValueError("expected cpu, cuda, cuda:1 or mps")
    return name


AbsolutePath = Annotated[Path, AfterValidator(_absolute)]
WeightPlaces = Annotated[
    Mapping[str, AbsolutePath],
    AfterValidator(lambda places: MappingProxyType(dict(places))),
    PlainSerializer(lambda places: {name: str(path) for name, path in places.items()}),
]


class Settings(BaseModel):
    """What may be chosen, with what holds where nothing was.

    Attributes
    ----------
    cache_folder
        Where features and results are kept; None for the user's own cache.
    cache_limit_gib
        Most that is kept there, in GiB.
    bundle
        Model that new windows and commands use; None for the synthetic demo's.
    device
        Where they run it, as torch names it.
    weights
        File or folder of the weights, by the name of the encoder.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    cache_folder: AbsolutePath | None = None
    cache_limit_gib: float = Field(default=5.0, ge=0.1, le=10_000)
    bundle: AbsolutePath | None = None
    device: Annotated[str, AfterValidator(_known_device)] = "cpu"
    weights: WeightPlaces = Field(default_factory=lambda: MappingProxyType({}))


@dataclass(frozen=True)
class StoredSettings:
    """Settings as they were found.

    Attributes
    ----------
    settings : Settings
        The file's, or the defaults.
    path
        Of the file, whether there is one or not.
    stored
        Whether there is one.
    problem
        One sentence when there is one that cannot be used, and the defaults hold; else empty.
    """

    settings: Settings
    path: Path
    stored: bool = False
    problem: str = ""


def settings_path() -> Path:
    """Path of the user's settings, or in the folder that `FOLDER_VARIABLE` names."""
    named = os.environ.get(FOLDER_VARIABLE)
    folder = Path(named) if named else Path(user_config_path("amkd-viewer", appauthor=False))
    return folder / FILE_NAME


def read_settings() -> StoredSettings:
    """Read the settings; a file that cannot be used is told of in `problem` and stays as it is."""
    path = settings_path()
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        return StoredSettings(Settings(), path)
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is no UTF-8 text"
        return StoredSettings(Settings(), path, stored=True, problem=_sentence(path, reason))
    try:
        return StoredSettings(Settings.model_validate_json(text), path, stored=True)
    except ValidationError as error:
        return StoredSettings(Settings(), path, stored=True, problem=_sentence(path, _reason(error)))


def current_settings() -> Settings:
    """The settings that hold; a file that cannot be used is logged, once, and the defaults hold."""
    found = read_settings()
    if found.problem and found.problem not in _told:
        _told.add(found.problem)
        _log.warning("%s", found.problem)
    return found.settings


def change_settings(**changes: Any) -> StoredSettings:
    """Change some settings and keep the others; a file that cannot be used is put aside first, not overwritten.

    Raises
    ------
    ConfigError
        When a value is outside its range; nothing is changed then.
    OSError
        When the file cannot be written.
    """
    with _lock:
        found = read_settings()
        try:
            settings = Settings.model_validate({**dict(found.settings), **changes})
        except ValidationError as error:
            raise ConfigError(f"Setting {_reason(error)}; nothing was changed.") from error
        if found.problem:
            os.replace(found.path, found.path.with_name(FILE_NAME + PUT_ASIDE_SUFFIX))
        text = json.dumps(settings.model_dump(mode="json"), indent=2, sort_keys=True)
        write_text(found.path, text + "\n")
        return StoredSettings(settings, found.path, stored=True)


def _sentence(path: Path, reason: str) -> str:
    return (
        f"{path}: the settings cannot be used ({reason}), so the defaults hold; mend or delete the file "
        f"(changing a setting in the window keeps it as {FILE_NAME}{PUT_ASIDE_SUFFIX} and writes a new one)."
    )


def _reason(error: ValidationError) -> str:
    """The first thing at fault, as field, what was found and what was expected."""
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"])
    if first["type"] == "json_invalid":
        return f"it is no JSON: {first['msg'].removeprefix('Invalid JSON: ')}"
    if first["type"] == "extra_forbidden":
        return f"{where} is no setting of this release; known are {', '.join(Settings.model_fields)}"
    return f"{where or 'file'} is {str(first['input'])[:80]!r}: {first['msg'].removeprefix('Value error, ')}"
