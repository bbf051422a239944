"""Ends what a run left behind when its zygote could not.

Every process of a run carries `SNAKEPIT_RUN=<run>:<worker>` in its environment from its exec on,
and so do the processes that tasks start. A process is opened by pidfd and looked at once more
before it is killed, so that a recycled pid costs nobody's life. Processes of another user or
another pid namespace (a container seen from its host) are never touched: in the latter a run's
driver has a pid that says nothing here.

Where there is no /proc these functions find nothing.
"""

from __future__ import annotations

import os
import select
import signal
from collections.abc import Callable, Collection, Iterator
from typing import NamedTuple

from ..deadline import Deadline
from .handover import MARK

_FIELD = MARK.encode() + b"="


class Orphan(NamedTuple):
    """A process of a dead run: its pid, the run that it is marked with, and its name."""

    pid: int
    run: str
    name: str


def end_marked(run: str, sessions: Collection[int] = (), deadline: Deadline | None = None) -> int:
    """Kill every process that belongs to `run`, and what those start meanwhile.

    Args:
        run: the run's id.
        sessions: pids of the run's workers; the members of their sessions belong to it as well,
            whatever their environment says.
        deadline: when to give up on processes that do not die; by default 1 s from now.

    Returns:
        How many processes were ended.
    """
    leaders = frozenset(sessions)

    def belongs(pid: int) -> bool:
        return _run_of(pid) == run or (bool(leaders) and _session_of(pid) in leaders)

    return len(_end(belongs, deadline or Deadline.after(1.0)))


def end_unready(run: str, name: str) -> int:
    """Kill what the driver of `run`, which is dead, started for zygotes and what never became one.

    An interpreter that hangs before it is a zygote does not look after its driver. Each zygote that
    is one ends its own processes.

    Args:
        run: the run's id; the driver's other zygotes have others, which name the same driver.
        name: what a process is called that has become a zygote.
    """
    driver = _driver_of(run) + "-"

    def belongs(pid: int) -> bool:
        mark = _mark_of(pid)
        return mark.startswith(driver) and mark.endswith(":0") and _name_of(pid) != name

    return len(_end(belongs, Deadline.after(1.0)))


def clean_dead_runs(deadline: Deadline | None = None) -> int:
    """Kill every process whose run's driver is dead; return how many were ended.

    Args:
        deadline: when to give up on processes that do not die; by default 0.5 s from now.
    """
    return len(_end(_is_of_dead_run(), deadline or Deadline.after(0.5)))


def end_orphans(runs: Collection[str] | None, deadline: Deadline) -> list[Orphan]:
    """Kill the processes of dead runs; return which.

    Args:
        runs: ids of runs; also what else their drivers have run is meant. None: of all.
        deadline: when to give up on processes that do not die.
    """
    return _end(_is_of_dead_run(runs), deadline)


def find_orphans() -> list[Orphan]:
    """Return the processes of all dead runs, and touch none."""
    belongs = _is_of_dead_run()
    return [_orphan(pid) for pid in _own_processes() if belongs(pid)]


def _is_of_dead_run(runs: Collection[str] | None = None) -> Callable[[int], bool]:
    from ..ids import run_is_alive

    drivers = None if runs is None else {_driver_of(run) for run in runs}
    alive: dict[str, bool] = {}

    def belongs(pid: int) -> bool:
        run = _run_of(pid)
        if not run or (drivers is not None and _driver_of(run) not in drivers):
            return False
        if run not in alive:
            alive[run] = run_is_alive(run)
        return not alive[run]

    return belongs


def _driver_of(run: str) -> str:
    return run.rpartition("-")[0]


def _orphan(pid: int) -> Orphan:
    return Orphan(pid, _run_of(pid), _name_of(pid))


def _end(belongs: Callable[[int], bool], deadline: Deadline) -> list[Orphan]:
    ended: list[Orphan] = []
    spared = {os.getpid()}
    while not deadline.expired:
        found = [pid for pid in _own_processes() if pid not in spared and belongs(pid)]
        if not found:
            break
        killed: list[int] = []
        try:
            for pid in found:
                orphan = _orphan(pid)
                before = len(killed)
                if not _kill(pid, belongs, killed):
                    spared.add(pid)
                elif len(killed) > before:
                    ended.append(orphan)
            _await_ends(killed, deadline)
        finally:
            for pidfd in killed:
                os.close(pidfd)
    return ended


def _kill(pid: int, belongs: Callable[[int], bool], killed: list[int]) -> bool:
    """Kill `pid` if it still belongs, adding its pidfd; return whether that was permitted."""
    try:
        pidfd = os.pidfd_open(pid)
    except OSError:
        return True
    killed.append(pidfd)
    try:
        if belongs(pid):
            signal.pidfd_send_signal(pidfd, signal.SIGKILL)
            return True
    except ProcessLookupError:
        return True
    except PermissionError:
        pass
    killed.pop()
    os.close(pidfd)
    return False


def _await_ends(pidfds: list[int], deadline: Deadline) -> None:
    poll = select.poll()
    for pidfd in pidfds:
        poll.register(pidfd, select.POLLIN)
    left = len(pidfds)
    while left and not deadline.expired:
        seconds = deadline.remaining()
        ready = poll.poll(None if seconds is None else seconds * 1000 + 1)
        left -= len(ready)
        for pidfd, _ in ready:
            poll.unregister(pidfd)


def _own_processes() -> Iterator[int]:
    try:
        names = os.listdir("/proc")
        here = os.readlink("/proc/self/ns/pid")
    except OSError:
        return
    user = os.geteuid()
    for name in names:
        if not name.isdigit():
            continue
        try:
            if os.stat(f"/proc/{name}").st_uid == user and _namespace(name) == here:
                yield int(name)
        except OSError:
            continue


def _namespace(pid: str) -> str:
    return os.readlink(f"/proc/{pid}/ns/pid")


def _run_of(pid: int) -> str:
    """Return the run that `pid` is marked with; nothing for a zombie, or where unreadable."""
    return _mark_of(pid).partition(":")[0]


def _mark_of(pid: int) -> str:
    try:
        with open(f"/proc/{pid}/environ", "rb") as file:
            environment = file.read()
    except OSError:
        return ""
    if _FIELD not in environment:
        return ""
    for entry in environment.split(b"\0"):
        if entry.startswith(_FIELD):
            return entry[len(_FIELD) :].decode("ascii", "replace")
    return ""


def _name_of(pid: int) -> str:
    try:
        with open(f"/proc/{pid}/comm") as file:
            return file.read().strip()
    except OSError:
        return ""


def _session_of(pid: int) -> int:
    """Return the session of `pid`; 0 for a zombie, which is dead already."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            fields = file.read().rpartition(b")")[2].split()
    except OSError:
        return 0
    return 0 if fields[0] in (b"Z", b"X") else int(fields[3])
