"""Which files others use: processes that are no descendants of this one, and were here before.

/dev/shm is one for the whole machine, and a name there does not say who made it. Who has it open
or mapped does. A process that came meanwhile and hangs below no other may be one of our own that
has lost its parent: what it holds counts as ours.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final, TypeAlias

from .ids import start_time

_FileId: TypeAlias = tuple[int, int]

_PROC: Final = Path("/proc")


def moment() -> int:
    """Return the present, in the clock ticks since boot in which starts of processes are told."""
    return int(time.clock_gettime(time.CLOCK_BOOTTIME) * os.sysconf("SC_CLK_TCK"))


def used_by_others(paths: Iterable[str], since: int) -> set[str]:
    """Return those of some files that other processes have open or mapped.

    Args:
        paths: files; one that is gone is nobody's.
        since: what `moment` returned when others had to be here already, or an ancestor of theirs
            that is none of ours.
    """
    # By inode: a semaphore gets its name only after it was opened and mapped by another.
    files = {_file_id(path): path for path in paths}
    files.pop(None, None)
    used = set()
    lineage = list(_lineage(os.getpid()))
    for entry in _PROC.iterdir() if files else ():
        if entry.name.isdigit() and _is_other(int(entry.name), lineage, since):
            used |= {files[held] for held in _files_of(entry) if held in files}
    return used


def _is_other(pid: int, lineage: list[int], since: int) -> bool:
    own: list[int] = []
    for each in _lineage(pid):
        if each in lineage:
            return each != lineage[0] and any(0 < start_time(one) < since for one in own)
        own.append(each)
    return False  # it has just ended


def _lineage(pid: int) -> Iterator[int]:
    """Yield a process, its parent, and so on; 0, which is nobody's, last unless one ended."""
    while True:
        yield pid
        if pid == 0:
            return
        try:
            stat = (_PROC / str(pid) / "stat").read_bytes()
        except OSError:
            return
        pid = int(stat.rpartition(b")")[2].split()[1])


def _files_of(process: Path) -> Iterator[_FileId | None]:
    try:
        for line in (process / "maps").read_text(errors="replace").splitlines():
            _, _, _, device, inode, *_ = line.split()
            major, minor = device.split(":")
            yield os.makedev(int(major, 16), int(minor, 16)), int(inode)
        for descriptor in (process / "fd").iterdir():
            yield _file_id(descriptor)
    except OSError:  # it ended, or is another user's
        return


def _file_id(path: str | Path) -> _FileId | None:
    try:
        stat = os.stat(path)
    except OSError:
        return None
    return stat.st_dev, stat.st_ino
