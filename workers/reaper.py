"""How processes of a run end: noticed, killed with all that they started, and reaped.

Guarantee: after `end_all` this process has no child, and no descendant that is alive, be it a
daemon in a session of its own, since orphans are adopted by it (see `platform.adopt_orphans`).

Pids are safe to signal here: each is a child that has not been reaped, so neither it nor its
process group can have been given to a stranger.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterable, Iterator

from .platform import children_of


def ended_children() -> Iterator[tuple[int, int]]:
    """Reap each child that has ended, after killing the process group that it led.

    Yields:
        Its pid, and its exit code or the negative number of the signal that ended it.
    """
    while True:
        pid = _ended_child()
        if not pid:
            return
        # While the dead leader is unreaped its group's number cannot be used again.
        kill_group(pid)
        try:
            _, status = os.waitpid(pid, 0)
        except ChildProcessError:
            continue
        yield pid, os.waitstatus_to_exitcode(status)


def _ended_child() -> int:
    try:
        if hasattr(os, "waitid"):
            info = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            return 0 if info is None else info.si_pid
    except ChildProcessError:
        pass
    return 0


def kill_group(group: int) -> None:
    """Kill every member of a process group, if there is one."""
    signal_group(group, signal.SIGKILL)


def signal_group(group: int, number: int) -> None:
    """Send a signal to every member of a process group, if there is one.

    Raises:
        ValueError: there is no signal of that number.
    """
    try:
        os.killpg(group, number)
    except (ProcessLookupError, PermissionError):
        return
    except OSError as error:
        raise ValueError(f"no signal has the number {number}") from error


def end_all(known: Iterable[int]) -> None:
    """Kill every child and reap it, again and again until there is none.

    Killing a process hands its own children to this one, so each pass reaches one level deeper.
    A daemon that keeps forking is caught by its group: a fork cannot slip out of a group while
    the group is being killed.

    Args:
        known: pids of children, for systems that cannot list them.
    """
    own_group = os.getpgid(0)
    targets = [(pid, pid) for pid in known]
    while True:
        children = {**dict(targets), **dict(children_of(os.getpid()))}
        targets = []
        for pid, group in children.items():
            _kill_child(pid)
            # A child that is not yet the leader of its own group is still in this one.
            kill_group(pid if group == own_group else group)
        if not _reap(len(children)):
            return


def _kill_child(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        return


def _reap(count: int) -> bool:
    """Wait for as many ends as there must be; return whether children may be left."""
    try:
        for _ in range(count):
            os.waitpid(-1, 0)
        os.waitpid(-1, os.WNOHANG)
    except ChildProcessError:
        return False
    return True
