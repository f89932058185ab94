"""Where `amkd predict` writes the results of each slide, and that no other run writes there meanwhile."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

from amkd_core.cli.terminal import EXIT_FOLDER_IN_USE, EXIT_WRONG_INPUT, say

WRITES = "writes predictions into"
"""What such a run does in a folder, for the sentence that another one is told."""


def result_folders(sources: list[Path], out: Path, *, each: bool = False) -> list[Path]:
    """One folder per source, inside `out`; `out` itself when there is one source.

    Parameters
    ----------
    each
        A single source gets a folder inside `out`, too.

    Raises
    ------
    AmkdError
        When two sources would be written to one folder, on any system, or the folder of one is a link elsewhere.
    """
    from amkd_core.errors import AmkdError
    from amkd_core.file_names import one_on_any_system, safe_file_name
    from amkd_core.slides import slide_id_of

    if out.exists() and not out.is_dir():
        raise AmkdError(f"{out}: is a file, expected a folder for the results (--out)")
    if len(sources) == 1 and not each:
        return [out]
    seen: dict[str, Path] = {}
    names = [safe_file_name(slide_id_of(source)) for source in sources]
    for source, name in zip(sources, names, strict=True):
        key = one_on_any_system(name)
        if key in seen:
            where = "" if names[sources.index(seen[key])] == name else ", on some systems at least"
            raise AmkdError(
                f"{seen[key]} and {source} would both be written to {out / name}{where}; predict them one at a time"
            )
        if (out / name).is_symlink():
            raise AmkdError(
                f"{out / name} is a link that leads elsewhere; remove it, or choose another folder"
            )
        seen[key] = source
    return [out / name for name in names]


def hold_results(folder: Path, held: ExitStack) -> int:
    """Take a folder, until the stack closes; the exit code of what keeps it, which is told."""
    from amkd_core.errors import AmkdError, FolderInUseError
    from amkd_core.folder_lock import hold_folder

    try:
        held.enter_context(hold_folder(folder, WRITES, FolderInUseError))
    except (AmkdError, OSError) as error:
        say(f"Error: {error}", err=True)
        return EXIT_FOLDER_IN_USE if isinstance(error, FolderInUseError) else EXIT_WRONG_INPUT
    return 0
