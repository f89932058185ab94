"""`amkd cost`: parameters, operations, time and memory of every model."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from amkd_core.cli.terminal import drain, say, user_errors


def cost_command(
    out: Annotated[Path, typer.Option(help="Folder of table, plot and page.")] = Path("cost"),
    models: Annotated[str | None, typer.Option(help="Comma between names; all by default.")] = None,
    patches: Annotated[
        str, typer.Option(help="Comma between numbers of patches.")
    ] = "1000,4096,15000,50000,100000",
    repeats: Annotated[int, typer.Option(min=1, help="Measured passes; the median counts.")] = 5,
    threads: Annotated[int, typer.Option(min=1, help="Threads on the CPU.")] = 1,
    device: Annotated[str, typer.Option(help="cpu, cuda, cuda:1.")] = "cpu",
) -> None:
    """Measure every model side by side: table 7 of the paper. Repeat the command to go on."""
    from amkd_core.errors import ConfigError, FolderInUseError
    from amkd_core.folder_lock import hold_folder
    from amkd_core.inference.forward import check_device
    from amkd_core.studies.cost import MEASURED, measure_all, measured_names
    from amkd_core.studies.cost_record import CostRecord
    from amkd_core.studies.cost_report import REPORT, write_cost
    from amkd_core.training.run_folder import environment

    with user_errors():
        check_device(device)
        names = measured_names([name.strip() for name in models.split(",")] if models else MEASURED)
        try:
            sizes = [int(size) for size in patches.split(",")]
        except ValueError:
            raise ConfigError(f"--patches {patches}: expected whole numbers with commas between") from None
        if min(sizes) < 1:
            raise ConfigError(f"--patches {patches}: every number must be at least 1")
        settings = {"device": device, "threads": threads, "repeats": repeats, **environment()}
        with hold_folder(out, "measures into", FolderInUseError):
            record = CostRecord(out, settings)
            costs = drain(measure_all(names, sizes, record, repeats=repeats, threads=threads, device=device))
            setting = (
                f"{device}, {threads} {'thread' if threads == 1 else 'threads'}, "
                f"median of {repeats} {'pass' if repeats == 1 else 'passes'}"
            )
            if record.n_sittings > 1:
                setting += f", measured in {record.n_sittings} runs of the command, not all side by side"
            table = write_cost(out, costs, setting)
    widths = [max(map(len, column)) for column in zip(table.header, *table.rows, strict=True)]
    for row in (table.header, *table.rows):
        say("  ".join(map(str.ljust, row, widths)).rstrip())
    say(f"Report: {out / REPORT}")
