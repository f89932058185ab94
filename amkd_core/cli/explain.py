"""`amkd explain`: what a bundle attends to over a cohort."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from amkd_core.cli.evaluate import cohort_to_score, cohort_with_bags
from amkd_core.cli.terminal import DeviceOption, chosen_device, drain, say, say_lines, user_errors


def explain_command(
    bundle: Annotated[Path, typer.Option(help="Model bundle (.amkd) with its teacher.")],
    cohort: Annotated[Path, typer.Option(help="TOML file of a cohort with expression.")],
    out: Annotated[Path, typer.Option(help="Folder of tables and pictures.")] = Path("explanation"),
    bags: Annotated[Path | None, typer.Option(help="Folder of the cohort's bags, such as RUN/bags.")] = None,
    jobs: Annotated[int, typer.Option(min=1, help="Worker processes for slides without a bag.")] = 2,
    device: DeviceOption = None,
) -> None:
    """Rank pathways over a cohort, and compare teacher's and student's maps slide by slide (research use only)."""
    from amkd_core.bundle_file import open_bundle
    from amkd_core.training.explain import explain_bundle, genes_to_explain
    from amkd_core.training.folder_owner import EXPLAIN, result_folder

    with user_errors():
        model, asked = open_bundle(bundle), cohort_to_score(cohort, bags)
        with result_folder(out, EXPLAIN):
            patients, features = cohort_with_bags(
                asked, out, named=bags is not None, jobs=jobs, device=chosen_device(device),
                before=lambda *_: genes_to_explain(asked, model),
            )  # fmt: skip
            found = drain(explain_bundle(patients, model, features, out=out, device=chosen_device(device)))
    say_lines(("SYNTHETIC: " if found.synthetic else "") + str(found))
    say(f"Results: {out}")
