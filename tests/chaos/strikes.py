"""Kills processes of the runtime that this process drives, at a steady pace, by seeded dice."""

from __future__ import annotations

import os
import random
import signal
import threading
from pathlib import Path
from typing import Any, final

import psutil


def kill_child(pid: int, parent: int) -> bool:
    """Kill a process by SIGKILL if it still is a child of `parent`; tell whether it was."""
    try:
        handle = os.pidfd_open(pid)
    except ProcessLookupError:
        return False
    try:
        # By now the number means one process for good.
        state, of = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[:2]
        if int(of) != parent or state in "ZX":
            return False
        signal.pidfd_send_signal(handle, signal.SIGKILL)
    except (OSError, ProcessLookupError):
        return False
    finally:
        os.close(handle)
    return True


def has_children(pid: int) -> bool:
    """Tell whether a process lives and has a child."""
    try:
        return bool(psutil.Process(pid).children())
    except psutil.NoSuchProcess:
        return False


@final
class Strikes:
    """A thread that kills a random worker every `every` seconds, and the zygote every `zygotes`.

    Args:
        runtime: the driver's.
        every: seconds between workers; 0: none.
        zygotes: seconds between zygotes; 0: none.
        seed: of the dice that choose.

    Attributes:
        workers, zygotes: how many were killed.
    """

    def __init__(self, runtime: Any, every: float, zygotes: float, seed: int) -> None:
        self._runtime = runtime
        self._dice = random.Random(seed)
        self._over = threading.Event()
        self.workers = 0
        self.zygotes = 0
        paces = [(every, self._worker), (zygotes, self._zygote)]
        self._threads = [
            threading.Thread(target=self._repeat, args=pace) for pace in paces if pace[0]
        ]

    def __enter__(self) -> Strikes:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()

    def _repeat(self, pause: float, strike: Any) -> None:
        while not self._over.wait(pause):
            strike()

    def _worker(self) -> None:
        core = self._runtime._core
        with core.lock:
            pids = sorted(each.pid for each in core.connections.values() if each.pid)
        self._dice.shuffle(pids)
        zygote = self._runtime._processes.zygotes.home.zygote.pid
        self.workers += any(kill_child(pid, zygote) for pid in pids)

    def _zygote(self) -> None:
        pid = self._runtime._processes.zygotes.home.zygote.pid
        # One that dies again and again before it is ready ends the runtime, and rightly so.
        if has_children(pid):
            self.zygotes += kill_child(pid, os.getpid())
