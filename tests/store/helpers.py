"""What several tests of the store share."""

from __future__ import annotations

import os
import signal
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from snakepit.store import Arena, Copy, Ledger, Mappings, reopen_read_only
from snakepit.store.copying import copy_all

MiB = 1 << 20


def fork(body: Callable[[], None]) -> int:
    """Run `body` in a forked child, which exits with 0 if it returns; give back its pid."""
    pid = os.fork()
    if pid:
        return pid
    code = 1
    signal.alarm(60)  # a child that hangs or pauses outlives no failed test
    try:
        body()
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(code)


def ended_well(*pids: int) -> bool:
    """Wait for every one of them, also after one that failed."""
    statuses = [os.waitpid(pid, 0)[1] for pid in pids]
    return not any(statuses)


def count_fds() -> int:
    return len(os.listdir("/proc/self/fd"))


def mapped(name: str) -> int:
    """How many mappings of a memory file this process has."""
    with open("/proc/self/maps") as lines:
        return sum(f"/memfd:{name} " in line for line in lines)


def backed(fd: int) -> int:
    """Bytes of memory behind a descriptor, as the kernel counts them."""
    return os.fstat(fd).st_blocks * 512


@contextmanager
def a_ledger(limit: int = 64 * MiB, slots: int = 8) -> Iterator[Ledger]:
    ledger = Ledger.create(slots, limit)
    try:
        yield ledger
    finally:
        ledger.close()


@contextmanager
def an_arena(
    limit: int = 64 * MiB, size: int | None = None, number: int = 3, copy: Copy = copy_all
) -> Iterator[tuple[Arena, Ledger, Mappings]]:
    """An arena with its ledger, and mappings that can read it."""
    with a_ledger(limit) as ledger:
        arena = Arena(number, size or limit, ledger, 1, copy)
        mappings = Mappings()
        try:
            mappings.add(number, reopen_read_only(arena.fd), arena.size)
            yield arena, ledger, mappings
        finally:
            mappings.close()
            arena.close()
