"""Names that would leave their folder: in bundles, in tables of patients and slides, in cards and file names."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
from bundle_fixtures import random_bag, random_bundle
from fault_count import FaultCount

from amkd_core.bundle import Bundle
from amkd_core.bundle_file import open_bundle, write_bundle
from amkd_core.cli.predict import write_exports, write_results
from amkd_core.cohort.clinical import read_clinical_table
from amkd_core.cohort.columns import ClinicalKeys
from amkd_core.errors import AmkdError, BundleError, CohortError
from amkd_core.export.scores import write_results_table
from amkd_core.file_names import fault_of_file_name, safe_file_name
from amkd_core.inference.predict import predict_bag

NAMES = (
    "../outside", "../../outside", "..", ".", "...", "a/../../outside", "/tmp/outside", "//server/share/outside",
    "\\\\server\\share\\outside", "..\\outside", "C:\\outside", "C:outside", "c:/outside", "file:///tmp/outside",
    "~/outside", "~root", "CON", "nul.svs", "com1", "LPT9.txt", "outside\0.svs", "outside\n", "outside.svs:stream",
    "..\N{FULLWIDTH SOLIDUS}outside", "..\N{FRACTION SLASH}outside", "..\N{DIVISION SLASH}outside",
    "..\N{FULLWIDTH REVERSE SOLIDUS}outside", "out\N{RIGHT-TO-LEFT OVERRIDE}gvs.edis", "out\N{ZERO WIDTH SPACE}side",
    "x" * 300, "\N{CJK UNIFIED IDEOGRAPH-5B57}" * 100, "trailing.", "link",
)  # fmt: skip
"""What is not among them: names that are merely odd, which are used."""
FINE = ("TCGA-A2-A0T2-01Z-00-DX1.123", "Präparat 7", "slide (2)", "切片_1", "a.b.c", "S21-1234", "x" * 190)


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    return random_bundle(teacher=False)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """The only folder that may change, with a link out of it, beside one that must not."""
    (tmp_path / "outside").mkdir()
    (tmp_path / "root").mkdir()
    (tmp_path / "root" / "link").symlink_to(tmp_path / "outside", target_is_directory=True)
    return tmp_path / "root"


def beyond(root: Path) -> set[Path]:
    """Files outside the root; what the absolute names would make counts as well."""
    places = [path for path in root.parent.rglob("*") if root not in path.parents and path.is_file()]
    return {*places, *(path for path in map(Path, ("/tmp/outside", "/tmp/outside.h5")) if path.exists())}


def tried(action: Callable[[], object]) -> bool:
    """Whether a name was refused with a sentence; other errors are a fault."""
    try:
        action()
    except AmkdError:
        return True
    return False


def all_names(
    family: str,
    root: Path,
    counted: list[FaultCount],
    use: Callable[[str], object],
    names: tuple[str, ...] = NAMES,
) -> FaultCount:
    count = FaultCount(f"names: {family}")
    counted.append(count)
    before = beyond(root)
    for name in names:
        refused = tried(lambda name=name: use(name))
        count.cases, count.refused, count.same = (
            count.cases + 1,
            count.refused + refused,
            count.same + (not refused),
        )
    count.different = len(beyond(root) - before)
    assert count.different == 0
    return count


def test_parts_of_a_bundle(root: Path, bundle: Bundle, counted: list[FaultCount]) -> None:
    write_bundle(root / "good.amkd", bundle)
    parts = {}
    with zipfile.ZipFile(root / "good.amkd") as archive:
        parts = {item: archive.read(item) for item in archive.namelist()}

    def use(name: str) -> None:
        """Once as a further part, once as an announced one."""
        card = json.loads(parts["manifest.json"])
        for announced in (False, True):
            if announced:
                card["parts"][name] = "0" * 64
            with zipfile.ZipFile(root / "a.amkd", "w") as archive:
                for item, content in parts.items():
                    archive.writestr(item, json.dumps(card) if item == "manifest.json" else content)
                archive.writestr(_entry(name), b"outside")
            with pytest.raises(BundleError):
                open_bundle(root / "a.amkd")
        raise BundleError("both were refused")

    assert all_names("parts of a bundle", root, counted, use).refused == len(NAMES)
    open_bundle(root / "good.amkd")


def _entry(name: str) -> zipfile.ZipInfo:
    """A part of that name; "link" is a symbolic link, as archives can hold them."""
    entry = zipfile.ZipInfo("placeholder", (1980, 1, 1, 0, 0, 0))
    entry.filename = name
    if name == "link":
        entry.external_attr = 0o120777 << 16
    return entry


def test_slides_of_a_clinical_table(root: Path, counted: list[FaultCount]) -> None:
    """The name of a slide becomes the name of its bag, which is read and may be written."""

    def use(name: str) -> None:
        table = io.StringIO()
        import csv

        csv.writer(table).writerows(
            [
                ("patient_id", "slide_ids", "os_months", "os_event"),
                ("P1", name, "5", "1"),
                ("P2", "s2", "6", "0"),
            ]
        )
        (root / "clinical.csv").write_text(table.getvalue(), encoding="utf-8", newline="")
        read = read_clinical_table(root / "clinical.csv", ClinicalKeys())
        for slide in read.patients[0].slide_ids:
            place = (root / "bags" / f"{slide}.h5").resolve()
            assert place.is_relative_to(root.resolve()), name

    count = all_names("slides of a table", root, counted, use)
    # "link" is a slide's name like any other, and a line's end behind a name is not part of it.
    assert count.same == 2
    for name in FINE:
        use(name)


def test_sentences_say_what_is_wrong_with_a_slides_name(root: Path) -> None:
    (root / "clinical.csv").write_text(
        "patient_id,slide_ids,os_months,os_event\nP1,../../x.svs,5,1\nP2,CON,5,1\n"
    )
    expected = (
        r"clinical.csv: 2 problems: row 2, patient P1: slide '\.\./\.\./x' is a path, expected the file's name alone; "
        r"row 3, patient P2: slide 'CON' is a name that Windows keeps for devices"
    )
    with pytest.raises(CohortError, match=expected):
        read_clinical_table(root / "clinical.csv", ClinicalKeys())


def test_names_of_slides_and_patients_as_names_of_results(root: Path, counted: list[FaultCount]) -> None:
    from amkd_core.cli.result_folders import result_folders

    def use(name: str) -> None:
        folders = result_folders([Path(f"{name}.svs"), Path("other.svs")], root)
        for folder in folders:
            assert folder.resolve().parent == root.resolve(), name
            assert len(folder.name.encode()) <= 120
            folder.mkdir(exist_ok=True)
            (folder / "prediction.json").write_text("{}")

    possible = tuple(name for name in NAMES if "\0" not in name and len(name.encode()) < 250)
    count = all_names("folders of results", root, counted, use, possible)
    assert count.refused == 1  # the folder that is a link


def test_names_in_bags_and_cards_as_names_of_exports(
    root: Path, bundle: Bundle, counted: list[FaultCount]
) -> None:
    from amkd_viewer.exports import ExportOrder, write_all

    slide = SimpleNamespace(bounds=SimpleNamespace(x=0, y=0))
    order = ExportOrder(root / "exports", ("geojson", "scores"), "student", 3, identified=True, info=slide)

    def use(name: str) -> None:
        named = replace(bundle, card=bundle.card.model_copy(update={"name": name[:200] or "x"}))
        prediction = predict_bag(replace(random_bag(6), slide_id=name), named)
        write_all(order, prediction)
        write_results_table(root / "results.csv", [prediction], identified=True)

    assert all_names("names in bags and cards", root, counted, use).same == len(NAMES)
    assert len(list((root / "exports").iterdir())) > 20


@pytest.mark.slow
def test_every_file_of_a_prediction_stays_inside(
    root: Path, bundle: Bundle, counted: list[FaultCount]
) -> None:
    def use(name: str) -> None:
        prediction = predict_bag(replace(random_bag(6), slide_id=name), bundle)
        folder = root / safe_file_name(name) / "results"
        if (root / safe_file_name(name)).is_symlink():
            return
        write_results(folder, prediction, None)
        write_exports(folder, prediction, None, identified=True)

    names = (
        "../outside",
        "..\\outside",
        "CON",
        "x" * 300,
        "$\\frac{",
        "\N{CJK UNIFIED IDEOGRAPH-5B57}" * 100,
    )
    assert all_names("all files of a prediction", root, counted, use, names).same == len(names)


@pytest.mark.parametrize("name", FINE)
def test_odd_names_that_stay_where_they_are_may_be_used(name: str) -> None:
    assert fault_of_file_name(name) == ""
