"""How long a process takes until its first training step is done, and the memory it has then.

Run: python benchmarks/training_start.py [--rounds 5]

Fresh processes in turns: one that makes a network and one step of Adam as torch gives it, and one with ours, which
loads no compiler (`amkd_core.training.optimisers`). Prints CPU seconds, seconds and peak memory, and ratios by round.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time

import numpy as np

CHILD = """
import json, resource, sys
import torch
from {module} import Adam
model = torch.nn.Linear(64, 4)
optimiser = Adam(model.parameters(), 1e-4, fused=True)
model(torch.ones(8, 64)).square().mean().backward()
optimiser.step()
used = resource.getrusage(resource.RUSAGE_SELF)
print(json.dumps([used.ru_utime + used.ru_stime, used.ru_maxrss / 1024]))
"""
SIDES = {"torch": "torch.optim", "ours": "amkd_core.training.optimisers"}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    for name in SIDES:  # files come into the system's memory
        measure(name)
    found = {name: [] for name in SIDES}
    for _ in range(rounds):
        for name in SIDES:
            found[name].append(measure(name))
    values = {name: np.array(rows) for name, rows in found.items()}
    print("             CPU s, median (min to max)   s                      peak MB")
    for name, rows in values.items():
        cells = [f"{np.median(part):6.2f} ({part.min():.2f} to {part.max():.2f})" for part in rows.T[:2]]
        print(f"{name:<12} {cells[0]:<28} {cells[1]:<22} {np.median(rows[:, 2]):.0f}")
    for place, what in enumerate(("CPU seconds", "seconds")):
        ratios = values["torch"][:, place] / values["ours"][:, place]
        print(f"{what}: {np.median(ratios):.1f} times less ({ratios.min():.1f} to {ratios.max():.1f})")


def measure(name: str) -> tuple[float, float, float]:
    """CPU seconds, seconds and peak MB of one process."""
    began = time.perf_counter()
    code = CHILD.format(module=SIDES[name])
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    cpu_s, peak = json.loads(done.stdout)
    return cpu_s, time.perf_counter() - began, peak


if __name__ == "__main__":
    main()
