"""Identifiers: small integers inside a run, hexadecimal text outside of it.

Objects, calls and actors share one space of integers. The high bits name the process that
allocated the number, so that no process ever asks another for one. A call's id is the id of its
first returned object; an actor's id is the id of the call that creates it.
"""

from __future__ import annotations

import os

DRIVER = 0
"""The number of the process that owns the scheduler; workers count from 1."""

ORIGIN_SHIFT = 40
"""Bits for the numbers of one process: about 10**12 objects each."""

MAX_ID = (1 << 63) - 1


def first_id(origin: int) -> int:
    """Return the first id that process number `origin` may allocate."""
    return (origin << ORIGIN_SHIFT) + 1


def origin_of(identifier: int) -> int:
    """Return the number of the process that allocated `identifier`."""
    return identifier >> ORIGIN_SHIFT


def hex_id(run: str, identifier: int) -> str:
    """Return the 32 hexadecimal digits that name `identifier` of `run` to people."""
    return f"{run[-16:]}{identifier:016x}"


def node_id(run: str) -> str:
    """Return the 32 hexadecimal digits that name the machine of `run`, the only one, to people."""
    return hex_id(run, MAX_ID)


def start_time(pid: int) -> int:
    """Return when process `pid` started, in clock ticks since boot; 0 where unknown.

    Also 0 for one that has ended and that nobody has waited for: no process is meant by that pid.
    Source: proc(5), fields 3, 20 and 22 of /proc/PID/stat.
    """
    try:
        return _start_time(pid)
    except OSError:
        return 0


def _start_time(pid: int) -> int:
    with open(f"/proc/{pid}/stat", "rb") as stat:
        fields = stat.read().rpartition(b")")[2].split()
    try:
        # The first thread may have ended before the others.
        ended = fields[0] in (b"Z", b"X") and int(fields[17]) <= 1
        return 0 if ended else int(fields[19])
    except (IndexError, ValueError):
        return 0


def new_run() -> str:
    """Return a fresh run id `PID-START-RANDOM`: who drives it, and a 16-digit token.

    The pid with its start time tells, after a crash, whether the run's driver still lives.
    """
    pid = os.getpid()
    return f"{pid}-{start_time(pid)}-{os.urandom(8).hex()}"


def run_is_alive(run: str) -> bool:
    """Tell whether the driver that made `run` still lives; a recycled pid does not fool it.

    One that cannot be looked at lives: who has no descriptor left must not end a run for that.
    """
    pid, _, rest = run.partition("-")
    started = rest.partition("-")[0]
    if not (pid.isdigit() and started.isdigit()):
        return False
    try:
        now_started = _start_time(int(pid))
    except (FileNotFoundError, ProcessLookupError):
        return False
    except OSError:
        return True
    return now_started != 0 and now_started == int(started)
