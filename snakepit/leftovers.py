"""What a piece of code leaves behind in this process: processes, descriptors, shared memory."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, final

from .neighbours import moment, used_by_others

GRACE: Final = 5.0
"""Seconds for the kernel and parents to get round to what has ended."""

_THREADS: Final = Path("/proc/self/task")
_DESCRIPTORS: Final = Path("/proc/self/fd")
_SHARED_MEMORY: Final = Path("/dev/shm")


def wait_until(condition: Callable[[], Any], *, timeout: float = GRACE) -> bool:
    """Wait for a condition; polling, because what is waited for lies outside this process.

    Args:
        condition: called until it returns something true.
        timeout: seconds.

    Returns:
        Whether the condition came true in time.
    """
    end = time.monotonic() + timeout
    pause = 0.0005
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(pause)
        pause = min(pause * 2, 0.05)
    return True


def _may_have_children() -> bool:
    """Tell whether this process has a child; True where the kernel does not list them.

    Who has no child has no descendant. Psutil reads the status of every process of the machine to
    find that out, which is most of what a census costs.
    """
    try:
        # The main thread last: it inherits the children of a thread that ends meanwhile.
        threads = sorted(_THREADS.iterdir(), key=lambda thread: int(thread.name), reverse=True)
        return any((thread / "children").read_text() for thread in threads)
    except OSError:  # a thread ended, or there is no such file
        return True


def _processes() -> dict[str, str]:
    if not _may_have_children():
        return {}
    import psutil

    found = {}
    for child in psutil.Process().children(recursive=True):
        try:
            name = " ".join(child.cmdline()) or child.name()
            found[f"pid {child.pid}"] = f"{child.status()}: {name[:120]}"
        except psutil.ZombieProcess:  # has ended, and nobody has waited for it
            found[f"pid {child.pid}"] = psutil.STATUS_ZOMBIE
        except psutil.NoSuchProcess:
            continue
    return found


def _descriptors() -> dict[str, str]:
    found = {}
    for entry in _DESCRIPTORS.iterdir() if _DESCRIPTORS.exists() else ():
        try:
            target = str(entry.readlink())
        except FileNotFoundError:  # the descriptor of the listing itself
            continue
        found[f"fd {entry.name}"] = target
    return found


def _names() -> set[str]:
    return set(map(str, _SHARED_MEMORY.iterdir())) if _SHARED_MEMORY.exists() else set()


_KINDS: Final[dict[str, Callable[[], dict[str, str]]]] = {
    "processes": _processes,
    "descriptors": _descriptors,
}


@final
class Census:
    """What there was when it was made, to compare with later.

    Of shared memory, which the whole machine shares, all new names count but those that other
    processes use, be they of another run of tests.
    """

    def __init__(self) -> None:
        self._before = {kind: count() for kind, count in _KINDS.items()}
        self._names = _names()
        self._moment = moment() if _SHARED_MEMORY.exists() else 0

    def surplus(self) -> list[str]:
        """Return a line for each kind of which there is more by now, naming what is new."""
        lines = []
        for kind, count in _KINDS.items():
            before, now = self._before[kind], count()
            # By number, not by name: a library may close one descriptor and open another.
            if len(now) > len(before):
                new = [f"{key} ({now[key]})" for key in now if now[key] != before.get(key)]
                lines.append(f"{kind}: {', '.join(new)}")
        # By name: others make and remove theirs meanwhile, so that the number says nothing.
        if names := _names() - self._names:
            names -= used_by_others(names, self._moment)
        if names:
            lines.append(f"shared memory: {', '.join(sorted(names))}")
        return lines

    def left(self) -> str:
        """Return what is still more after a grace period; empty if nothing is."""
        if wait_until(lambda: not self.surplus(), timeout=GRACE):
            return ""
        return "; ".join(self.surplus())
