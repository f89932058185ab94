"""Cards, and where weights are looked for; nothing here loads a network or touches the network."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from amkd_core.errors import EncoderError, EncoderWeightsMissingError
from amkd_core.settings import change_settings
from amkd_core.slides.encoders import (
    ENCODERS,
    card_of,
    check_weights,
    find_weights,
    load_encoder,
    weight_places,
)
from amkd_core.slides.encoders.registry import IMAGENET, Preprocess


@pytest.fixture
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine on which no weights lie anywhere."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("AMKD_WEIGHTS", raising=False)
    return tmp_path


def test_the_names_and_dimensions_of_the_field() -> None:
    assert {name: card.dimension for name, card in ENCODERS.items()} == {
        "texture": 89,
        "uni": 1024,
        "uni2-h": 1536,
        "conch": 512,
        "virchow2": 2560,
        "h-optimus-0": 1536,
        "resnet50": 1024,
    }


def test_licences_that_bind_trained_models_say_so() -> None:
    for name in ("uni", "uni2-h"):
        assert "also for models trained on its features" in ENCODERS[name].licence
    assert ENCODERS["h-optimus-0"].licence == "Apache-2.0"


def test_the_transform_states_every_step() -> None:
    assert ENCODERS["resnet50"].transform == (
        "RGB 256 px at 0.5 um/px, resize 224 bilinear, mean 0.485 0.456 0.406, std 0.229 0.224 0.225"
    )
    assert str(Preprocess(256, 224, "bicubic", *IMAGENET)).startswith(
        "resize 256 bicubic, centre crop 224, mean"
    )
    assert "resize 448 bicubic, mean 0.481455" in ENCODERS["conch"].transform


def test_an_unknown_name_is_refused_with_the_nearest() -> None:
    with pytest.raises(
        EncoderError, match=r"no encoder 'uni2h'; known are texture, uni, .*Did you mean 'uni2-h'\?"
    ):
        load_encoder("uni2h")
    with pytest.raises(EncoderError, match=r"no encoder 'qqqq'; known are [^?]*$"):
        card_of("qqqq")


@pytest.mark.parametrize("name", [name for name, card in ENCODERS.items() if card.hub_id])
def test_missing_weights_name_the_place_and_how_to_get_them(nowhere: Path, name: str) -> None:
    with pytest.raises(EncoderWeightsMissingError) as caught:
        load_encoder(name)
    sentence = str(caught.value)
    card = ENCODERS[name]
    assert str(nowhere / "data" / "amkd" / "weights" / name) in sentence
    assert str(card.hub_id) in sentence
    assert card.licence in sentence
    assert "--weights" in sentence


def test_a_stated_place_is_the_only_one_looked_at(nowhere: Path) -> None:
    (nowhere / "data/amkd/weights/uni").mkdir(parents=True)
    (nowhere / "data/amkd/weights/uni/model.safetensors").touch()
    assert find_weights("uni") == nowhere / "data/amkd/weights/uni/model.safetensors"
    with pytest.raises(EncoderWeightsMissingError, match=r"not found at .*elsewhere; get"):
        load_encoder("uni", weights=nowhere / "elsewhere")


def test_the_order_of_places(nowhere: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own = nowhere / "data/amkd/weights/uni"
    stated = nowhere / "stated"
    monkeypatch.setenv("AMKD_WEIGHTS", str(stated))
    assert weight_places("uni") == (stated / "uni", own)
    own.mkdir(parents=True)
    (own / "model.safetensors").touch()
    assert find_weights("uni") == own / "model.safetensors"
    (stated / "uni").mkdir(parents=True)
    (stated / "uni" / "pytorch_model.bin").touch()
    assert find_weights("uni") == stated / "uni" / "pytorch_model.bin"
    (stated / "uni" / "model.safetensors").touch()
    assert find_weights("uni") == stated / "uni" / "model.safetensors"
    assert find_weights("uni", own) == own / "model.safetensors"
    assert find_weights("uni", own / "model.safetensors") == own / "model.safetensors"


def test_the_settings_name_a_place_after_the_variable_and_before_the_own_folder(
    nowhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = nowhere / "mine" / "uni-downloaded.bin"
    own = nowhere / "data/amkd/weights/uni"
    for path in (file, own / "model.safetensors", nowhere / "stated/uni/model.safetensors"):
        path.parent.mkdir(parents=True)
        path.touch()
    change_settings(weights={"uni": file})
    assert weight_places("uni") == (file, own)
    assert find_weights("uni") == file
    assert find_weights("conch") is None
    change_settings(weights={"uni": nowhere / "gone"})
    assert find_weights("uni") == own / "model.safetensors"
    monkeypatch.setenv("AMKD_WEIGHTS", str(nowhere / "stated"))
    change_settings(weights={"uni": file})
    assert find_weights("uni") == nowhere / "stated/uni/model.safetensors"


def test_weights_are_looked_at_before_they_are_chosen(nowhere: Path) -> None:
    (nowhere / "empty").mkdir()
    with pytest.raises(
        EncoderError, match=r"empty: there is neither model.safetensors nor pytorch_model.bin"
    ):
        check_weights("uni", nowhere / "empty")
    (nowhere / "picture.png").touch()
    with pytest.raises(EncoderError, match=r"picture.png: expected a file of weights .*\.safetensors"):
        check_weights("uni", nowhere / "picture.png")
    with pytest.raises(EncoderError, match="'texture' is built in"):
        check_weights("texture", nowhere / "empty")
    (nowhere / "empty" / "model.safetensors").touch()
    assert check_weights("uni", nowhere / "empty") == nowhere / "empty"


def test_the_built_in_encoder_takes_no_weights(tmp_path: Path) -> None:
    with pytest.raises(EncoderError, match="'texture' is built in and takes no weights"):
        load_encoder("texture", weights=tmp_path)


def test_importing_the_registry_loads_nothing_heavy() -> None:
    code = (
        "import sys; import amkd_core.slides.encoders as e; list(e.ENCODERS); e.find_weights('uni')\n"
        "heavy = {'torch', 'timm', 'torchvision', 'huggingface_hub', 'safetensors', 'scipy', 'skimage', 'PyQt6'}\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
