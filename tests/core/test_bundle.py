from __future__ import annotations

import dataclasses
import json
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from bundle_fixtures import encoder_identity, random_bag, random_bundle

from amkd_core.bundle_file import open_bundle, write_bundle
from amkd_core.errors import BundleError, BundleMismatchError
from amkd_core.inference.predict import predict_bag


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("bundle") / "model.amkd"
    write_bundle(path, random_bundle(n_members=2))
    return path


def rewritten(
    path: Path, out: Path, change: dict[str, bytes | None], compression: int = zipfile.ZIP_STORED
) -> Path:
    """A copy with some parts changed, added or (None) left out."""
    with zipfile.ZipFile(path) as source:
        parts = {name: source.read(name) for name in source.namelist()}
    parts.update({name: part for name, part in change.items() if part is not None})
    with zipfile.ZipFile(out, "w", compression) as target:
        for name, part in parts.items():
            if change.get(name, b"") is not None:
                target.writestr(name, part)
    return out


def manifest(path: Path) -> dict:
    with zipfile.ZipFile(path) as source:
        return json.loads(source.read("manifest.json"))


def test_a_bundle_predicts_the_same_after_a_round_trip(tmp_path: Path) -> None:
    bundle = random_bundle(n_members=2)
    again = write_bundle(tmp_path / "model.amkd", bundle)
    bag = random_bag()
    genes = dict.fromkeys(bundle.card.genes, 5.0)
    first, second = predict_bag(bag, bundle, genes=genes), predict_bag(bag, again, genes=genes)
    assert first.risk == second.risk
    np.testing.assert_array_equal(first.patch_scores, second.patch_scores)
    np.testing.assert_array_equal(first.teacher.coattention, second.teacher.coattention)
    np.testing.assert_array_equal(
        first.cohort.kaplan_meier["low"].survival, second.cohort.kaplan_meier["low"].survival
    )
    # Sums may differ in the last bit by where in memory the arrays lie.
    expected = bundle.feature_range.distance(bag.features)
    assert again.feature_range.distance(bag.features) == pytest.approx(expected, rel=1e-12)
    assert again.members[0].time_bins == bundle.members[0].time_bins


def test_equal_bundles_are_equal_files(tmp_path: Path) -> None:
    write_bundle(tmp_path / "one.amkd", random_bundle())
    write_bundle(tmp_path / "two.amkd", random_bundle())
    assert (tmp_path / "one.amkd").read_bytes() == (tmp_path / "two.amkd").read_bytes()


def test_nothing_in_it_is_pickled_or_compressed(written: Path) -> None:
    with zipfile.ZipFile(written) as archive:
        for member in archive.infolist():
            assert member.compress_type == zipfile.ZIP_STORED
            assert member.filename == "manifest.json" or member.filename.endswith(".safetensors")


@pytest.mark.parametrize("seed", range(10))
def test_damaged_bundles_are_refused_or_unchanged_never_different(
    written: Path, tmp_path: Path, seed: int
) -> None:
    original = written.read_bytes()
    expected = predict_bag(random_bag(), open_bundle(written))
    rng = np.random.default_rng(seed)
    path = tmp_path / "mutant.amkd"
    refused = 0
    for _ in range(20):
        data = bytearray(original)
        place = int(rng.integers(len(data)))
        if rng.random() < 0.5:
            data[place] ^= 1 << int(rng.integers(8))
        elif rng.random() < 0.5:
            del data[place:]
        else:
            data[place : place + 32] = bytes(len(data[place : place + 32]))
        path.write_bytes(data)
        try:
            bundle = open_bundle(path)
        except BundleError:
            refused += 1
        else:
            assert predict_bag(random_bag(), bundle).risk == expected.risk
            assert bundle.card == open_bundle(written).card
    assert refused > 10


@pytest.mark.parametrize(
    ("content", "sentence"),
    [(b"", "0 bytes, expected a model bundle"), (b"hello", "is not a model bundle, or is damaged")],
)
def test_other_files_are_refused(tmp_path: Path, content: bytes, sentence: str) -> None:
    (tmp_path / "x.amkd").write_bytes(content)
    with pytest.raises(BundleError, match=sentence):
        open_bundle(tmp_path / "x.amkd")
    with pytest.raises(BundleError, match=r"absent.amkd: no such file"):
        open_bundle(tmp_path / "absent.amkd")


def test_a_plain_zip_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "x.amkd", "w") as archive:
        archive.writestr("readme.txt", "hello")
    with pytest.raises(BundleError, match=r"without exactly one manifest.json"):
        open_bundle(tmp_path / "x.amkd")


def test_a_changed_a_missing_and_an_unannounced_part_are_refused(written: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(written) as archive:
        weights = bytearray(archive.read("member0.student.safetensors"))
    weights[-1] ^= 1
    changed = rewritten(written, tmp_path / "a.amkd", {"member0.student.safetensors": bytes(weights)})
    with pytest.raises(BundleError, match=r"checksum of member0.student.safetensors does not match"):
        open_bundle(changed)
    missing = rewritten(written, tmp_path / "b.amkd", {"member1.teacher.safetensors": None})
    with pytest.raises(BundleError, match=r"part 'member1.teacher.safetensors' is missing"):
        open_bundle(missing)
    for name in ("../escape.safetensors", "extra.safetensors"):
        with pytest.raises(BundleError, match="was not announced"):
            open_bundle(rewritten(written, tmp_path / "c.amkd", {name: b"x"}))


def test_compressed_parts_are_refused_before_they_are_read(written: Path, tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="is compressed, bundles are stored"):
        open_bundle(rewritten(written, tmp_path / "z.amkd", {"bomb": bytes(10**6)}, zipfile.ZIP_DEFLATED))


def test_a_newer_format_and_an_unknown_field_are_named(written: Path, tmp_path: Path) -> None:
    card = manifest(written)
    newer = json.dumps({**card, "format_version": 2}).encode()
    with pytest.raises(BundleError, match=r"bundle format 2, this release reads 1; upgrade"):
        open_bundle(rewritten(written, tmp_path / "n.amkd", {"manifest.json": newer}))
    unknown = json.dumps({**card, "surprise": 1}).encode()
    with pytest.raises(BundleError, match="surprise: Extra inputs"):
        open_bundle(rewritten(written, tmp_path / "u.amkd", {"manifest.json": unknown}))


def test_a_model_that_the_card_does_not_describe_is_refused(written: Path, tmp_path: Path) -> None:
    card = manifest(written)
    card["members"][0]["student"]["config"]["dim"] = 32
    with pytest.raises(
        BundleError,
        match=r"tensor 'guidance.0.bias' is torch.float32 \(16,\), but the card .* torch.float32 \(32,\)",
    ):
        open_bundle(rewritten(written, tmp_path / "w.amkd", {"manifest.json": json.dumps(card).encode()}))


def replaced(**changes: object):
    bag = random_bag()
    return dataclasses.replace(bag, **changes)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"encoder": encoder_identity(16, "uni")}, r"encoder name 'uni', but model random needs 'texture'"),
        (
            {"encoder": dataclasses.replace(encoder_identity(), weights_sha256="1" * 64)},
            r"weights_sha256 '111111111111...', but model random needs '000000000000...'",
        ),
        (
            {"encoder": dataclasses.replace(encoder_identity(), transform="BGR")},
            r"transform 'BGR', but model random needs 'none'",
        ),
        ({"patch_size_px": 512}, r"patches of 512 px, but model random needs 256 px"),
        ({"mpp": 1.0}, r"patches at 1 um per px, but model random needs 0.5 um per px"),
        ({"mpp": 0.47}, r"patches at 0.47 um per px"),
    ],
)
def test_a_bag_of_another_kind_is_refused_with_both_values(changes: dict, sentence: str) -> None:
    with pytest.raises(BundleMismatchError, match=sentence):
        random_bundle().check_bag(replaced(**changes))


@pytest.mark.parametrize("mpp", [0.48, 0.5, 0.52])
def test_a_scale_within_five_percent_passes(mpp: float) -> None:
    random_bundle().check_bag(replaced(mpp=mpp))


def test_a_bag_without_provenance_is_compared_by_what_it_states() -> None:
    stated = dataclasses.replace(encoder_identity(), weights_sha256="", version="", transform="not recorded")
    random_bundle().check_bag(replaced(encoder=stated, verified=False))
    with pytest.raises(BundleMismatchError, match=r"weights_sha256 '111111111111...'"):
        random_bundle().check_bag(
            replaced(encoder=dataclasses.replace(stated, weights_sha256="1" * 64), verified=False)
        )
    with pytest.raises(BundleMismatchError, match="encoder version"):
        random_bundle().check_bag(replaced(encoder=stated, verified=True))


def test_models_come_back_in_eval_mode_and_need_no_gradient_to_predict(written: Path) -> None:
    bundle = open_bundle(written)
    assert not any(member.student.training or member.teacher.training for member in bundle.members)
    with torch.inference_mode():
        assert predict_bag(random_bag(), bundle).member_risks.shape == (2,)
