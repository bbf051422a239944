"""What dead runs left, processes and files, found and removed.

A run whose driver has died is ended by its own zygote within moments, which alone knows what its
workers started without the run's mark. So a zygote that still lives gets the time to do so; one
that does not end, because it was stopped or hangs, is killed with the rest.
"""

from __future__ import annotations

import os
import select
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

from ..deadline import Deadline
from ..registry import Process, Record, dead_runs, remove
from .orphans import Orphan, end_orphans, find_orphans

ZYGOTE_ENDS: Final = 1.0
"""Seconds that the zygotes of dead drivers have to end what is theirs."""

PROCESSES_END: Final = 1.0
_LOOK: Final = 0.02


class Swept(NamedTuple):
    """What was ended and removed, or would be.

    Attributes:
        runs: ids of the dead runs that had a file in the register.
        orphans: processes, also of dead runs that had none.
        files: names of files in the register.
    """

    runs: list[str]
    orphans: list[Orphan]
    files: list[str]


def sweep(*, dry_run: bool = False) -> Swept:
    """Remove what all dead runs left, with a file in the register or without one.

    Args:
        dry_run: only look.
    """
    dead = dead_runs()
    runs = [record.run for record in dead]
    if dry_run:
        return Swept(runs, find_orphans(), _remove(runs, dry_run=True))
    await_zygotes(dead, Deadline.after(ZYGOTE_ENDS))
    orphans = end_orphans(None, Deadline.after(PROCESSES_END))
    return Swept(runs, orphans, _remove(runs))


def sweep_registered(dead: Sequence[Record], stopped: Callable[[], bool] = lambda: False) -> None:
    """Remove what these dead runs left.

    Args:
        dead: of the register.
        stopped: tells that there is no more time; what is left then is the next start's.
    """
    await_zygotes(dead, Deadline.after(ZYGOTE_ENDS), stopped)
    if not stopped():
        runs = [record.run for record in dead]
        end_orphans(runs, Deadline.after(PROCESSES_END))
        _remove(runs)


def await_zygotes(
    dead: Sequence[Record], deadline: Deadline, stopped: Callable[[], bool] = lambda: False
) -> None:
    """Wait for the ends of dead drivers' zygotes, which are at it."""
    poll = select.poll()
    waited = [fd for record in dead for zygote in record.zygotes if (fd := _open(zygote)) >= 0]
    try:
        for fd in waited:
            poll.register(fd, select.POLLIN)
        left = len(waited)
        while left and not deadline.expired and not stopped():
            for fd, _ in poll.poll(_LOOK * 1000):
                poll.unregister(fd)
                left -= 1
    finally:
        for fd in waited:
            os.close(fd)


def _open(process: Process) -> int:
    """Return a pidfd of a process, or -1 if it has ended."""
    if not process.lives():
        return -1
    try:
        pidfd = os.pidfd_open(process.pid)
    except OSError:
        return -1
    if process.lives():
        return pidfd
    os.close(pidfd)  # its pid went to another one between the look and the opening
    return -1


def _remove(runs: Sequence[str], *, dry_run: bool = False) -> list[str]:
    return [name for run in runs for name in remove(run, dry_run=dry_run)]
