"""Extraction, prediction and training in odd surroundings; one line of JSON with what came out.

``python surroundings_child.py CASE FOLDER``. The inputs lie in FOLDER, under names that the case may choose.
"""

from __future__ import annotations

import csv
import hashlib
import json
import locale
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import odd_clock  # before all that asks for the time
from bundle_fixtures import random_bundle
from cohort_fixtures import write_tiny_cohort
from slide_files import tissue_like, write_tiff
from training_fixtures import QUICK, run_amkd, run_train

from amkd_core.bag_file import read_bag
from amkd_core.bundle_file import open_bundle, write_bundle

NAMES = {
    "letters of other scripts": "Gewebe Größe 組織 Ткань",
    "spaces and quotes": " a 'b' \"c\" & $d; ",
    "combining and joined signs": "e\u0301 \U0001f468\u200d\U0001f52c",
    "a line break": "one\ntwo",
    "names of 240 bytes": "n" * 240,
}


def year() -> int:
    """By the clock of this process, in years of 365 days."""
    return 1970 + int(time.time() // odd_clock.YEAR_S)


def written_years(run: Path, record: dict[str, Any]) -> list[int]:
    """Years that files of a run and of a prediction were made in, as these tell."""
    with (run / "progress.csv").open(encoding="utf-8", newline="") as file:
        stamps = [row["time"] for row in csv.DictReader(file)]
    (bundle, *_) = run.glob("fold-*/model.amkd")
    return [
        int(text[:4]) for text in (*stamps, open_bundle(bundle).card.created, record["provenance"]["created"])
    ]


def main() -> None:
    case, folder = sys.argv[1], Path(sys.argv[2]) / NAMES.get(sys.argv[1], "plain")
    name = NAMES.get(case, "plain")
    folder.mkdir()
    slide = write_tiff(folder / f"{name}.tif", [tissue_like(768, 768, seed=1)])
    toml = write_tiny_cohort(
        folder / "cohort", name="tiny", n_patients=30, width=6, patches=(5, 12), pathways=((0, 1, 2), (3, 4, 5)),
        split=("train", "train", "validation", "train", "test"),
    )  # fmt: skip
    from amkd_core.slides.encoders import load_encoder

    bundle = folder / f"{name}.amkd"
    write_bundle(bundle, random_bundle(encoder=load_encoder("texture").identity))
    locale.setlocale(locale.LC_ALL, "")
    quick = [word for item in (*QUICK, "teacher.epochs=2", "student.epochs=2") for word in ("--set", item)]
    said, results = [], {}
    for words, run in (
        (("extract", slide, "--out", folder / "bags"), run_amkd),
        (("extract", slide, "--out", folder / "bags"), run_amkd),  # kept, whatever the clock says
        (("predict", slide, "--bundle", bundle, "--out", folder / "out"), run_amkd),
        (("--cohort", toml, "--out", folder / "run", *quick), run_train),
        (("--cohort", toml, "--out", folder / "run", *quick), run_train),  # finished, whatever the clock says
    ):
        code, output = run(*words)
        said.append(f"{code} {output[-2000:]}")
        results.setdefault("codes", []).append(code)
    bag = read_bag(folder / "bags" / f"{name}.h5")
    results["features"] = hashlib.sha256(bag.features.tobytes()).hexdigest()
    results["kept"] = "(kept)" in said[1]
    record = json.loads((folder / "out" / "prediction.json").read_text(encoding="utf-8"))
    results["risk"] = [record["risk"], record["risk_percentile"], record["risk_group"]]
    results["predictions"] = (folder / "run" / "predictions.csv").read_text(encoding="utf-8")
    results["metrics"] = (folder / "run" / "metrics.json").read_text(encoding="utf-8")
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        results["years"] = [year(), pool.submit(year).result()]
    results["written"] = written_years(folder / "run", record)
    results["decimal point"] = locale.localeconv()["decimal_point"]
    results["said"] = said
    sys.stdout.write(json.dumps(results) + "\n")


if __name__ == "__main__":
    main()
