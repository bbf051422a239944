"""What the zygote and its workers ask of the operating system beyond POSIX.

Linux is what is tested. Elsewhere there is no subreaper, no signal at a parent's death and no
process name: daemons that a task detached then outlive the run, and so do workers whose zygote
was killed, until they read the end of their mailbox.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from typing import Final

_PR_SET_PDEATHSIG: Final = 1
_PR_SET_NAME: Final = 15
_PR_SET_CHILD_SUBREAPER: Final = 36
_ON_LINUX: Final = sys.platform == "linux"


def _prctl(option: int, argument: int | bytes) -> None:
    ctypes.CDLL(None).prctl(option, argument, 0, 0, 0)


def adopt_orphans() -> None:
    """Become the parent of every descendant whose own parent ends, daemons included."""
    if _ON_LINUX:
        _prctl(_PR_SET_CHILD_SUBREAPER, 1)


def die_with_parent(parent: int) -> None:
    """Have the kernel kill this process when its parent's thread ends; die now if it has.

    Args:
        parent: pid of the process that forked this one.
    """
    if _ON_LINUX:
        _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)


def name_process(name: str) -> None:
    """Show `name`, its first 15 bytes, in ps and top."""
    if _ON_LINUX:
        _prctl(_PR_SET_NAME, name.encode()[:15])


def current_core() -> int:
    """Return the number of the core that the calling thread runs on; -1 where nobody tells."""
    return int(ctypes.CDLL(None).sched_getcpu()) if _ON_LINUX else -1


def children_of(pid: int) -> list[tuple[int, int]]:
    """Return the pid and process group of each child of `pid`, the dead ones not yet reaped too.

    It reads /proc/PID/stat of every process, since not every kernel lists children; where there
    is no /proc the list is empty.
    """
    found: list[tuple[int, int]] = []
    try:
        names = os.listdir("/proc")
    except OSError:
        return found
    for name in names:
        if not name.isdigit():
            continue
        try:
            with open(f"/proc/{name}/stat", "rb", buffering=0) as stat:
                fields = stat.read(1024).rpartition(b")")[2].split(None, 3)
        except OSError:
            continue
        if len(fields) > 2 and int(fields[1]) == pid:
            found.append((int(name), int(fields[2])))
    return found
