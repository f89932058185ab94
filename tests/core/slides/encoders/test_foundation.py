"""Foundation encoders: the real loading code on random weights in the published files' own formats."""

from __future__ import annotations

import hashlib
import os
import shutil
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from amkd_core.errors import EncoderError, MissingExtraError
from amkd_core.file_hash import file_sha256
from amkd_core.slides.encoders import ENCODERS, load_encoder, registry
from amkd_core.slides.encoders.foundation import FoundationEncoder, load_foundation, pool, prepare
from amkd_core.slides.encoders.hub import fetch_weights
from amkd_core.slides.encoders.network import build_network, read_weights
from amkd_core.slides.encoders.registry import IMAGENET, EncoderCard, Preprocess

pytestmark = pytest.mark.usefixtures("timm_imports")

# Published sizes in millions, and keyword arguments that shrink the network to what a test can run.
PARAMETERS = {"uni": 303.35, "uni2-h": 681.39, "virchow2": 631.24, "h-optimus-0": 1134.77, "resnet50": 8.54}
SMALL = {"embed_dim": 96, "depth": 2, "num_heads": 2}
TIMM = tuple(PARAMETERS)


def small_card(name: str) -> EncoderCard:
    card = ENCODERS[name]
    arguments = {**card.arguments, **SMALL}
    return replace(
        card, arguments=arguments, dimension=96 * (2 if card.token_policy == "cls+mean_patch" else 1)
    )


def cut(patches: np.ndarray, name: str) -> np.ndarray:
    """Patches of the size that an encoder takes."""
    side = ENCODERS[name].patch_size_px
    return np.tile(patches, (1, 2, 2, 1))[:, :side, :side]


def random_state(network: torch.nn.Module, seed: int = 0) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    state = {}
    for name, value in network.state_dict().items():
        if not value.is_floating_point():
            state[name] = torch.zeros(value.shape, dtype=value.dtype)
        elif "running_var" in name:
            state[name] = torch.rand(value.shape, generator=generator) + 0.5
        else:
            state[name] = torch.randn(value.shape, generator=generator) * 0.05
    return state


def small_weights(card: EncoderCard, path: Path, *, seed: int = 0) -> Path:
    state = random_state(build_network(card), seed)
    if path.suffix == ".safetensors":
        save_file(state, path)
    else:
        torch.save(state, path)
    return path


@pytest.mark.parametrize("name", TIMM)
def test_the_real_networks_have_the_published_size_and_dimension(name: str) -> None:
    card = ENCODERS[name]
    network = build_network(card).eval()
    n_parameters = sum(parameter.numel() for parameter in network.parameters())
    assert n_parameters / 1e6 == pytest.approx(PARAMETERS[name], abs=0.005)
    assert not set(dict(network.named_buffers())) - set(network.state_dict())  # else filling would miss them
    assert card.preprocess is not None
    side = card.preprocess.crop_px
    output = pool(network(torch.empty(2, 3, side, side, device="meta")), card)
    assert output.shape == (2, card.dimension)


def test_virchow2_takes_the_class_token_and_the_mean_of_the_patches_without_registers() -> None:
    tokens = torch.arange(2 * 9 * 3, dtype=torch.float32).reshape(2, 9, 3)
    expected = torch.cat([tokens[:, 0], tokens[:, 5:].mean(1)], dim=1)
    assert torch.equal(pool(tokens, ENCODERS["virchow2"]), expected)


@pytest.mark.parametrize("name", [name for name in TIMM if name != "resnet50"])
@pytest.mark.parametrize("file", ["model.safetensors", "pytorch_model.bin"])
def test_loading_encodes_as_timm_itself_does(
    name: str, file: str, tmp_path: Path, patches: np.ndarray
) -> None:
    import timm
    from timm.layers import SwiGLUPacked

    card = small_card(name)
    path = small_weights(card, tmp_path / file)
    encoder = load_foundation(card, path, "cpu")
    patches = cut(patches, name)
    features = encoder.encode(patches)
    assert features.shape == (6, card.dimension)
    assert features.dtype == np.float32
    assert encoder.identity.weights_sha256 == hashlib.sha256(path.read_bytes()).hexdigest()

    classes = {"SwiGLUPacked": SwiGLUPacked, "SiLU": torch.nn.SiLU}
    arguments: dict[str, Any] = {
        key: classes.get(value, value) if isinstance(value, str) else value
        for key, value in card.arguments.items()
    }
    plain = timm.create_model(card.architecture, **arguments).eval()
    plain.load_state_dict(read_weights(path))
    with torch.inference_mode():
        output = plain(torch.stack([_reference_input(image, card) for image in patches]))
    if name == "virchow2":
        output = torch.cat([output[:, 0], output[:, 5:].mean(1)], dim=1)
    np.testing.assert_allclose(features, output.numpy(), atol=2e-5)


def _reference_input(image: np.ndarray, card: EncoderCard) -> torch.Tensor:
    """One patch through the steps that the encoders' authors print, one by one."""
    assert card.preprocess is not None
    method = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}
    side = card.preprocess.resize_px
    scaled = Image.fromarray(image).resize((side, side), method[card.preprocess.interpolation])
    margin = (side - card.preprocess.crop_px) // 2
    cropped = scaled.crop((margin, margin, side - margin, side - margin))
    pixels = torch.from_numpy(np.array(cropped)).permute(2, 0, 1).float() / 255
    mean, std = (torch.tensor(v).view(3, 1, 1) for v in (card.preprocess.mean, card.preprocess.std))
    return (pixels - mean) / std


@pytest.fixture(scope="module")
def resnet_file(tmp_path_factory: pytest.TempPathFactory, timm_imports: None) -> Path:
    """Random weights of the whole ResNet-50, as its published file holds them."""
    import timm

    with torch.device("meta"):
        network = timm.create_model("resnet50")
    path = tmp_path_factory.mktemp("weights") / "resnet50" / "model.safetensors"
    path.parent.mkdir()
    save_file(random_state(network), path)
    return path


def test_resnet50_for_real(resnet_file: Path, patches: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> None:
    import timm

    monkeypatch.setenv("AMKD_WEIGHTS", str(resnet_file.parents[1]))
    encoder = load_encoder("resnet50")
    features = encoder.encode(patches)
    assert features.shape == (6, 1024)

    whole = timm.create_model("resnet50").eval()
    whole.load_state_dict(read_weights(resnet_file))
    inputs = torch.stack([_reference_input(image, ENCODERS["resnet50"]) for image in patches])
    with torch.inference_mode():
        hidden = whole.maxpool(whole.act1(whole.bn1(whole.conv1(inputs))))
        expected = whole.layer3(whole.layer2(whole.layer1(hidden))).mean(dim=(2, 3))
    np.testing.assert_allclose(features, expected.numpy(), rtol=1e-3, atol=1e-4)


def test_resnet50_preprocessing_is_that_of_timm_without_its_crop(patches: np.ndarray) -> None:
    import timm
    from timm.data import create_transform, resolve_data_config

    network = timm.create_model("resnet50.tv_in1k", pretrained=False)
    transform = create_transform(**{**resolve_data_config(network.pretrained_cfg), "crop_pct": 1.0})
    preprocess = ENCODERS["resnet50"].preprocess
    assert preprocess is not None
    for image in patches:
        theirs = transform(Image.fromarray(image))
        ours = torch.from_numpy(prepare(image[None], preprocess)[0]).permute(2, 0, 1).float() / 255
        mean, std = (torch.tensor(v).view(3, 1, 1) for v in (preprocess.mean, preprocess.std))
        torch.testing.assert_close((ours - mean) / std, theirs, atol=1e-6, rtol=0)


@pytest.mark.parametrize("name", [name for name in ENCODERS if name != "texture"])
def test_preprocessing_gives_the_networks_input(name: str, patches: np.ndarray) -> None:
    preprocess = ENCODERS[name].preprocess
    assert preprocess is not None
    assert prepare(cut(patches, name), preprocess).shape == (6, preprocess.crop_px, preprocess.crop_px, 3)


def test_a_crop_takes_the_middle(patches: np.ndarray) -> None:
    preprocess = Preprocess(256, 224, "bilinear", *IMAGENET)
    np.testing.assert_array_equal(prepare(patches, preprocess), patches[:, 16:240, 16:240])


@pytest.fixture
def uni(tmp_path: Path) -> tuple[EncoderCard, dict[str, torch.Tensor], Path]:
    card = small_card("uni")
    return card, random_state(build_network(card)), tmp_path / "model.safetensors"


def test_weights_of_another_network_are_refused(
    uni: tuple[EncoderCard, dict[str, torch.Tensor], Path],
) -> None:
    card, state, path = uni
    del state["norm.weight"]
    state["register"] = torch.zeros(1)
    save_file(state, path)
    with pytest.raises(
        EncoderError, match=r"of 'uni': 1 missing \(first 'norm\.weight'\) and 1 unknown \(first 'register'\)"
    ):
        load_foundation(card, path, "cpu")


def test_weights_of_another_shape_are_refused(uni: tuple[EncoderCard, dict[str, torch.Tensor], Path]) -> None:
    card, state, path = uni
    state["cls_token"] = torch.zeros(1, 1, 32)
    save_file(state, path)
    with pytest.raises(EncoderError, match=r"'cls_token' should be \(1, 1, 96\), found \(1, 1, 32\)"):
        load_foundation(card, path, "cpu")


def test_half_precision_weights_run_in_single_on_a_processor(
    uni: tuple[EncoderCard, dict[str, torch.Tensor], Path], patches: np.ndarray
) -> None:
    card, state, path = uni
    save_file({name: value.half() for name, value in state.items()}, path)
    assert load_foundation(card, path, "cpu").encode(patches).dtype == np.float32


def test_a_wrapped_state_dict_is_unwrapped(uni: tuple[EncoderCard, dict[str, torch.Tensor], Path]) -> None:
    card, state, path = uni
    torch.save({"state_dict": state}, path.with_suffix(".pth"))
    assert isinstance(load_foundation(card, path.with_suffix(".pth"), "cpu"), FoundationEncoder)


class _Hostile:
    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, ("canary",)


@pytest.mark.parametrize(
    ("payload", "match"),
    [
        ({"a": _Hostile()}, "no readable file of weights"),
        ([1, 2], "no plain table of weights"),
        ({"a": 1}, "no plain table of weights"),
    ],
)
def test_files_that_hold_more_than_weights_are_refused(
    payload: object, match: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save(payload, tmp_path / "pytorch_model.bin")
    with pytest.raises(EncoderError, match=match):
        load_foundation(small_card("uni"), tmp_path / "pytorch_model.bin", "cpu")
    assert not (tmp_path / "canary").exists()


@pytest.mark.parametrize("file", ["model.safetensors", "pytorch_model.bin"])
@pytest.mark.parametrize("content", [b"", b"\x89PNG not weights at all", b"\0" * 64])
def test_damaged_files_are_refused(file: str, content: bytes, tmp_path: Path) -> None:
    (tmp_path / file).write_bytes(content)
    with pytest.raises(EncoderError, match="no readable file of weights"):
        load_foundation(small_card("uni"), tmp_path / file, "cpu")


def test_a_device_that_is_not_there_is_refused(tmp_path: Path) -> None:
    for device in ("cuda:77", "abacus"):
        with pytest.raises(EncoderError, match=f"Device '{device}' cannot be used here"):
            load_foundation(small_card("uni"), tmp_path / "x", device)


def test_other_patches_are_refused(uni: tuple[EncoderCard, dict[str, torch.Tensor], Path]) -> None:
    card, state, path = uni
    save_file(state, path)
    encoder = load_foundation(card, path, "cpu")
    with pytest.raises(
        EncoderError, match=r"'uni' takes uint8 patches of \(b, 256, 256, 3\), got uint8 \(1, 224"
    ):
        encoder.encode(np.zeros((1, 224, 224, 3), dtype=np.uint8))
    assert encoder.encode(np.zeros((0, 256, 256, 3), dtype=np.uint8)).shape == (0, 96)


def test_a_network_of_another_width_is_refused(
    uni: tuple[EncoderCard, dict[str, torch.Tensor], Path], patches: np.ndarray
) -> None:
    card, state, path = uni
    save_file(state, path)
    encoder = load_foundation(replace(card, dimension=97), path, "cpu")
    with pytest.raises(EncoderError, match=r"should give 97 features, its network gave \(6, 96\)"):
        encoder.encode(patches)


def test_conch_without_its_package_says_how_to_install_it(tmp_path: Path) -> None:
    (tmp_path / "pytorch_model.bin").touch()
    with pytest.raises(
        MissingExtraError, match="'conch' needs its authors' package; install it with: pip install git"
    ):
        load_encoder("conch", weights=tmp_path)


def test_conch_fills_its_image_tower_alone(
    tmp_path: Path, patches: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a stand-in for the package: its image tower is built from its own configuration, text left out."""
    for name, module in _conch_stand_in(tmp_path).items():
        monkeypatch.setitem(sys.modules, name, module)
    torch.save(
        {
            "visual.head.weight": torch.ones(512, 3),
            "text.token": torch.ones(1),
            "logit_scale": torch.ones([]),
        },
        tmp_path / "pytorch_model.bin",
    )
    encoder = load_encoder("conch", weights=tmp_path)
    patches = cut(patches, "conch")
    features = encoder.encode(patches)
    assert features.shape == (6, 512)
    preprocess = ENCODERS["conch"].preprocess
    assert preprocess is not None
    pixels = prepare(patches, preprocess).astype(np.float64) / 255
    normalised = (pixels - preprocess.mean) / preprocess.std
    np.testing.assert_allclose(features[:, 0], normalised.mean(axis=(1, 2)).sum(axis=1), rtol=1e-4)


def _conch_stand_in(folder: Path) -> Mapping[str, ModuleType]:
    class Visual(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.head = torch.nn.Linear(3, 512, bias=False)

        def forward_no_head(self, images: torch.Tensor, normalize: bool) -> torch.Tensor:
            assert not normalize
            return self.head(images.mean(dim=(2, 3)))

    class CoCa(torch.nn.Module):
        def __init__(self, embed_dim: int) -> None:
            super().__init__()
            self.visual = Visual()

    (folder / "conch_ViT-B-16.json").write_text('{"embed_dim": 512, "custom_text": true}')
    names = (
        "conch",
        "conch.open_clip_custom",
        "conch.open_clip_custom.coca_model",
        "conch.open_clip_custom.factory",
    )
    modules = {name: ModuleType(name) for name in names}
    modules[names[2]].CoCa = CoCa  # type: ignore[attr-defined]
    modules[names[3]].CFG_DIR = folder  # type: ignore[attr-defined]
    return modules


def test_timm_that_is_missing_or_broken_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    card = ENCODERS["uni"]
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(
        MissingExtraError, match=r"'uni' needs timm; install it with: pip install 'amkd-viewer"
    ):
        build_network(card)
    monkeypatch.delitem(sys.modules, "timm")
    monkeypatch.setattr(sys, "meta_path", [_Broken(), *sys.meta_path])
    with pytest.raises(
        EncoderError, match=r"timm cannot be imported \(operator torchvision::nms .*same index"
    ):
        build_network(card)


class _Broken:
    """An import that fails as timm's does beside a torchvision of another build."""

    def find_spec(self, name: str, *_: object) -> None:
        if name == "timm":
            raise RuntimeError("operator torchvision::nms does not exist")


def test_no_weights_are_downloaded_unless_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, resnet_file: Path
) -> None:
    import huggingface_hub

    asked: list[tuple[str, str]] = []

    def download(repo: str, file: str, *, revision: str, local_dir: Path) -> str:
        assert revision == "f" * 40
        asked.append((repo, file))
        local_dir.mkdir(parents=True)
        return str(shutil.copy(resnet_file, local_dir))

    stated = SimpleNamespace(etag=file_sha256(resnet_file), commit_hash="f" * 40)
    monkeypatch.setattr(huggingface_hub, "get_hf_file_metadata", lambda _url: stated)
    monkeypatch.setattr(huggingface_hub, "hf_hub_download", download)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    monkeypatch.delenv("AMKD_WEIGHTS", raising=False)
    with pytest.raises(EncoderError, match="not found at"):
        load_encoder("resnet50")
    assert asked == []
    fetch_weights(ENCODERS["resnet50"])
    assert load_encoder("resnet50").identity.dimension == 1024
    assert asked == [("timm/resnet50.tv_in1k", "model.safetensors")]
    (kept,) = tmp_path.rglob("model.safetensors.sha256")
    assert stated.etag in kept.read_text()


@pytest.mark.parametrize("place", ["beside", "card"])
def test_weights_stay_those_that_were_first_fetched_or_published(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, resnet_file: Path, place: str
) -> None:
    """The hash beside the weights, or in the encoder's card, holds whenever they are loaded."""
    weights = Path(shutil.copy(resnet_file, tmp_path))
    own = file_sha256(weights)
    sentences = {
        "beside": rf"is not the file of .*\.sha256 .*{own[:12]}….*delete both and get the weights again",
        "card": rf"is not what timm/resnet50\.tv_in1k published .*{own[:12]}…, expected abababababab…",
    }

    def state(sha256: str) -> None:
        if place == "card":
            card = replace(ENCODERS["resnet50"], sha256=(sha256,))
            monkeypatch.setattr(registry, "ENCODERS", {"resnet50": card})
        else:
            weights.with_name(f"{weights.name}.sha256").write_text(f"{sha256}  {weights.name}\n")

    state(own)
    assert load_encoder("resnet50", weights=weights).identity.weights_sha256 == own
    state("ab" * 32)
    with pytest.raises(EncoderError, match=sentences[place]):
        load_encoder("resnet50", weights=weights)


def test_what_the_card_does_not_state_is_not_fetched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import huggingface_hub

    stated = SimpleNamespace(etag="cd" * 32, commit_hash="f" * 40)
    monkeypatch.setattr(huggingface_hub, "get_hf_file_metadata", lambda _url: stated)
    monkeypatch.setattr(huggingface_hub, "hf_hub_download", None)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    with pytest.raises(EncoderError, match=r"cdcdcdcdcdcd…, expected abababababab…"):
        fetch_weights(replace(ENCODERS["resnet50"], sha256=("ab" * 32,)))
    assert list(tmp_path.rglob("*.sha256")) == []
