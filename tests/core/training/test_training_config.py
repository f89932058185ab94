"""Settings: refused with the nearest known one, or merged."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import BaseModel

from amkd_core.errors import ConfigError
from amkd_core.training.config import TrainingConfig, load_config


@pytest.mark.parametrize(
    ("override", "sentence"),
    [
        ("student.epoch=3", r"there is no setting student.epoch; did you mean student.epochs\?"),
        ("student.epochs=0", r"setting student.epochs is 0: Input should be greater than or equal to 1"),
        ("distill.arr=loud", r"setting distill.arr is 'loud'"),
        ("epochs", r"override 'epochs' must look like section.key=value"),
        ("seed.x=1", r"setting seed is"),
        ("seed=" + "1" * 5000, r"setting seed is '1+\.\.\.1+': Unable to parse"),
        ("seed=" + "[" * 5000 + "]" * 5000, r"setting seed is '\[+\.\.\.\]+': Input"),
        ("seed" + ".a" * 3000 + "=1", r"setting seed is \{"),
    ],
)
def test_settings_that_cannot_be_used_are_refused(override: str, sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence):
        load_config(None, [override])


def test_a_settings_file_and_overrides_join(tmp_path: Path) -> None:
    path = tmp_path / "settings.toml"
    path.write_text("seed = 4\n[student]\nepochs = 9\n")
    config = load_config(path, ["student.patience=3", "distill.arr=printed_minus"])
    assert (config.seed, config.student.epochs, config.student.patience) == (4, 9, 3)
    assert config.distill.arr == "printed_minus"
    with pytest.raises(ConfigError, match="no such configuration file"):
        load_config(tmp_path / "absent.toml")


@pytest.mark.parametrize("value", ["[" * 5000 + "]" * 5000, "1" * 5000])
def test_a_hostile_settings_file_is_a_sentence(tmp_path: Path, value: str) -> None:
    path = tmp_path / "settings.toml"
    path.write_text(f"seed = {value}\n")
    with pytest.raises(ConfigError, match=r"^settings\.toml: is not TOML \("):
        load_config(path)


def test_a_path_of_windows_is_told_how_to_be_written(tmp_path: Path) -> None:
    path = tmp_path / "settings.toml"
    path.write_text('seed = 1\nname = "C:\\Users\\me"\n')
    with pytest.raises(
        ConfigError, match=r"is not TOML \(.*line 2.*\); write paths with / or in 'single quotes'$"
    ):
        load_config(path)


def test_all_values_that_are_out_of_range_are_named_at_once() -> None:
    with pytest.raises(
        ConfigError, match=r"setting student.epochs is 'abc': .*; setting distill.alpha is 7: "
    ):
        load_config(None, ["student.epochs=abc", "distill.alpha=7"])


def test_what_earlier_releases_did_not_know_is_on_record_only_where_it_is_set() -> None:
    assert "deterministic" not in TrainingConfig().record()
    assert TrainingConfig(deterministic=True).record()["deterministic"] is True


def test_every_setting_is_explained() -> None:
    text = (Path(__file__).resolve().parents[3] / "docs" / "training.md").read_text(encoding="utf-8")
    table = [line for line in text.splitlines() if line.startswith("| `")]

    def names(kind: type[BaseModel], prefix: str = "") -> list[str]:
        found = []
        for key, field in kind.model_fields.items():
            section = field.annotation
            if isinstance(section, type) and issubclass(section, BaseModel):
                found += names(section, f"{prefix}{key}.")
            else:
                found.append(prefix + key)
        return found

    def explained(name: str) -> bool:
        section, _, key = name.rpartition(".")
        return any(
            f"`{name}`" in line or (section and f"`{section}.*`" in line and f"`{key}`" in line)
            for line in table
        )

    assert [name for name in names(TrainingConfig) if not explained(name)] == []
