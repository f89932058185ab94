"""The cache's place, size and limit, as variable and settings say."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from amkd_core.errors import ConfigError
from amkd_core.inference.bag_cache import user_bag_cache
from amkd_core.inference.kept_files import KeptFiles
from amkd_core.inference.user_cache import check_cache_folder, empty_cache, measure_cache, trim_cache
from amkd_core.settings import change_settings


@pytest.fixture
def without_variable(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("AMKD_CACHE_DIR")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))


def keep(folder: Path, kind: str, *names: str, n_bytes: int) -> None:
    (folder / kind).mkdir(parents=True, exist_ok=True)
    for hour, name in enumerate(names):
        (folder / kind / name).write_bytes(bytes(n_bytes))
        os.utime(folder / kind / name, (hour * 3600, hour * 3600))


def test_the_place_is_the_settings_unless_the_variable_names_one(
    without_variable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert (measure_cache().stated_by, measure_cache().folder.name) == ("default", "amkd-viewer")
    change_settings(cache_folder=tmp_path / "chosen")
    assert (measure_cache().stated_by, measure_cache().folder) == ("settings", tmp_path / "chosen")
    assert str(tmp_path / "chosen" / "bags") in repr(user_bag_cache())
    monkeypatch.setenv("AMKD_CACHE_DIR", str(tmp_path / "variable"))
    assert (measure_cache().stated_by, measure_cache().folder) == ("variable", tmp_path / "variable")
    assert str(tmp_path / "variable" / "bags") in repr(user_bag_cache())
    monkeypatch.setenv("AMKD_CACHE_DIR", "")
    assert (measure_cache().stated_by, measure_cache().folder) == ("variable", None)
    assert empty_cache() == 0


def test_a_smaller_limit_trims_what_was_used_longest_ago(own_cache: Path) -> None:
    keep(own_cache, "bags", "a.h5", "b.h5", "c.h5", n_bytes=40 << 20)
    keep(own_cache, "results", "a.npz", "b.npz", n_bytes=1 << 20)
    assert measure_cache().size_bytes == {"bags": 120 << 20, "results": 2 << 20}
    assert sum(measure_cache().limit_bytes.values()) == pytest.approx(5 * 2**30, abs=2)
    assert trim_cache() == 0
    change_settings(cache_limit_gib=0.1)  # 82 MiB of features
    assert trim_cache() == 40 << 20
    assert sorted(path.name for path in (own_cache / "bags").iterdir()) == ["b.h5", "c.h5"]
    assert len(list((own_cache / "results").iterdir())) == 2
    assert empty_cache() == 82 << 20
    assert measure_cache().size_bytes == {"bags": 0, "results": 0}


def test_a_folder_that_cannot_be_written_is_refused_in_one_sentence(tmp_path: Path) -> None:
    assert check_cache_folder(tmp_path / "new" / "place") == tmp_path / "new" / "place"
    assert list((tmp_path / "new" / "place").iterdir()) == []
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match=r"file/cache: the cache cannot be kept there \(Not a directory\)"):
        check_cache_folder(tmp_path / "file" / "cache")
    with pytest.raises(ConfigError, match="needs a folder with its full path"):
        check_cache_folder(Path("here"))


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="the superuser may write everywhere")
def test_a_read_only_folder_is_refused(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(ConfigError, match="Permission denied"):
        check_cache_folder(tmp_path)
    tmp_path.chmod(0o700)


def test_files_that_another_process_removes_meanwhile_are_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep(tmp_path, "bags", "a.h5", "b.h5", "c.h5", n_bytes=10)
    kept = KeptFiles(tmp_path / "bags", ".h5", limit_bytes=5)
    found = kept._files()
    (tmp_path / "bags" / "a.h5").unlink()
    monkeypatch.setattr(kept, "_files", lambda: found)
    assert kept.prune() == 10
    assert [path.name for path in (tmp_path / "bags").iterdir()] == ["c.h5"]


def test_what_another_process_is_writing_is_left_to_it(own_cache: Path) -> None:
    keep(own_cache, "bags", "a.h5", n_bytes=10)
    writing, left_over = own_cache / "bags" / ".tmp-1.h5", own_cache / "bags" / ".tmp-2.h5"
    for path in (writing, left_over):
        path.write_bytes(bytes(100))
    two_days_ago = time.time() - 48 * 3600
    os.utime(left_over, (two_days_ago, two_days_ago))
    assert measure_cache().size_bytes["bags"] == 110
    assert empty_cache() == 110
    assert list((own_cache / "bags").iterdir()) == [writing]
