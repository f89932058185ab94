"""The batched pathway encoder beside a loop over one small network per pathway; both give the same tokens.

    python benchmarks/pathway_encoder.py [--pathways FILE.gmt] [--repeats 15]

331 pathways on 4,999 genes, one patient. Without a file, pathway sizes are drawn to have its median and mean (8, 29).
Both sides hold the same weights and take turns; the ratio is taken within a repeat. A training step is forward,
backward and one step of Adam: the loop with Adam as torch gives it and with the fused one, ours with the fused one.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from statistics import median

import numpy as np
import torch
from torch import Tensor, nn

from amkd_core.cohort.pathways import cover, read_gmt
from amkd_core.models.pathway_encoder import PathwayEncoder

N_PATHWAYS, N_GENES, DIM, HIDDEN = 331, 4999, 256, (32,)


class Loop(nn.Module):
    """One perceptron per pathway, called one after another, with the weights of a `PathwayEncoder`."""

    def __init__(self, encoder: PathwayEncoder) -> None:
        super().__init__()
        self.members = [torch.nonzero(row).flatten() for row in encoder.membership]
        starts = [0, *np.cumsum([len(genes) for genes in self.members]).tolist()]
        self.networks = nn.ModuleList()
        for k, (start, stop) in enumerate(pairwise(starts)):
            weights = [encoder.gene_weight[start:stop].T]
            weights += [block[k].T for block in encoder.block_weights]
            layers: list[nn.Module] = []
            for weight, bias in zip(weights, encoder.biases, strict=True):
                layer = nn.Linear(weight.shape[1], weight.shape[0])
                layer.weight.data.copy_(weight.data)
                layer.bias.data.copy_(bias.data[k])
                layers += [layer, nn.GELU()]
            self.networks.append(nn.Sequential(*layers[:-1]))

    def forward(self, genes: Tensor) -> Tensor:
        tokens = [
            network(genes[:, index]) for network, index in zip(self.networks, self.members, strict=True)
        ]
        return torch.stack(tokens, dim=1)


def membership_of(path: Path | None) -> Tensor:
    if path is not None:
        sets = read_gmt(path)
        measured = sorted(set().union(*(item.genes for item in sets)))
        return torch.from_numpy(cover(sets, measured).matrix)
    rng = np.random.default_rng(0)
    sizes = np.clip(np.round(np.exp(rng.normal(np.log(8), 1.55, N_PATHWAYS))), 1, 199).astype(int)
    matrix = np.zeros((N_PATHWAYS, N_GENES), dtype=bool)
    for row, size in zip(matrix, sizes, strict=True):
        row[rng.choice(N_GENES, size, replace=False)] = True
    return torch.from_numpy(matrix)


def step_of(model: nn.Module, genes: Tensor, *, fused: bool) -> Callable[[], None]:
    optimiser = torch.optim.Adam(model.parameters(), 1e-5, fused=fused)

    def step() -> None:
        optimiser.zero_grad(set_to_none=True)
        model(genes).square().mean().backward()
        optimiser.step()

    return step


def forward_of(model: nn.Module, genes: Tensor) -> Callable[[], None]:
    def forward() -> None:
        with torch.inference_mode():
            model(genes)

    return forward


def milliseconds(run: Callable[[], None]) -> float:
    started = time.perf_counter()
    run()
    return (time.perf_counter() - started) * 1e3


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pathways", type=Path)
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    ours = PathwayEncoder(membership_of(options.pathways), DIM, HIDDEN)
    loop = Loop(ours)
    genes = torch.randn(1, ours.n_genes)
    difference = float((ours(genes) - loop(genes)).detach().abs().max())
    print(
        f"{ours.n_pathways} pathways, {ours.n_genes} genes; largest difference of tokens {difference:.1e}\n"
    )
    pairs = {
        "forward": (forward_of(loop, genes), forward_of(ours, genes)),
        "forward, backward, step; loop with Adam as it comes": (
            step_of(loop, genes, fused=False),
            step_of(ours, genes, fused=True),
        ),
        "the same; loop with fused Adam too": (
            step_of(loop, genes, fused=True),
            step_of(ours, genes, fused=True),
        ),
    }
    print("| what | loop ms | ours ms | ratio median (min to max) |\n|---|---|---|---|")
    for name, (theirs, mine) in pairs.items():
        for run in (theirs, mine):
            milliseconds(run)
        both = [(milliseconds(theirs), milliseconds(mine)) for _ in range(options.repeats)]
        ratios = [first / second for first, second in both]
        print(
            f"| {name} | {median(first for first, _ in both):.1f} | {median(second for _, second in both):.2f} | "
            f"{median(ratios):.1f} ({min(ratios):.1f} to {max(ratios):.1f}) |"
        )


if __name__ == "__main__":
    main()
