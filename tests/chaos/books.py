"""What must balance after a storm: resources, objects, the store against the kernel, processes."""

from __future__ import annotations

import gc
import os
import time
from collections import Counter
from collections.abc import Callable
from typing import Any, final

import psutil

from snakepit.ids import DRIVER
from snakepit.runtime.core import SLOTS


def within(seconds: float, check: Callable[[], str]) -> float:
    """Wait until `check` finds nothing wrong; return how long that took.

    Raises:
        AssertionError: with what is wrong still.
    """
    begun = time.monotonic()
    while True:
        wrong = check()
        took = time.monotonic() - begun
        if not wrong:
            return took
        if took > seconds:
            raise AssertionError(f"after {took:.1f} s: {wrong}")
        time.sleep(0.005)


@final
class Resolutions:
    """Counts how often each call of a runtime is resolved, from now on."""

    def __init__(self, scheduler: Any) -> None:
        self.count: Counter[int] = Counter()
        completion = scheduler.completion
        for name in ("succeed", "fail"):
            setattr(completion, name, self._counting(getattr(completion, name)))

    def _counting(self, resolve: Callable[..., None]) -> Callable[..., None]:
        def counted(call: Any, *args: Any) -> None:
            resolve(call, *args)
            self.count[call.id] += 1

        return counted

    def doubled(self) -> dict[int, int]:
        """Return the calls that were resolved more than once."""
        return {call: times for call, times in self.count.items() if times != 1}


def wrong_resources(runtime: Any) -> str:
    """Return what is not free, when nothing runs; an empty text if all is."""
    resources = runtime._core.scheduler.resources
    free, total = dict(resources.free), dict(resources.total)
    return "" if free == total else f"{free} of {total} are free"


def wrong_tables(runtime: Any) -> str:
    """Return what the scheduler still knows of, when nobody refers to anything."""
    gc.collect()
    core = runtime._core
    core.update(lambda: None)
    with core.lock:
        scheduler = core.scheduler
        placement = scheduler.placement
        found: dict[str, Any] = {
            "entries": list(scheduler.objects.entries.values())[:10],
            "extents": scheduler.objects.extents,
            "handles of workers": {n: len(h) for n, h in scheduler.objects.held.items() if h},
            "queues": placement.waiting,
            "calls in workers": [w for w in placement.workers.values() if w.inflight],
            "busy": placement.busy,
            "waiters": core.waiters,
            "names": scheduler.actors.names,
            "sessions": placement.sessions.table,
            "workers that sessions wait for": placement.pinned.held,
        }
        strangers = placement.workers.keys() ^ core.connections.keys()
        found["workers known to one side"] = strangers - {
            spawn.worker for spawn in placement.staff.starts._waiting
        }
        used = len(core.connections) + len(runtime._processes._free_slots)
        found["slots lost"] = SLOTS - 1 - used
    return ", ".join(f"{name}: {value}" for name, value in found.items() if value)


def wrong_ledger(runtime: Any) -> str:
    """Return where the store's ledger and what the kernel has backed differ."""
    core = runtime._core
    memory = core.memory
    with core.lock:
        ledger = memory.ledger
        slots = {number: each.slot for number, each in core.connections.items()}
        backed: Counter[int] = Counter()
        for number, (fd, _) in memory.segments.items():
            # What a dead process wrote is the driver's.
            backed[slots.get(number, 0)] += os.fstat(fd).st_blocks * 512
        charged = {slot: n for slot in range(ledger.slots) if (n := ledger.held(slot))}
    wrong = []
    if charged != {slot: size for slot, size in backed.items() if size}:
        wrong.append(f"charged {charged}, backed {dict(backed)}")
    if ledger.used() != sum(charged.values()):
        wrong.append(f"the total is {ledger.used()}, not {sum(charged.values())}")
    return ", ".join(wrong)


def wrong_store(runtime: Any) -> str:
    """Return what is still in the store, when nobody refers to anything and it was trimmed."""
    memory = runtime._core.memory
    left = memory.ledger.used()
    adopted = [number for number in memory.adopted if number != DRIVER]
    return f"{left} bytes are charged, adopted: {adopted}" if left or adopted else ""


def wrong_processes(runtime: Any) -> str:
    """Return the processes that are there and not known, or the other way round."""
    core = runtime._core
    zygote = runtime._processes.zygotes.home.zygote.pid
    with core.lock:
        known = {each.pid for each in core.connections.values()}
    try:
        there = {p.pid for p in psutil.Process(zygote).children(recursive=True)}
    except psutil.NoSuchProcess:
        return f"zygote {zygote} has ended, and the driver has not seen it yet"
    ours = {p.pid for p in psutil.Process().children()}
    wrong = []
    if there != known:
        wrong.append(f"workers {sorted(there)}, known {sorted(known)}")
    if ours != {zygote}:
        wrong.append(f"children {sorted(ours)} of the driver, of which the zygote is {zygote}")
    return ", ".join(wrong)
