"""Checks of model settings, and settings from plain mappings with helpful refusals."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields
from difflib import get_close_matches
from typing import Any, ClassVar, TypeVar

from amkd_core.errors import ConfigError

Settings = TypeVar("Settings")


def check_sizes(**sizes: int) -> None:
    """Refuse sizes that are not whole numbers above 0.

    Raises
    ------
    ConfigError
        Names the first unusable size.
    """
    for name, size in sizes.items():
        if isinstance(size, bool) or not isinstance(size, int) or size < 1:
            raise ConfigError(f"{name} must be a whole number of at least 1, found {size!r}")


def check_dropout(dropout: float) -> None:
    """Refuse a share outside [0, 1).

    Raises
    ------
    ConfigError
        Names the value found.
    """
    if not 0 <= dropout < 1:
        raise ConfigError(f"dropout must lie in [0, 1), found {dropout!r}")


def check_heads(dim: int, heads: int) -> None:
    """Refuse a width that attention heads cannot share evenly.

    Raises
    ------
    ConfigError
        Names the width found.
    """
    if dim % heads:
        raise ConfigError(f"dim must be a multiple of the {heads} heads, found {dim}")


@dataclass(frozen=True)
class SlideSettings:
    """Settings of a published model that reads slides; the defaults are the publication's.

    Attributes
    ----------
    heads : int
        Of the attention that shares `dim`; no setting, it belongs to the model.
    d_encoder : int
        Width of the frozen encoder's patch features.
    dim : int
        Width of tokens.
    n_bins : int
        Time bins of the head.
    dropout : float
        Where the publication has dropout.
    """

    heads: ClassVar[int] = 1
    d_encoder: int
    dim: int = 256
    n_bins: int = 4
    dropout: float = 0.25

    def __post_init__(self) -> None:
        check_sizes(d_encoder=self.d_encoder, dim=self.dim, n_bins=self.n_bins)
        check_heads(self.dim, self.heads)
        check_dropout(self.dropout)


@dataclass(frozen=True)
class GroupSettings(SlideSettings):
    """Settings of a published model that reads slides and groups of genes.

    Attributes
    ----------
    n_groups : int
        Gene groups, one token each; see `amkd_core.models.gene_groups.merge_rows`.
    """

    n_groups: int = 6

    def __post_init__(self) -> None:
        super().__post_init__()
        check_sizes(n_groups=self.n_groups)


@dataclass(frozen=True)
class GeneSettings:
    """Settings of a published model that reads genes alone; the defaults are the publication's.

    Attributes
    ----------
    dim : int
        Width of its layers.
    n_bins : int
        Time bins of the head.
    dropout : float
        After each hidden layer.
    """

    dim: int = 256
    n_bins: int = 4
    dropout: float = 0.25

    def __post_init__(self) -> None:
        check_sizes(dim=self.dim, n_bins=self.n_bins)
        check_dropout(self.dropout)


def settings_from(kind: type[Settings], values: Mapping[str, Any]) -> Settings:
    """Make the settings dataclass ``kind`` from a mapping such as a bundle's manifest.

    Raises
    ------
    ConfigError
        When a key is unknown (the nearest known one is named) or a required one is missing.
    """
    known = {field.name: field for field in fields(kind)}  # type: ignore[arg-type]
    for key in values:
        if key not in known:
            near = get_close_matches(key, known, n=1)
            hint = f"did you mean {near[0]}?" if near else f"known are {', '.join(known)}"
            raise ConfigError(f"{kind.__name__} has no setting {key!r}; {hint}")
    for key, field in known.items():
        if key not in values and field.default is MISSING and field.default_factory is MISSING:
            raise ConfigError(f"{kind.__name__} needs the setting {key!r}")
    return kind(**values)
