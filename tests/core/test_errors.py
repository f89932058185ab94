from __future__ import annotations

import inspect

import pytest

from amkd_core import errors

FAMILY = [
    kind for _, kind in inspect.getmembers(errors, inspect.isclass) if issubclass(kind, errors.AmkdError)
]


@pytest.mark.parametrize("kind", FAMILY, ids=lambda kind: kind.__name__)
def test_every_error_is_caught_as_amkd_error_and_keeps_its_sentence(kind: type[errors.AmkdError]) -> None:
    with pytest.raises(errors.AmkdError, match="one clear sentence"):
        raise kind("one clear sentence")


@pytest.mark.parametrize("kind", [kind for kind in FAMILY if kind is not errors.AmkdError])
def test_every_child_refines_a_built_in_error(kind: type[errors.AmkdError]) -> None:
    built_in = (OSError, ValueError, RuntimeError, ImportError)
    assert issubclass(kind, built_in)
