"""The user's secret: one for all processes, and for nobody else's eyes."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest

from amkd_core import private_names
from amkd_core.private_names import SALT_FILE, pseudonym


@pytest.fixture
def salt_path(own_settings: Path) -> Iterator[Path]:
    """Where the secret lies, with none remembered from other tests."""
    private_names._salt.cache_clear()
    yield own_settings.with_name(SALT_FILE)
    private_names._salt.cache_clear()


def test_the_slower_of_two_processes_takes_the_salt_of_the_quicker(
    salt_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    token_hex = secrets.token_hex

    def overtaken(n_bytes: int) -> str:
        """The other process writes its salt between the look for one and the writing."""
        if n_bytes == 32:
            salt_path.parent.mkdir(parents=True, exist_ok=True)
            salt_path.write_text("ab" * 32)
        return token_hex(n_bytes)

    monkeypatch.setattr(secrets, "token_hex", overtaken)
    ours = pseudonym(b"content")
    monkeypatch.setattr(secrets, "token_hex", token_hex)
    assert salt_path.read_text() == "ab" * 32
    private_names._salt.cache_clear()
    assert private_names._salt() == bytes.fromhex("ab" * 32)
    assert pseudonym(b"content") == ours
    assert [path.name for path in salt_path.parent.iterdir()] == [SALT_FILE]


@pytest.mark.skipif(os.name != "posix", reason="the modes of POSIX")
@pytest.mark.parametrize("has_links", [True, False])
def test_nobody_else_may_read_the_salt_at_any_time(
    salt_path: Path, monkeypatch: pytest.MonkeyPatch, has_links: bool
) -> None:
    modes: list[int] = []
    opened = os.open

    def watched(path: Path, flags: int, mode: int = 0o777, **options: int) -> int:
        modes.append(mode)
        return opened(path, flags, mode, **options)

    def without_links(*paths: Path) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "open", watched)
    if not has_links:
        monkeypatch.setattr(os, "link", without_links)
    pseudonym(b"content")
    assert modes == [0o600]
    assert salt_path.stat().st_mode & 0o777 == 0o600
    assert len(bytes.fromhex(salt_path.read_text())) == 32
    assert [path.name for path in salt_path.parent.iterdir()] == [SALT_FILE]
