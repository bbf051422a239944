"""What a runtime costs before it does anything: to start, and to have it stand idle."""

from __future__ import annotations

import contextlib
import math
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import psutil

from ..peers import NotOffered, Peer, Script
from .base import Effort, Reading, Row

IDLE_S = 10.0
SETTLE_S = 5.0
READY = "ready\n"
WAIT = "\nimport sys\nsys.stdout.write('ready\\n')\nsys.stdout.flush()\nsys.stdin.read()\n"


def program(peer: Peer) -> Script:
    """The peer's program, for rows that want an interpreter with nothing else in it."""
    if peer.script is None:
        raise NotOffered("no program of its own is written for it")
    return peer.script


def first_result(peer: Peer, _: Effort) -> float:
    """Seconds from `init`, the module imported, to the first result."""
    script = program(peer)
    start = "import time\nstart = time.perf_counter()\n"
    tell = "print('seconds', time.perf_counter() - start)\n"
    code = script.load + start + script.first + tell
    done = subprocess.run(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    for line in done.stdout.splitlines():
        if line.startswith("seconds "):
            return float(line.split()[1])
    raise RuntimeError(f"no first result; exit status {done.returncode}")


def import_time(peer: Peer, effort: Effort) -> float:
    """Milliseconds that an import adds to the start of an interpreter."""
    if peer.import_line is None:
        raise NotOffered("there is nothing to import")
    codes = ("pass", peer.import_line)
    best = [math.inf, math.inf]
    for _ in range(effort.count(7, least=2)):
        for which, code in enumerate(codes):
            start = time.perf_counter()
            subprocess.run([sys.executable, "-c", code], check=True)
            # The least of a few starts: what disturbs a start only ever adds to it.
            best[which] = min(best[which], time.perf_counter() - start)
    return (best[1] - best[0]) * 1e3


@contextlib.contextmanager
def idle(script: str) -> Iterator[psutil.Process]:
    """A fresh interpreter that ran a script and now waits; nothing else is loaded into it."""
    argv = [sys.executable, "-c", script + WAIT]
    with subprocess.Popen(
        argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if line == READY:
                break
        else:
            raise RuntimeError("the idle script ended before it was ready")
        yield psutil.Process(process.pid)


def family(process: psutil.Process) -> list[psutil.Process]:
    """A process and all below it."""
    return [process, *process.children(recursive=True)]


class Memory(NamedTuple):
    """Megabytes of a process and all below it."""

    uss: float  # pages that no other process maps; what is shared since a fork counts nowhere
    pss: float  # each page once, divided among its users


def memory(process: psutil.Process) -> Memory:
    """What a process and all below it hold now."""
    uss = pss = 0
    for member in family(process):
        with contextlib.suppress(psutil.NoSuchProcess):
            held = member.memory_full_info()
            uss, pss = uss + held.uss, pss + held.pss
    return Memory(uss / 1e6, pss / 1e6)


def settled_memory(process: psutil.Process) -> Memory:
    """The memory once it no longer moves by a hundredth in half a second."""
    end = time.monotonic() + SETTLE_S
    before = memory(process)
    while time.monotonic() < end:
        time.sleep(0.5)
        now = memory(process)
        if abs(now.uss - before.uss) < 0.01 * before.uss:
            return now
        before = now
    return before


def cpu_ns(process: psutil.Process) -> int:
    """Nanoseconds that all threads of a process and of all below it have run.

    The scheduler's own figure, since the clock ticks of /proc/PID/stat are too coarse for a runtime
    that uses less than one of them.
    """
    total = 0
    for member in family(process):
        for line in Path(f"/proc/{member.pid}/task").glob("*/schedstat"):
            with contextlib.suppress(OSError):
                total += int(line.read_text().split()[0])
    return total


def idle_memory(peer: Peer, _: Effort) -> Reading:
    """Memory of all processes, two workers ready, beyond an interpreter that loaded nothing."""
    script = program(peer)
    with idle("") as bare:
        least = settled_memory(bare)
    with idle("".join(script)) as process:
        held = settled_memory(process)
    return {"": held.uss - least.uss, "pss": held.pss - least.pss}


def idle_cpu(peer: Peer, effort: Effort) -> float:
    """Per cent of a core over ten idle seconds, all processes."""
    script = program(peer)
    with idle("".join(script)) as process:
        time.sleep(1.0)  # what starting left to do is not idling
        before, start = cpu_ns(process), time.monotonic()
        time.sleep(IDLE_S * effort.seconds)
        return (cpu_ns(process) - before) / (time.monotonic() - start) / 1e7


ROWS = (
    Row("init", "`init` to first result", "s", True, first_result, starts=True),
    Row("import", "import, beyond a bare interpreter", "ms", True, import_time, starts=True),
    Row(
        "idle_memory",
        "idle memory (USS), beyond a bare interpreter",
        "MB",
        True,
        idle_memory,
        starts=True,
        heavy=True,
    ),
    Row("idle_memory.pss", "idle memory (PSS), beyond a bare interpreter", "MB", True),
    Row("idle_cpu", "idle CPU over 10 s", "% of a core", True, idle_cpu, starts=True, heavy=True),
)
