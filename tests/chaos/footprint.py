"""What a process holds at a moment: descriptors, threads, segments, memory, and our objects."""

from __future__ import annotations

import ctypes
import gc
import os
from collections import Counter
from pathlib import Path
from statistics import median
from typing import NamedTuple

_LIBC = ctypes.CDLL(None)


class Footprint(NamedTuple):
    """What one process holds.

    Attributes:
        fds: open descriptors.
        held: those of them that are segments of the store, or other memory files of ours.
        mapped: mappings of such files.
        threads: threads.
        heap: KiB of private memory; the median of several looks.
        shared: KiB of shared memory that it has touched.
    """

    fds: int
    held: int
    mapped: int
    threads: int
    heap: int
    shared: int


def of(pid: int | str = "self") -> Footprint:
    """Measure a process; this one gives back to the system first what malloc has kept."""
    looks = []
    for _ in range(3):
        if pid == "self":
            gc.collect()
            _LIBC.malloc_trim(0)
        looks.append(_look(Path(f"/proc/{pid}")))
    return Footprint(*looks[-1][:4], *(int(median(look[i] for look in looks)) for i in (4, 5)))


def _look(proc: Path) -> Footprint:
    names = []
    for fd in os.listdir(proc / "fd"):
        try:
            names.append(os.readlink(proc / "fd" / fd))
        except FileNotFoundError:  # the listing's own
            continue
    status = dict(
        line.split(":", 1) for line in (proc / "status").read_text().splitlines() if ":" in line
    )
    return Footprint(
        fds=len(names),
        held=sum("memfd:snakepit" in name for name in names),
        mapped=(proc / "maps").read_text().count("memfd:snakepit"),
        threads=int(status["Threads"]),
        heap=int(status["RssAnon"].split()[0]),
        shared=int(status["RssShmem"].split()[0]),
    )


def instances() -> Counter[str]:
    """Count the objects of this process whose classes are snakepit's."""
    gc.collect()
    return Counter(
        kind.__qualname__
        for kind in map(type, gc.get_objects())
        if str(kind.__module__).startswith("snakepit.")
    )


def growth(before: Footprint, after: Footprint, heap: int) -> str:
    """Say what has grown; private memory may by `heap` KiB, nothing else at all."""
    wrong = [
        f"{name}: {was} before, {now} now"
        for name, was, now in zip(Footprint._fields, before, after)
        if now > was + {"heap": heap, "shared": SLACK}.get(name, 0)
    ]
    return ", ".join(wrong)


SLACK = 64
"""KiB of shared memory: the ledger's and the status area's pages, touched as slots are used."""
