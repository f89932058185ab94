"""`amkd cost`: what a prediction costs, every model side by side in one run (table 7)."""

from __future__ import annotations

import gc
import json
import math
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import asdict, dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from amkd_core.errors import ConfigError, WorkerError
from amkd_core.progress import Progress

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from amkd_core.models import ModelInput, SurvivalModel
    from amkd_core.studies.cost_record import CostRecord

D_ENCODER, GENES, PATHWAYS, MEMBERSHIPS = 1024, 4999, 331, 9745
GROUP_SIZES: Mapping[str, tuple[int, ...]] = MappingProxyType(
    dict.fromkeys(("mcat", "ghanet"), (53, 173, 216, 252, 387, 200))
)
LARGEST_COUNTED, COUNTED_SIZES = 4096, (1024, 2025, 4096)
PATCHES = (1_000, 4_096, 15_000, 50_000, 100_000)
MEASURED = (
    "amkd_student", "abmil", "transmil", "dsmil", "mcat", "survpath", "pomp_style", "ghanet", "abmil_cat",
    "transmil_cat", "dsmil_cat", "smlp", "snn", "mlp", "amkd_teacher",
)  # fmt: skip


@dataclass(frozen=True)
class Cost:
    """One model at one size of bag; a forward pass of one patient.

    Attributes
    ----------
    n_parameters : int
    linear_macs : int
        Multiplications and additions of linear layers and convolutions that are modules, counted once each, as the
        convention behind the paper's MCAT row (thop) does: attention and what attention modules hold inside is not
        in it, nor batched products of many small layers.
    flops : int
        Two for each multiplication and addition of every matrix product, convolution and attention.
    seconds : float
        Median of the measured passes.
    peak_mib : float
        Most memory held during a pass beyond what was held before it.
    """

    model: str
    n_patches: int
    n_parameters: int
    linear_macs: int
    flops: int
    seconds: float
    peak_mib: float


def measured_names(names: Sequence[str]) -> list[str]:
    """Models by name, each once; the student may be called `amkd`, as in comparisons.

    Raises
    ------
    ConfigError
        When a name is unknown.
    """
    found = list(dict.fromkeys("amkd_student" if name == "amkd" else name for name in names))
    for name in found:
        if name not in MEASURED:
            raise ConfigError(
                f"there is no model {name!r} to measure; known are amkd, {', '.join(MEASURED[1:])}"
            )
    return found


def measure_all(
    models: Sequence[str],
    sizes: Sequence[int],
    record: CostRecord,
    *,
    repeats: int = 5,
    threads: int = 1,
    device: str = "cpu",
) -> Generator[Progress, None, list[Cost]]:
    """Cost of every model at every size, in an order that goes round the models, each in a process of its own.

    A process of its own shows its own memory, and no model profits from what another one left in a cache. What the
    record holds is not measured again.

    Raises
    ------
    WorkerError
        When a process dies, as where memory runs out.
    """
    found: list[Cost] = []
    plan = [(size, name) for size in sizes for name in models]
    for number, (size, name) in enumerate(plan):
        before = record.find(name, size)
        if before is not None:
            found.append(before)
            continue
        yield Progress("Measuring", number, len(plan), f"{name}, {size} patches")
        task = {"model": name, "n_patches": size, "repeats": repeats, "threads": threads, "device": device}
        done = subprocess.run(
            [sys.executable, "-m", "amkd_core.studies.cost", json.dumps(task)],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        if done.returncode:
            last = done.stderr.strip().splitlines()[-1:] or ["killed, as where memory runs out"]
            raise WorkerError(
                f"{name} at {size} patches could not be measured: {last[0]}; what was measured is kept: repeat the "
                "command to go on, with fewer --models or --patches if memory ran out"
            )
        found.append(Cost(**json.loads(done.stdout)))
        record.add(found[-1])
    yield Progress("Measuring", len(plan), len(plan))
    return found


def measure(name: str, n_patches: int, *, repeats: int = 5, device: str = "cpu") -> Cost:
    """Cost of one model in this process, at the paper's sizes: 1,024 features, 4,999 genes in 331 pathways."""
    import torch

    model = paper_model(name).to(device).eval().requires_grad_(False)
    inputs = _inputs(n_patches).to(device)
    with torch.inference_mode():
        macs, flops = (at_any_size(model, n_patches, count) for count in (linear_macs, count_flops))
        seconds = _seconds(model, inputs, repeats)
        peak = _peak_mib(model, inputs)
    n_parameters = sum(parameter.numel() for parameter in model.parameters())
    return Cost(name, n_patches, n_parameters, macs, flops, seconds, peak)


def paper_model(name: str) -> SurvivalModel:
    """A model at the paper's sizes, with a membership of as many genes; which genes changes no cost."""
    import torch

    from amkd_core.models import READS_SLIDES, build_model

    membership = torch.zeros(PATHWAYS, GENES, dtype=torch.bool)
    for row in range(PATHWAYS):
        size = MEMBERSHIPS // PATHWAYS + (row < MEMBERSHIPS % PATHWAYS)
        membership[row, torch.arange(row * 15, row * 15 + size) % GENES] = True
    if name in GROUP_SIZES:
        membership, start = torch.zeros(6, GENES, dtype=torch.bool), 0
        for row, size in enumerate(GROUP_SIZES[name]):
            membership[row, start : start + size] = True
            start += size
    config = {"d_encoder": D_ENCODER} if READS_SLIDES[name] else {}
    return build_model(name, config, membership=membership)


def _inputs(n_patches: int) -> ModelInput:
    import torch

    from amkd_core.models import ModelInput

    generator = torch.Generator().manual_seed(0)
    patches = torch.randn(n_patches, D_ENCODER, generator=generator)
    return ModelInput(patches, (n_patches,), torch.randn(1, GENES, generator=generator))


def linear_macs(model: SurvivalModel, inputs: ModelInput) -> int:
    """Multiplications and additions of `Linear` and convolution modules, biases apart.

    The pathways' own layers, which are slices of one batched product here, count as the linear layers that they are.
    """
    from torch import nn

    from amkd_core.models.pathway_encoder import PathwayEncoder

    total = 0

    def add(module: torch.nn.Module, _: Any, output: Tensor) -> None:
        nonlocal total
        if isinstance(module, nn.Linear):
            total += output.numel() * module.in_features
        elif isinstance(module, nn.Conv2d):
            total += output.numel() * module.weight[0].numel()
        elif isinstance(module, PathwayEncoder):
            total += len(output) * sum(p.numel() for p in (module.gene_weight, *module.block_weights))

    kinds = (nn.Linear, nn.Conv2d, PathwayEncoder)
    hooks = [item.register_forward_hook(add) for item in model.modules() if isinstance(item, kinds)]
    try:
        model(inputs)
    finally:
        for hook in hooks:
            hook.remove()
    return total


def count_flops(model: SurvivalModel, inputs: ModelInput) -> int:
    """All FLOPs of a pass with attention written out, by torch's own counter."""
    from torch.nn.attention import SDPBackend, sdpa_kernel
    from torch.utils.flop_counter import FlopCounterMode

    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        model(inputs)
    return int(counter.get_total_flops())


def at_any_size(
    model: SurvivalModel, n_patches: int, count: Callable[[SurvivalModel, ModelInput], int]
) -> int:
    """A count at a size at which attention cannot be written out.

    It is a polynomial of the second degree in the size of the bag, which three smaller bags fix. TransMIL fills its
    bag up to a square, so its own size is that square's, which
    counts up to 0.1 % too much.
    """
    import numpy as np

    device = next(model.parameters()).device
    if n_patches <= LARGEST_COUNTED:
        return count(model, _inputs(n_patches).to(device))
    squares = model.name.startswith("transmil")
    counts = [count(model, _inputs(size).to(device)) for size in COUNTED_SIZES]
    points = np.array([_laid_out(size, squares) for size in COUNTED_SIZES], dtype=np.float64)
    coefficients = np.linalg.solve(np.vander(points / points[-1], 3), np.array(counts, dtype=np.float64))
    return round(float(np.polyval(coefficients, _laid_out(n_patches, squares) / points[-1])))


def _laid_out(n_patches: int, squares: bool) -> int:
    return (math.isqrt(n_patches - 1) + 1) ** 2 if squares else n_patches


def _seconds(model: SurvivalModel, inputs: ModelInput, repeats: int) -> float:
    """Median of some passes; the first of several only warms up."""
    found = []
    for _ in range(repeats + (repeats > 1)):
        start = time.perf_counter()
        model(inputs).logits.cpu()
        found.append(time.perf_counter() - start)
    return statistics.median(found[-repeats:])


def _peak_mib(model: SurvivalModel, inputs: ModelInput) -> float:
    """On the CPU the largest sum of tensors alive at once, counted by torch's allocator; on a GPU its own record."""
    import torch

    gc.collect()
    if inputs.patches.is_cuda:
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        model(inputs)
        return (torch.cuda.max_memory_allocated() - before) / 2**20
    from torch.profiler import ProfilerActivity, profile

    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as record:
        model(inputs)
    held, most = 0, 0
    for event in sorted(record.profiler.kineto_results.events(), key=lambda item: item.start_ns()):
        if event.name() == "[memory]":
            held += event.nbytes()
            most = max(most, held)
    return most / 2**20


def main(task: str) -> None:
    """Measure one task of `measure_all` and answer with it."""
    import torch

    settings = json.loads(task)
    torch.set_num_threads(settings.pop("threads"))
    found = measure(
        settings["model"], settings["n_patches"], repeats=settings["repeats"], device=settings["device"]
    )
    sys.stdout.write(json.dumps(asdict(found)))


if __name__ == "__main__":
    main(sys.argv[1])
