"""How much memory a process may map: a file that asks for more fails in it, and nowhere else."""

from __future__ import annotations

import sys


def limit_address_space(most_bytes: int | None) -> None:
    """Let this process map so many bytes at most, or as many as the system allows it; without effect off Linux.

    Parameters
    ----------
    most_bytes
        None lifts an earlier limit.
    """
    if not sys.platform.startswith("linux"):
        return
    import resource

    hard = resource.getrlimit(resource.RLIMIT_AS)[1]
    limits = [limit for limit in (most_bytes, hard) if limit is not None and limit != resource.RLIM_INFINITY]
    resource.setrlimit(resource.RLIMIT_AS, (min(limits, default=resource.RLIM_INFINITY), hard))
