"""What was found once stays mended: each file by its name, with the sentence that it earns."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from found_files import FOUND

from amkd_core.errors import AmkdError


@pytest.mark.parametrize("name", FOUND)
def test_a_file_that_was_found_earns_its_sentence(name: str, tmp_path: Path) -> None:
    found = FOUND[name]
    path = found.make(tmp_path)
    if not found.sentence:
        assert found.read(path) is not None
        return
    with pytest.raises(AmkdError) as caught:
        found.read(path)
    text = str(caught.value).replace(f"{tmp_path}/", "")
    assert re.fullmatch(found.sentence, text), text
