"""How much memory is a worker's own.

Its own is what is neither shared with the zygote that it was forked from, nor the store's, nor a
file's: what ends with it. `statm` has a bound of that in some microseconds, all but files and
shared memory. What exactly is private the kernel finds by going through all pages, in milliseconds
for each GB; so that is asked only of a worker that the bound does not clear.
"""

from __future__ import annotations

import resource
from typing import Final

PAGE: Final = resource.getpagesize()


def own_memory(pid: int, limit: int) -> int:
    """Return how many bytes are a process's own; 0 if it has ended.

    Args:
        pid: the process.
        limit: what matters: of less the bound is good enough.
    """
    try:
        with open(f"/proc/{pid}/statm", "rb") as file:
            _, resident, shared, *_ = file.read().split()
        bound = (int(resident) - int(shared)) * PAGE
        return bound if bound <= limit else min(bound, _private(pid, bound))
    except (OSError, ValueError):
        return 0


def _private(pid: int, otherwise: int) -> int:
    """Return how many bytes nobody else has mapped; `otherwise` where the kernel does not tell."""
    try:
        with open(f"/proc/{pid}/smaps_rollup", "rb") as file:
            lines = [line.split() for line in file if line.startswith(b"Private_")]
    except OSError:
        return otherwise
    return sum(int(line[1]) << 10 for line in lines) if lines else otherwise
