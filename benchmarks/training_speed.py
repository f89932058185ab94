"""One epoch of stage two beside a plain training loop, on bags of 4,096 x 1,024.

    python benchmarks/training_speed.py [--bags 300] [--work FOLDER] [--pathways FILE.gmt]

Plain loop: a batch of one patient, one `.pt` file per slide in float32, the teacher run in every step, attention
written out with a softmax, one small network per pathway, Adam as it comes. Ours: `amkd_core.training.fit` on one
packed float16 file mapped into memory, the teacher's outputs computed once before, fused attention, fused Adam.
Both train the same student on the same objective from the same weights. The sides take turns in slices of the cohort,
so that other work on the machine falls on both. What computing the outputs once has cost is printed beside it. A third
side is an epoch as `amkd-train` runs it by default, in which the student sees a share of each bag
(`distill.patch_share`): less work for an epoch, and no less learnt from it (RESULTS.md).
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median

import numpy as np
import torch
from pathway_encoder import Loop, membership_of
from torch import Tensor

from amkd_core.models import SurvivalModel, attention, build_model
from amkd_core.training.config import DistillConfig, OptimConfig, TrainingConfig
from amkd_core.training.fit import Stage
from amkd_core.training.fit import train_epoch as our_epoch
from amkd_core.training.inputs import Example
from amkd_core.training.objectives import distillation_objective
from amkd_core.training.passes import batch_input
from amkd_core.training.stages import targets_of

N_PATCHES, D_ENCODER, SLICES = 4096, 1024, 3


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--bags", type=int, default=300)
    parser.add_argument("--work", type=Path)
    parser.add_argument("--pathways", type=Path)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.work or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        measure(folder, options.bags, membership_of(options.pathways))


def measure(folder: Path, n_bags: int, membership: Tensor) -> None:
    write_bags(folder, n_bags)
    genes = torch.randn(n_bags, membership.shape[1], generator=torch.Generator().manual_seed(1))
    packed = np.load(folder / "features.npy", mmap_mode="c")
    examples = [
        Example(
            str(i),
            torch.from_numpy(packed[i * N_PATCHES : (i + 1) * N_PATCHES]),
            genes[i],
            i % 4,
            i % 2 == 0,
            1.0 + i,
        )
        for i in range(n_bags)
    ]
    teacher, plain, ours, short, drawn = networks(membership)
    started = time.perf_counter()
    taught = [Example(**{**vars(e), "targets": targets_of(teacher, e, "cpu")}) for e in examples]
    cached = time.perf_counter() - started
    config = TrainingConfig(distill=DistillConfig(pathway_weight=0.0))  # as the plain loop
    seconds: dict[str, list[float]] = {"plain": [], "ours": [], "bfloat16": [], "drawn": []}
    for part in np.array_split(np.arange(n_bags), SLICES):
        with written_out():
            first = plain_loop(plain, with_loop(teacher), [examples[i] for i in part], folder, config)
        seconds["plain"].append(first["all"])
        for name, model, share, precision in (
            ("ours", ours, 1.0, "float32"),
            ("bfloat16", short, 1.0, "bfloat16"),
            ("drawn", drawn, config.distill.patch_share, "float32"),
        ):
            stage = Stage("student", folder, 0, precision=precision, patch_share=share)
            started = time.perf_counter()
            our_epoch(
                model, [taught[i] for i in part], distillation_objective(config), adam(model, fused=True),
                config=OptimConfig(), stage=stage, epoch=1,
            )  # fmt: skip
            seconds[name].append(time.perf_counter() - started)
        last = {name: values[-1] for name, values in seconds.items() if name != "plain"}
        print({name: round(value, 1) for name, value in {**first, **last}.items()}, flush=True)
    print(f"\n{n_bags} bags: the teacher's outputs once: {cached:.1f} s")
    for name in ("ours", "bfloat16", "drawn"):
        ratios = np.divide(seconds["plain"], seconds[name])
        print(f"plain / {name}: median {median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})")
    print_split(ours, taught[: min(8, n_bags)], config)


def write_bags(folder: Path, n_bags: int) -> None:
    """The same bags as one `.pt` each and as one packed float16 file; kept when they are there."""
    if (folder / "features.npy").exists() and (folder / f"{n_bags - 1}.pt").exists():
        return
    shape = (n_bags * N_PATCHES, D_ENCODER)
    packed = np.lib.format.open_memmap(folder / "features.npy", mode="w+", dtype=np.float16, shape=shape)
    for i in range(n_bags):
        bag = torch.randn(N_PATCHES, D_ENCODER, generator=torch.Generator().manual_seed(i)).half()
        packed[i * N_PATCHES : (i + 1) * N_PATCHES] = bag.numpy()
        torch.save(bag.float(), folder / f"{i}.pt")
    packed.flush()


def networks(membership: Tensor) -> tuple[SurvivalModel, ...]:
    """A teacher, and four students that begin alike."""
    sizes = {"d_encoder": D_ENCODER}
    teacher = build_model("amkd_teacher", sizes, membership=membership, seed=0).eval()
    return teacher, *(build_model("amkd_student", sizes, seed=1) for _ in range(4))


def with_loop(teacher: SurvivalModel) -> SurvivalModel:
    """The teacher with one small network per pathway."""
    sizes = {"d_encoder": D_ENCODER}
    other = build_model("amkd_teacher", sizes, membership=teacher.gene_encoder.membership, seed=0).eval()
    other.gene_encoder = Loop(teacher.gene_encoder)
    return other


def adam(model: SurvivalModel, *, fused: bool) -> torch.optim.Adam:
    return torch.optim.Adam(model.parameters(), 5e-5, weight_decay=1e-5, fused=fused)


def plain_loop(
    student: SurvivalModel,
    teacher: SurvivalModel,
    examples: list[Example],
    folder: Path,
    config: TrainingConfig,
) -> dict[str, float]:
    """Seconds by part of a loop as it is usually written."""
    optimiser, objective = adam(student, fused=False), distillation_objective(config)
    spent = dict.fromkeys(("reading", "teacher", "forward", "backward and step"), 0.0)
    student.train()
    for example in examples:
        clock = [time.perf_counter()]
        patches = torch.load(folder / f"{example.patient_id}.pt", weights_only=True)
        read = Example(**{**vars(example), "patches": patches})
        clock.append(time.perf_counter())
        read = Example(**{**vars(read), "targets": targets_of(teacher, read, "cpu")})
        clock.append(time.perf_counter())
        optimiser.zero_grad()
        terms = objective(student(batch_input([read], "cpu")), [read])
        clock.append(time.perf_counter())
        terms["total"].backward()
        optimiser.step()
        clock.append(time.perf_counter())
        for name, start, stop in zip(spent, clock, clock[1:], strict=False):
            spent[name] += stop - start
    return {**spent, "all": sum(spent.values())}


@contextmanager
def written_out() -> Iterator[None]:
    """Attention with its whole matrix, as papers print it."""

    def softmax_attention(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        return torch.softmax(q @ k.transpose(-2, -1) / q.shape[-1] ** 0.5, dim=-1) @ v

    fused = attention.scaled_dot_product_attention
    attention.scaled_dot_product_attention = softmax_attention
    try:
        yield
    finally:
        attention.scaled_dot_product_attention = fused


def print_split(model: SurvivalModel, examples: list[Example], config: TrainingConfig) -> None:
    """Where our time goes, bag by bag."""
    objective, spent = distillation_objective(config), dict.fromkeys(("reading", "forward", "backward"), 0.0)
    for example in examples:
        clock = [time.perf_counter()]
        batch = batch_input([example], "cpu")
        clock.append(time.perf_counter())
        total = objective(model(batch), [example])["total"]
        clock.append(time.perf_counter())
        total.backward()
        clock.append(time.perf_counter())
        for name, start, stop in zip(spent, clock, clock[1:], strict=False):
            spent[name] += stop - start
    whole = sum(spent.values())
    print("ours by part: " + ", ".join(f"{name} {value / whole:.0%}" for name, value in spent.items()))


if __name__ == "__main__":
    main()
