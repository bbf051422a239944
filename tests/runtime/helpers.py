"""Gates, counters and looks into the scheduler's tables, for tests on real processes."""

from __future__ import annotations

import gc
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from snakepit import protocol

PATIENCE = 30.0
"""Seconds within which what is waited for must come, however busy the machine."""


def wait_until(condition: Callable[[], Any], *, timeout: float = PATIENCE) -> bool:
    """Poll until the condition is true; False when the time is over."""
    end = time.monotonic() + timeout
    pause = 0.001
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(pause)
        pause = min(2 * pause, 0.02)
    return True


class Gate(NamedTuple):
    """Something that happens once, seen by all processes: the file at `path` comes to exist."""

    path: str

    def open(self) -> None:
        Path(self.path).touch()

    @property
    def is_open(self) -> bool:
        return os.path.exists(self.path)

    def wait(self) -> None:
        if not wait_until(lambda: self.is_open):
            raise TimeoutError(f"{self.path} was not opened")


class Tally(NamedTuple):
    """Counts what happens in any process: one byte in a file for each."""

    path: str

    def add(self) -> int:
        """Count one more; return how many there are."""
        with open(self.path, "ab", buffering=0) as file:
            file.write(b"x")
            return file.tell()  # just after this very byte, whoever else appends

    @property
    def count(self) -> int:
        return os.path.getsize(self.path) if os.path.exists(self.path) else 0


def core() -> Any:
    """The inner part of the driver's runtime."""
    runtime: Any = protocol.current()
    return runtime._core


def entries() -> dict[int, Any]:
    """The scheduler's objects and actors, after everything noted was counted."""
    inner = core()
    inner.update(lambda: None)
    return dict(inner.entries)


def resources_are_free() -> bool:
    """Tell whether nothing uses any resource."""
    resources = core().scheduler.resources
    return all(resources.free[name] == total for name, total in resources.total.items())


def is_settled() -> bool:
    """Tell whether no object, actor, waiter or use of a resource is left."""
    gc.collect()
    return not entries() and not core().waiters and resources_are_free()


def let_time_run_out(begun: Callable[[], Any], count: int = 1) -> None:
    """Wait until calls are where they should be; the time of those with a limit is then over.

    A limit of a tenth of a second would hope that they get there by then.

    Args:
        begun: tells that they are there.
        count: how many have a limit; that they have begun is told by another way than `begun`.
    """
    assert wait_until(begun)
    inner = core()
    timeouts = inner.scheduler.timeouts

    def run_out() -> bool:
        workers = inner.scheduler.placement.workers
        living = {number: timeouts._living(workers[number]) for number in timeouts._running}
        if sum(map(len, living.values())) < count:
            return False
        now = time.monotonic()
        for number, entries in living.items():
            timeouts._running[number] = {call: (at[0], now, at[2]) for call, at in entries.items()}
            timeouts._armed[number] = now
            timeouts.look(number, now)
        return True

    assert wait_until(lambda: inner.update(run_out))


def stored_values() -> int:
    """How many values lie in the arenas of the driver and of dead workers."""
    inner = core()
    inner.update(lambda: None)
    memory = inner.memory
    arenas = [memory.values._arena, *memory.adopted.values()]
    return sum(arena.live for arena in arenas if arena is not None)
