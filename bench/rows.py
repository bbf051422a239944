"""The rows of the table: what is measured, in which unit, and how, once for all peers."""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable
from typing import Any, NamedTuple

from .footprint import first_result, idle_cpu, idle_pss, idle_uss, import_time
from .peers import Peer

BURST = 1000
ACTORS = 20
LARGE_ITEMS = 100_000_000  # float64: 0.8 GB
BUSY_S = 0.5
BUSY_NAPS = 1500  # more than two workers can do in BUSY_S at a millisecond each


class Row(NamedTuple):
    """One line of the table."""

    name: str
    title: str
    unit: str
    lower_is_better: bool
    measure: Callable[[Peer], float]


def per_call(call: Callable[[], Any], *, seconds: float = 0.4, warm: float = 0.1) -> float:
    """What one call takes on average, warm-up apart, in seconds."""
    clock = time.perf_counter
    for budget in (warm, seconds):
        calls, batch = 0, 1
        start = clock()
        while (spent := clock() - start) < budget:
            for _ in range(batch):
                call()
            calls += batch
            # Batches of about a fiftieth of the budget, so that reading the clock weighs nothing.
            batch = max(1, min(calls, int(calls * budget / 50 / max(clock() - start, 1e-9))))
    return spent / calls


def once(call: Callable[[], Any]) -> float:
    """What one call takes, in seconds; dropping its result apart."""
    start = time.perf_counter()
    result = call()
    spent = time.perf_counter() - start
    del result
    return spent


def sync_task(peer: Peer) -> float:
    """A task and its result, one at a time, in microseconds."""
    return per_call(lambda: peer.call(1)) * 1e6


def sync_actor(peer: Peer) -> float:
    """An actor call and its result, one at a time, in microseconds."""
    actor = peer.actor()
    try:
        return per_call(lambda: peer.actor_call(actor, 1)) * 1e6
    finally:
        peer.kill(actor)


def burst_task(peer: Peer) -> float:
    """Calls per second when a thousand tasks are submitted before the first get."""
    return BURST / per_call(lambda: peer.burst(BURST), seconds=0.6, warm=0.2)


def burst_actor(peer: Peer) -> float:
    """Calls per second when a thousand calls to one actor are made before the first get."""
    actor = peer.actor()
    try:
        return BURST / per_call(lambda: peer.actor_burst(actor, BURST), seconds=0.6, warm=0.2)
    finally:
        peer.kill(actor)


def get_small(peer: Peer) -> float:
    """Gets per second of a small object."""
    ref, get = peer.put(1), peer.get
    get(ref)
    return 1 / per_call(lambda: get(ref))


def put_small(peer: Peer) -> float:
    """Puts per second of a small object, its reference dropped at once."""
    put = peer.put
    return 1 / per_call(lambda: put(1))


def large() -> Any:
    """An array of 0.8 GB whose pages are there."""
    import numpy as np

    return np.ones(LARGE_ITEMS)


def put_large(peer: Peer) -> float:
    """Gigabytes per second of a put into memory that held such an object before."""
    value, times, ref = large(), [], None
    for _ in range(4):
        ref = None  # the one before is freed before the next is made
        gc.collect()
        start = time.perf_counter()
        ref = peer.put(value)
        times.append(time.perf_counter() - start)
    del ref
    gigabytes: float = value.nbytes / 1e9
    return gigabytes / statistics.median(times[1:])


def get_large(peer: Peer) -> float:
    """A get of 0.8 GB that lies in the store, in microseconds."""
    ref = peer.put(large())
    peer.get(ref)
    return statistics.median(once(lambda: peer.get(ref)) for _ in range(51)) * 1e6


def many_actors(peer: Peer) -> float:
    """Seconds until each of twenty new actors has answered a call."""
    peer.call(1)
    start = time.perf_counter()
    actors = [peer.actor() for _ in range(ACTORS)]
    peer.touch_all(actors)
    spent = time.perf_counter() - start
    for actor in actors:
        peer.kill(actor)
    return spent


def busy_driver(peer: Peer) -> float:
    """Tasks of a millisecond finished while the driver computes, relative to while it waits."""

    def finished(attend: Callable[[float], None]) -> int:
        start = time.monotonic()
        handles = peer.naps(BUSY_NAPS)
        end = time.monotonic() + BUSY_S
        submitted = time.monotonic()
        attend(end)
        # Each task returns when it ended: what had finished, not what the driver had heard of.
        return sum(submitted <= at < end for at in peer.gather(handles) if at >= start)

    def compute(end: float) -> None:
        count = 0
        while time.monotonic() < end:
            for number in range(1000):
                count += number

    peer.gather(peer.naps(BUSY_NAPS // 4))
    return finished(compute) / max(1, finished(lambda end: None))


ROWS: dict[str, Row] = {
    row.name: row
    for row in (
        Row("init", "`init` to first result", "s", True, first_result),
        Row("import", "import, beyond a bare interpreter", "ms", True, import_time),
        Row("idle_memory", "idle memory (USS), beyond a bare interpreter", "MB", True, idle_uss),
        Row("idle_pss", "idle memory (PSS), beyond a bare interpreter", "MB", True, idle_pss),
        Row("idle_cpu", "idle CPU over 10 s", "% of a core", True, idle_cpu),
        Row("sync_task", "task, one at a time", "µs", True, sync_task),
        Row("sync_actor", "actor call, one at a time", "µs", True, sync_actor),
        Row("burst_task", "1000 tasks, then get", "1/s", False, burst_task),
        Row("burst_actor", "1000 actor calls, then get", "1/s", False, burst_actor),
        Row("get_small", "get, small", "1/s", False, get_small),
        Row("put_small", "put, small", "1/s", False, put_small),
        Row("put_large", "put, 0.8 GB, warm", "GB/s", False, put_large),
        Row("get_large", "get, 0.8 GB", "µs", True, get_large),
        Row("many_actors", "20 actors created and called", "s", True, many_actors),
        Row("busy_driver", "rate, driver busy over driver waiting", "×", False, busy_driver),
    )
}
