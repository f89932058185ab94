from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import tifffile
from bundle_fixtures import random_bag
from PIL import Image
from slide_files import halved, tissue_like, write_scn
from typer.testing import Result

from amkd_core import bag_file
from amkd_core.bag import FeatureBag
from amkd_core.bag_file import write_bag
from amkd_core.bag_record import record_of
from amkd_core.bundle_file import open_bundle
from amkd_core.cli import predict as command
from amkd_core.file_names import safe_file_name
from amkd_core.inference.teacher import activities_of
from amkd_core.notices import Notice
from amkd_core.slides.encoders import load_encoder

Run = Callable[..., Result]
Refusal = Callable[..., str]


def strict(path: Path) -> dict[str, Any]:
    """JSON that any reader takes: no NaN, no infinity."""

    def refuse(constant: str) -> None:
        raise AssertionError(f"{path} holds {constant}")

    record: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"), parse_constant=refuse)
    return record


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory, slide_path: Path, bundle_path: Path) -> Path:
    """Results of the slide, by the real command in a process of its own."""
    out = tmp_path_factory.mktemp("out") / "results"
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "amkd_core.cli.main",
            "predict",
            slide_path,
            "--bundle",
            bundle_path,
            "--out",
            out,
        ],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert "Research use only" in done.stdout
    assert "higher than" in done.stdout
    return out


def test_a_slide_gives_json_hdf5_and_a_picture(results: Path) -> None:
    written = ["heatmap.h5", "heatmap.png", "prediction.json"]
    assert sorted(path.name for path in results.iterdir()) == [".lock", *written]
    record = strict(results / "prediction.json")
    assert record["slide_id"] == "first"
    assert record["risk"] == pytest.approx(-sum(record["survival"]), abs=1e-6)
    assert len(record["top_patches"]) == 5
    assert [notice["code"] for notice in record["notices"]][:2] == ["research_only", "synthetic_bundle"]
    with h5py.File(results / "heatmap.h5") as file:
        scores, percentiles, coords = (file[name][()] for name in ("scores", "percentiles", "coords"))
        size = tuple(file["coords"].attrs["patch_size_level0"])
    assert scores.mean() == pytest.approx(1, abs=1e-5)
    assert percentiles.min() == 0
    assert percentiles.max() == 100
    best = int(scores.argmax())
    assert record["top_patches"][0]["xy_level0"] == coords[best].tolist()
    assert record["top_patches"][0]["score"] == pytest.approx(scores[best], rel=1e-6)
    assert size == (256, 256)
    with Image.open(results / "heatmap.png") as picture:
        assert min(picture.size) > 600
        # A drawn picture, not an empty canvas.
        assert len(np.unique(np.asarray(picture.convert("RGB")).reshape(-1, 3), axis=0)) > 500


def test_results_name_no_path_of_this_machine(results: Path, slide_path: Path, bundle_path: Path) -> None:
    for file in results.iterdir():
        content = file.read_bytes()
        for path in (slide_path.parent, bundle_path.parent, Path.home(), Path(sys.prefix)):
            assert str(path).encode() not in content, file
            assert str(path).encode("utf-16-le") not in content, file


def test_what_is_passed_on_names_no_slide_unless_asked(
    amkd: Run, slide_path: Path, bundle_path: Path, tmp_path: Path
) -> None:
    named = slide_path.with_name(f"TCGA-ZZ-9999{slide_path.suffix}")
    named.write_bytes(slide_path.read_bytes())
    files = ["heatmap.ome.tif", "patches.geojson", "report.html", "report.pdf", "scores.csv"]
    for asked, folder in (([], "hidden"), (["--identified"], "named")):
        out = tmp_path / folder
        result = amkd("predict", named, "--bundle", bundle_path, "--out", out, "--report", *asked)
        assert result.exit_code == 0, result.output
        assert sorted(path.name for path in (out / "export").iterdir()) == files
    hidden, shown = (
        b"".join((tmp_path / folder / "export" / name).read_bytes() for name in files)
        for folder in ("hidden", "named")
    )
    assert b"TCGA-ZZ-9999" not in hidden
    assert b"TCGA-ZZ-9999" in shown
    named.unlink()


@pytest.fixture
def bag() -> FeatureBag:
    """A bag that the bundle takes; its features are random."""
    return replace(random_bag(30, encoder=load_encoder("texture").identity), slide_bounds_xy=(60, 40))


def test_a_used_folder_holds_exports_of_one_prediction_only(
    amkd: Run, bag: FeatureBag, bundle_path: Path, tmp_path: Path
) -> None:
    """The map of a former slide beside the report of this one would be passed on as this one's."""
    write_bag(tmp_path / "placed.h5", bag)
    write_bag(tmp_path / "bare.h5", replace(bag, coords=None, patch_size_level0=None))
    files = {"report.html", "report.pdf", "scores.csv"}
    maps = {"heatmap.ome.tif", "patches.geojson"}
    for name, expected in (("placed", files | maps), ("bare", files), ("bare", files)):
        options = ("--bundle", bundle_path, "--out", tmp_path / "out", "--report")
        done = amkd("predict", tmp_path / f"{name}.h5", *options)
        assert (done.exit_code, done.stderr) == (0, "")
        assert {path.name for path in (tmp_path / "out" / "export").iterdir()} == expected


@pytest.mark.slow
def test_the_map_of_a_slide_with_bounds_is_the_same_from_its_bag(
    amkd: Run, bundle_path: Path, tmp_path: Path
) -> None:
    """QuPath counts from the scanned area's corner; counted from level 0's, all patches would lie beside the tissue."""
    image = tissue_like(1536, 1280, seed=3)
    slide = write_scn(
        tmp_path / "scan.scn",
        [image, halved(image)],
        corner=(701, 905),
        frame=(4000, 3200),
        mpp=0.5,
        power=20,
    )
    assert amkd("extract", slide, "--out", tmp_path / "bags").exit_code == 0
    found = []
    for source in (slide, tmp_path / "bags" / "scan.h5"):
        out = tmp_path / source.suffix
        done = amkd("predict", source, "--bundle", bundle_path, "--out", out, "--report")
        assert (done.exit_code, done.stderr) == (0, "")
        collection = strict(out / "export" / "patches.geojson")
        assert collection["amkd"]["origin_level0"] == [701, 905]
        found.append([feature["geometry"] for feature in collection["features"]])
        with tifffile.TiffFile(out / "export" / "heatmap.ome.tif") as file:
            assert "&quot;bounds_level0&quot;: [701, 905]" in file.ome_metadata
    assert found[0] == found[1]
    assert min(min(*corner) for shape in found[0] for corner in shape["coordinates"][0]) < 256


def test_a_bag_that_does_not_tell_its_bounds_is_said_to_lie_anywhere(
    amkd: Run, bag: FeatureBag, bundle_path: Path, tmp_path: Path
) -> None:
    write_bag(tmp_path / "old.h5", replace(bag, slide_bounds_xy=None))
    options = ("--bundle", bundle_path, "--out", tmp_path / "out", "--report")
    done = amkd("predict", tmp_path / "old.h5", *options)
    assert done.exit_code == 0
    assert "does not record where the scanned area begins; in QuPath" in done.stderr
    collection = strict(tmp_path / "out" / "export" / "patches.geojson")
    assert collection["amkd"]["origin_level0"] is None
    assert collection["features"][0]["geometry"]["coordinates"][0][0] == [100, 100]
    with tifffile.TiffFile(tmp_path / "out" / "export" / "heatmap.ome.tif") as file:
        assert "&quot;bounds_level0&quot;: null" in file.ome_metadata


def test_the_slide_and_its_bag_give_the_same_risk(
    amkd: Run, results: Path, slide_path: Path, bundle_path: Path, tmp_path: Path
) -> None:
    assert amkd("extract", slide_path, "--out", tmp_path / "bags").exit_code == 0
    bag = tmp_path / "bags" / "first.h5"
    done = amkd("predict", bag, "--bundle", bundle_path, "--out", tmp_path / "out")
    assert done.exit_code == 0, done.stderr
    from_slide, from_bag = strict(results / "prediction.json"), strict(tmp_path / "out" / "prediction.json")
    assert from_bag["risk"] == from_slide["risk"]
    assert from_bag["top_patches"] == from_slide["top_patches"]
    assert (tmp_path / "out" / "heatmap.png").exists()


def test_one_bad_slide_does_not_stop_the_others(
    amkd: Run, slide_path: Path, bundle_path: Path, tmp_path: Path
) -> None:
    bad = tmp_path / "bad.svs"
    bad.write_bytes(b"not a slide" * 100)
    done = amkd("predict", bad, slide_path, "--bundle", bundle_path, "--out", tmp_path / "out")
    assert done.exit_code == 1
    assert "bad.svs is not a slide" in done.stderr
    assert strict(tmp_path / "out" / "first" / "prediction.json")["slide_id"] == "first"
    assert not (tmp_path / "out" / "bad").exists()


def forged_bag(path: Path, bag: FeatureBag, monkeypatch: pytest.MonkeyPatch, **odd: object) -> Path:
    """A bag of ours with odd values in its record and a checksum that fits."""
    with monkeypatch.context() as patched:
        patched.setattr(bag_file, "record_of", lambda bag: {**record_of(bag), **odd})
        write_bag(path, bag)
    return path


def test_one_forged_bag_does_not_stop_the_others(
    amkd: Run, bag: FeatureBag, bundle_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    odd = {"inf": {"patch_size_px": float("inf")}, "pair": {"patch_size_level0": []}}
    odd |= {"hash": {"slide_fingerprint": 5}, "note": {"notices": [{"code": "not_he", "sentence": []}]}}
    bad = [forged_bag(tmp_path / f"{name}.h5", bag, monkeypatch, **values) for name, values in odd.items()]
    write_bag(tmp_path / "good.h5", bag)
    done = amkd("predict", *bad, tmp_path / "good.h5", "--bundle", bundle_path, "--out", tmp_path / "out")
    assert done.exit_code == 1
    assert [line.split(".h5: ")[0] for line in done.stderr.splitlines()] == [f"Error: {name}" for name in odd]
    assert strict(tmp_path / "out" / "good" / "prediction.json")["slide_id"] == bag.slide_id


@pytest.fixture
def two_bags(bag: FeatureBag, tmp_path: Path) -> list[Path]:
    """The same bag under two names, one of which tells a patient."""
    files = [tmp_path / "TCGA-ZZ-9999.h5", tmp_path / "good.h5"]
    for file in files:
        write_bag(file, bag)
    return files


def test_our_own_mistake_in_one_file_of_many_is_a_sentence_and_the_others_go_on(
    amkd: Run,
    two_bags: list[Path],
    bundle_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    predict, out = command.predict_any, two_bags[0].parent / "out"

    def broken(request: command.Request, *rest: Any) -> Any:
        if request.source.stem == "TCGA-ZZ-9999":
            raise ZeroDivisionError("a mistake of ours")
        return predict(request, *rest)

    monkeypatch.setattr(command, "predict_any", broken)
    done = amkd("predict", *two_bags, "--bundle", bundle_path, "--out", out)
    assert done.exit_code == 1
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("Error: ")]
    assert "TCGA-ZZ-9999.h5: an unexpected ZeroDivisionError ended its prediction" in line
    assert (out / "good" / "prediction.json").exists()
    assert "a mistake of ours" in caplog.text
    assert "TCGA-ZZ-9999" not in caplog.text


def test_a_name_from_a_file_forges_no_line_on_the_terminal(
    amkd: Run, bag: FeatureBag, bundle_path: Path, tmp_path: Path
) -> None:
    forged = "s1\nother: risk 0.000, low group\x1b[2J\u2028\u202e"
    write_bag(tmp_path / "a.h5", replace(bag, slide_id=forged))
    done = amkd("predict", tmp_path / "a.h5", "--bundle", bundle_path, "--out", tmp_path / "out")
    assert done.exit_code == 0, done.stderr
    first = done.stdout.split("\n")[0]
    assert first.startswith("s1\\nother: risk 0.000, low group\\x1b[2J\\u2028\\u202e: risk ")
    write_bag(tmp_path / "b.h5", replace(bag, slide_id=forged, mpp=0.3))
    done = amkd("predict", tmp_path / "b.h5", "--bundle", bundle_path, "--out", tmp_path / "out")
    assert done.exit_code == 2
    assert len(done.stderr.splitlines()) == 1
    assert "s1\\nother" in done.stderr


def test_the_group_of_a_doubtful_result_is_not_told_alone(
    amkd: Run, bag: FeatureBag, bundle_path: Path, tmp_path: Path
) -> None:
    write_bag(
        tmp_path / "a.h5", replace(bag, notices=(Notice("not_he", "The slide does not look like H&E."),))
    )
    done = amkd("predict", tmp_path / "a.h5", "--bundle", bundle_path, "--out", tmp_path / "out")
    assert done.exit_code == 0, done.stderr
    group = json.loads((tmp_path / "out" / "prediction.json").read_text())["risk_group"]
    assert f", doubtful: {group} group, higher than " in done.stdout.splitlines()[0]


def test_slides_of_one_name_are_refused_before_any_work(
    refusal: Refusal, bundle_path: Path, tmp_path: Path
) -> None:
    assert "would both be written to" in refusal(
        "predict", "a/s.svs", "b/s.svs", "--bundle", bundle_path, "--out", tmp_path
    )


def test_expression_makes_the_teacher_predict(
    amkd: Run, refusal: Refusal, slide_path: Path, bundle_path: Path, tmp_path: Path
) -> None:
    table = tmp_path / "expression.csv"
    rows = [f"GENE{index},{index},{12 - index}" for index in range(12)]
    table.write_text("\n".join(["gene,p1,p2", *rows]))
    options = ("--bundle", bundle_path, "--out", tmp_path / "out", "--expression", table)
    assert "say which patient with --patient" in refusal("predict", slide_path, *options)
    assert "there is no patient p3" in refusal("predict", slide_path, *options, "--patient", "p3")
    done = amkd("predict", slide_path, *options, "--patient", "p2")
    assert done.exit_code == 0, done.stderr
    teacher = strict(tmp_path / "out" / "prediction.json")["teacher"]
    importance = [pathway["importance"] for pathway in teacher["pathways"]]
    assert importance == sorted(importance, reverse=True)
    assert sum(importance) == pytest.approx(1)
    kept = open_bundle(bundle_path).pathway_effects
    assert teacher["explained_by_pathways"] == kept.explained
    genes = {f"GENE{index}": float(12 - index) for index in range(12)}
    activities = activities_of(open_bundle(bundle_path), genes)
    added = dict(zip(open_bundle(bundle_path).card.pathways, kept.of_patient(activities), strict=True))
    assert {pathway["name"]: pathway["adds_to_risk"] for pathway in teacher["pathways"]} == pytest.approx(
        added
    )
    assert -1 <= teacher["agreement"]["spearman"] <= 1
    with h5py.File(tmp_path / "out" / "heatmap.h5") as file:
        assert file["teacher/pathways"].shape == (4, len(file["scores"]))
    assert "one patient" in refusal(
        "predict", slide_path, tmp_path / "other.tif", *options, "--patient", "p2"
    )


def test_a_foreign_bag_is_asked_for_everything_at_once(
    amkd: Run, refusal: Refusal, bundle_path: Path, tmp_path: Path
) -> None:
    bag = tmp_path / "clam.h5"
    rng = np.random.default_rng(0)
    from amkd_core.slides.encoders import ENCODERS

    with h5py.File(bag, "w") as file:
        file["features"] = rng.normal(size=(9, ENCODERS["texture"].dimension)).astype(np.float32)
        file["coords"] = np.array([(x * 512, y * 512) for x in range(3) for y in range(3)], dtype=np.int32)
    options: list[object] = ["--bundle", bundle_path, "--out", tmp_path / "out"]
    asked = refusal("predict", bag, *options)
    for option in ("--encoder", "--bag-mpp", "--patch-size", "--patch-size-level0"):
        assert option in asked
    options += ["--encoder", "texture", "--bag-mpp", 0.5, "--patch-size", 256, "--patch-size-level0", 512]
    done = amkd("predict", bag, *options)
    assert done.exit_code == 0, done.stderr
    record = strict(tmp_path / "out" / "prediction.json")
    assert "unverified_bag" in [notice["code"] for notice in record["notices"]]
    assert record["provenance"]["verified"] is False
    other = amkd("predict", bag, *options, "--encoder", "uni")
    assert other.exit_code == 2


def damaged(kind: str, folder: Path, whole: Path) -> Path:
    path = folder / f"{kind}.svs"
    if kind == "empty":
        path.touch()
    elif kind == "text":
        path.write_text("a letter to the pathologist\n" * 50)
    elif kind == "picture":
        Image.new("RGB", (300, 300), (200, 30, 90)).save(path, format="PNG")
    elif kind == "cut":
        content = whole.read_bytes()
        path.write_bytes(content[: len(content) // 2])
    elif kind == "folder":
        path.mkdir()
    return path


@pytest.mark.parametrize("kind", ["empty", "text", "picture", "cut", "folder", "absent"])
def test_what_is_no_slide_is_one_sentence_and_exit_code_2(
    refusal: Refusal, kind: str, slide_path: Path, bundle_path: Path, tmp_path: Path
) -> None:
    path = damaged(kind, tmp_path, slide_path)
    assert f"{kind}.svs" in refusal("predict", path, "--bundle", bundle_path, "--out", tmp_path / "out")
    assert not (tmp_path / "out").exists()


MALFORMED = {
    "boxes.tiff": "does not tell its micrometres per pixel",
    "broken.svs": "is not a slide",
    "crash_tilewidth.svs": "no side may exceed 4096",
    "derived_cmu1_10-tiles-zeroed.svs": "cannot be read, more than 1% of all",
    "derived_cmu1_truncated60.svs": "truncated or damaged",
    "hamamatsu-vms-stub": "13.24.05.vms cannot be opened",
    "hamamatsu-vms-stub/CMU-1-40x - 2010-01-12 13.24.05.vms": "CMU-1-40x",
    "small.svs": "smaller than one patch",
    "unopenable.tiff": "neither OpenSlide nor tifffile can decode",
    "unreadable.svs": "smaller than one patch",
}


@pytest.mark.parametrize("name", MALFORMED)
def test_malformed_files_give_their_cause(
    refusal: Refusal, shared: Path, bundle_path: Path, tmp_path: Path, name: str
) -> None:
    path = shared / "slides/malformed" / name
    assert MALFORMED[name] in refusal("predict", path, "--bundle", bundle_path, "--out", tmp_path / "out")


def test_every_malformed_file_is_among_them(shared: Path) -> None:
    found = {path.name for path in (shared / "slides/malformed").iterdir()}
    assert found == {name for name in MALFORMED if "/" not in name}


def test_a_process_of_its_own_ends_with_one_line_and_no_traceback(tmp_path: Path, bundle_path: Path) -> None:
    path = tmp_path / "empty.svs"
    path.touch()
    arguments = ["predict", str(path), "--bundle", str(bundle_path), "--out", str(tmp_path / "out")]
    done = subprocess.run(
        [sys.executable, "-m", "amkd_core.cli.main", *arguments], capture_output=True, text=True
    )
    assert done.returncode == 2
    assert done.stdout == ""
    assert len(done.stderr.splitlines()) == 1


def test_wrong_bundles_are_refused(refusal: Refusal, slide_path: Path, tmp_path: Path) -> None:
    absent = tmp_path / "none.amkd"
    assert "no such file" in refusal("predict", slide_path, "--bundle", absent, "--out", tmp_path)
    absent.write_bytes(b"PK" + b"0" * 200)
    assert "none.amkd" in refusal("predict", slide_path, "--bundle", absent, "--out", tmp_path)


def test_an_unwritable_folder_is_a_sentence(
    refusal: Refusal, results: Path, slide_path: Path, bundle_path: Path
) -> None:
    inside_a_file = results / "prediction.json" / "out"
    assert "prediction.json" in refusal(
        "predict", slide_path, "--bundle", bundle_path, "--out", inside_a_file
    )


def test_our_own_mistakes_surface(
    amkd: Run, slide_path: Path, bundle_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError("a mistake of ours")

    monkeypatch.setattr(command, "predict_any", broken)
    done = amkd("predict", slide_path, "--bundle", bundle_path, "--out", tmp_path)
    assert isinstance(done.exception, ZeroDivisionError)


@pytest.mark.parametrize(
    "name",
    [
        "../../etc/passwd",
        "/abs/olute",
        "C:\\Users\\x",
        "a\0b",
        "..",
        "...",
        "",
        " ",
        "con/aux",
        "x" * 300,
        "Größe $1$",
    ],
)
def test_names_of_results_stay_in_their_folder(name: str, tmp_path: Path) -> None:
    inside = (tmp_path / safe_file_name(name)).resolve()
    assert inside.parent == tmp_path.resolve()
    assert 1 <= len(safe_file_name(name)) <= 120
    assert not set(safe_file_name(name)) & set('/\\:*?"<>|$\0 ')
