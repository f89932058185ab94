"""The pieces of work that `stopped_child.py` stops: two slides extracted, two folds trained."""

from __future__ import annotations

import errno
import functools
import importlib
import json
import os
from pathlib import Path
from typing import Any

from cohort_fixtures import write_tiny_cohort
from slide_files import tissue_like, write_tiff
from training_fixtures import assert_same_results, fold_overrides

from amkd_core.atomic import TEMPORARY_PREFIX
from amkd_core.errors import DiskFullError

BATCH = 2
FOLDS = 2
EPOCHS = ("epochs=9", "patience=2", "learning_rate=0.03")
CHECKPOINT = "checkpoint.safetensors"


class Extraction:
    """Two slides of a few patches, two patches a batch; every encoded patch leaves a byte in `encoded`."""

    def __init__(self, folder: Path) -> None:
        from amkd_core.inference import extract
        from amkd_core.slides import encoders
        from amkd_core.slides.encoders import texture
        from amkd_core.slides.encoders.encode import encode_slide

        self.encoded = folder / "encoded"
        encoders.encode_slide = functools.partial(encode_slide, batch_size=BATCH)
        paths = [write_tiff(folder / f"s{i}.tif", [tissue_like(768, 768, seed=i)]) for i in (1, 2)]
        self.tasks = [extract.SlideTask(path) for path in paths]
        self.module = extract
        self.settings = extract.ExtractSettings(workers=1)
        kind = texture.TextureEncoder
        encode = kind.encode

        def counting(encoder: Any, images: Any) -> Any:
            features = encode(encoder, images)
            if len(images) <= BATCH:  # the golden patches come all at once
                with self.encoded.open("ab") as file:
                    file.write(b"." * len(images))
            return features

        kind.encode = counting
        self.begin()
        self.run(folder / "warm")  # what is imported and kept by now is not made in each fork

    def run(self, out: Path) -> None:
        with self.module.bag_folder(out):
            for task in self.tasks:
                steps = self.module.extract_slide(task, out, self.settings)
                outcome = finish(steps)
                if outcome.state == "failed":
                    full = "after" in outcome.reason or os.strerror(errno.ENOSPC) in outcome.reason
                    raise DiskFullError(outcome.reason) if full else ValueError(outcome.reason)

    def broken(self, out: Path, reference: Path) -> list[str]:
        """Final files of a stopped run that are not what they shall be."""
        names = [path.name for path in out.glob("*.h5") if not path.name.startswith(TEMPORARY_PREFIX)]
        return [name for name in names if (out / name).read_bytes() != (reference / name).read_bytes()]

    def differs(self, out: Path, reference: Path) -> list[str]:
        left, right = ({path.name for path in run.iterdir()} for run in (out, reference))
        return sorted(left ^ right) + self.broken(out, reference)

    def repeated(self, whole: int) -> int:
        """Patches that were encoded twice."""
        return len(self.encoded.read_bytes()) - whole

    def begin(self) -> None:
        self.encoded.write_bytes(b"")


class Training:
    """Two folds of a tiny cohort, up to nine epochs a stage, most of which stop early; figures are left empty."""

    def __init__(self, folder: Path) -> None:
        import torch

        from amkd_core.cohort.cohort import read_cohort
        from amkd_core.training import report_figures
        from amkd_core.training.config import load_config
        from amkd_core.training.run import train_run

        torch.set_num_threads(1)
        torch.optim.Adam([torch.zeros(1)])  # what it imports takes seconds
        for module in (
            "matplotlib.backends.backend_agg",
            "sklearn",
            "lifelines",
        ):
            importlib.import_module(module)  # once, and not in each fork
        write = report_figures.write_cohort_figure  # to draw takes longer than to train
        report_figures.write_cohort_figure = lambda folder, name, _, **rest: write(
            folder, name, lambda figure: None, **rest
        )
        toml = write_tiny_cohort(
            folder / "cohort", name="tiny", n_patients=30, width=6, patches=(5, 12), pathways=((0, 1, 2), (3, 4, 5))
        )  # fmt: skip
        words = [word for word in fold_overrides() if word != "--set"]
        stages = [f"{stage}.{setting}" for stage in ("teacher", "student") for setting in EPOCHS]
        self.config = load_config(None, [*words, f"folds={FOLDS}", "report.resamples=10", *stages])
        self.cohort = read_cohort(toml)
        self.train_run = train_run

    def run(self, out: Path) -> None:
        finish(self.train_run(self.cohort, out, self.config))

    def broken(self, out: Path, reference: Path) -> list[str]:
        from amkd_core.bundle_file import open_bundle

        for path in out.rglob("*.amkd"):
            if not path.name.startswith(TEMPORARY_PREFIX):
                open_bundle(path)
        return []

    def differs(self, out: Path, reference: Path) -> list[str]:
        assert_same_results(out, reference)
        names = ("metrics.json", "bins.json", "folds.json", "data.json")
        left, right = (
            {str(path.relative_to(run)) for path in run.rglob("*") if path.is_file()}
            for run in (out, reference)
        )
        return sorted(left ^ right) + [
            name for name in names if (out / name).read_bytes() != (reference / name).read_bytes()
        ]

    def repeated(self, whole: int) -> int:
        return 0

    def begin(self) -> None:
        pass

    def in_training(self, out: Path) -> bool:
        """Whether there is a fold to train."""
        return not (out / f"fold-{FOLDS}" / "done.json").exists()


def finish(steps: Any) -> Any:
    while True:
        try:
            next(steps)
        except StopIteration as stop:
            return stop.value


def unfinished_stages(out: Path) -> list[str]:
    """Stages that a stopped training left in their midst, as the checkpoints say ("fold-1/teacher")."""
    from safetensors import safe_open

    found = []
    for path in sorted(out.rglob(CHECKPOINT)):
        with safe_open(path, framework="pt") as file:
            if not json.loads(file.metadata()["state"])["finished"]:
                found.append(str(path.parent.relative_to(out)))
    return found
