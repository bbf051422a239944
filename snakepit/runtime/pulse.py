"""Heartbeats as the driver does them: pings, answers, and a look at those who do not answer.

What follows from that is decided in `policy.heartbeats`. A process is looked at by /proc, without
the runtime's lock: for each thread its state and how long it has run and waited for a processor, as
the kernel's scheduler counts it.
"""

from __future__ import annotations

import os
import signal
from functools import partial
from time import monotonic
from typing import Final, final

from ..policy import actions as do
from ..policy.heartbeats import Beat, Heartbeats, Reading, Thread
from ..wire import messages as wire
from .connection import Connection
from .core import Core
from .zygotes import Zygotes

NANO: Final = 1e-9

_FAULTS: Final = 9
"""Where the count of major faults is in /proc/PID/stat, behind the name in parentheses."""


def watch(core: Core, zygotes: Zygotes) -> Pulse:
    """Have the workers of a runtime watched as its settings say."""
    config, scheduler = core.config, core.scheduler
    default = None if config.heartbeat is None else Beat(*config.heartbeat)
    pools = {} if default is None else dict.fromkeys(scheduler.placement.pools, default)
    for asked in config.pools:
        if asked.heartbeat is not None:
            pools[asked.name] = Beat(*asked.heartbeat)
    return Pulse(core, zygotes, Heartbeats(scheduler.actions, pools, default))


@final
class Pulse:
    """Feels the pulse of the workers of one runtime."""

    def __init__(self, core: Core, zygotes: Zygotes, heartbeats: Heartbeats) -> None:
        self._core = core
        self._zygotes = zygotes
        self._heartbeats = heartbeats
        core.scheduler.placement.staff.heartbeats = heartbeats
        core.performers[do.Ping] = self._ping
        core.performers[do.Check] = self._check
        core.performers[do.Hang] = self._hang

    # --- actions: the core's lock is held ---------------------------------------------------

    def _ping(self, action: do.Ping) -> None:
        self._core.tell(action.worker, wire.Ping(action.number))

    def _check(self, action: do.Check) -> None:
        connection = self._core.connections.get(action.worker)
        if connection is None:
            return
        if connection.heard >= action.number:
            self._tell(connection, None)
        else:
            self._core.pump.later(partial(self._examine, connection))

    def _hang(self, action: do.Hang) -> None:
        connection = self._core.connections.get(action.worker)
        if connection is not None:
            connection.killed = True
            line = self._zygotes.of(connection.interpreter)
            stopped = _stopped(connection.pid)
            text = headline(connection.pid, action, stopped)
            self._zygotes.send(line, wire.Hung(action.worker, text))
            if stopped:  # It would die of that when it goes on, and not before.
                self._zygotes.send(line, wire.Signal(action.worker, signal.SIGKILL))

    # --- who does not answer ----------------------------------------------------------------

    def _examine(self, connection: Connection) -> None:
        # What lies in the socket is an answer, though nobody has come to read it.
        connection.read_control(self._core.memory.take)
        reading = read(connection.pid)
        self._core.update(partial(self._tell, connection, reading))

    def _tell(self, connection: Connection, reading: Reading | None) -> None:
        started = int.from_bytes(connection.status[:8], "little")
        number, heard = connection.number, connection.heard
        self._heartbeats.checked(number, heard, started, monotonic(), reading)


def headline(pid: int, action: do.Hang, stopped: bool) -> str:
    """Return what is said of a process above its stacks."""
    running = [f"{name} (for {seconds:.3g} s)" for name, seconds in action.calls]
    what = f" while it ran {', '.join(running)}" if running else " and ran nothing"
    why = "it is stopped, and cannot write where" if stopped else "its threads:"
    return (
        f"worker process {pid} has not answered for {action.silent:.3g} s, of which it had "
        f"{action.own:.3g} s for itself,{what}; {why}"
    )


def read(pid: int) -> Reading | None:
    """Return how a process is; None where the kernel does not tell, or if it has ended."""
    begun = monotonic()
    try:
        threads = {int(name): _thread(f"/proc/{pid}/task/{name}") for name in _threads(pid)}
        faults = int(_stat(f"/proc/{pid}")[_FAULTS])
        with open(f"/proc/{pid}/status", "rb") as file:
            traced = any(line.startswith(b"TracerPid:") and int(line[10:]) for line in file)
    except (OSError, ValueError, IndexError):
        return None
    if not any(thread.ran for thread in threads.values()):
        return None  # a kernel that does not count
    return Reading(begun, monotonic(), threads, faults, traced)


def _threads(pid: int) -> list[str]:
    return os.listdir(f"/proc/{pid}/task")


def _thread(path: str) -> Thread:
    with open(f"{path}/schedstat", "rb") as file:
        ran, waited, _ = file.read().split()
    return Thread(_stat(path)[0].decode(), int(ran) * NANO, int(waited) * NANO)


def _stat(path: str) -> list[bytes]:
    with open(f"{path}/stat", "rb") as file:
        return file.read().rpartition(b")")[2].split()


def _stopped(pid: int) -> bool:
    try:
        return _stat(f"/proc/{pid}")[0] == b"T"
    except (OSError, IndexError):
        return False
