"""Calls, objects and actors, one kind at a time: the rows that most of the gates are about."""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable
from typing import Any

from ..peers import Peer
from ..tasks import nap
from .base import Effort, Row, median_of, per_call

BURST = 1000
ACTORS = 20
LARGE_ITEMS = 100_000_000  # float64: 0.8 GB
BUSY_S = 0.5
BUSY_NAPS = 1500  # more than two workers can do in BUSY_S at a millisecond each


def sync_task(peer: Peer, effort: Effort) -> float:
    """A task and its result, one at a time, in microseconds."""
    return per_call(lambda: peer.call(1), effort=effort) * 1e6


def sync_actor(peer: Peer, effort: Effort) -> float:
    """An actor call and its result, one at a time, in microseconds."""
    actor = peer.actor()
    try:
        return per_call(lambda: peer.actor_call(actor, 1), effort=effort) * 1e6
    finally:
        peer.kill(actor)


def burst_task(peer: Peer, effort: Effort) -> float:
    """Calls per second when a thousand tasks are submitted before the first get."""
    return BURST / per_call(lambda: peer.burst(BURST), seconds=0.6, warm=0.2, effort=effort)


def burst_actor(peer: Peer, effort: Effort) -> float:
    """Calls per second when a thousand calls to one actor are made before the first get."""
    actor = peer.actor()
    try:
        spent = per_call(
            lambda: peer.actor_burst(actor, BURST), seconds=0.6, warm=0.2, effort=effort
        )
        return BURST / spent
    finally:
        peer.kill(actor)


def get_small(peer: Peer, effort: Effort) -> float:
    """Gets per second of a small object."""
    ref, get = peer.put(1), peer.get
    get(ref)
    return 1 / per_call(lambda: get(ref), effort=effort)


def put_small(peer: Peer, effort: Effort) -> float:
    """Puts per second of a small object, its reference dropped at once."""
    put = peer.put
    return 1 / per_call(lambda: put(1), effort=effort)


def large(effort: Effort) -> Any:
    """An array of 0.8 GB whose pages are there."""
    import numpy as np

    return np.ones(effort.count(LARGE_ITEMS))


def put_large(peer: Peer, effort: Effort) -> float:
    """Gigabytes per second of a put into memory that held such an object before."""
    value, times, ref = large(effort), [], None
    for _ in range(4):
        ref = None  # the one before is freed before the next is made
        gc.collect()
        start = time.perf_counter()
        ref = peer.put(value)
        times.append(time.perf_counter() - start)
    del ref
    gigabytes: float = value.nbytes / 1e9
    return gigabytes / statistics.median(times[1:])


def get_large(peer: Peer, effort: Effort) -> float:
    """A get of 0.8 GB that lies in the store, in microseconds."""
    ref = peer.put(large(effort))
    peer.get(ref)
    return median_of(lambda: peer.get(ref), effort.count(51, 5)) * 1e6


def many_actors(peer: Peer, effort: Effort) -> float:
    """Seconds until each of twenty new actors has answered a call."""
    peer.call(1)
    start = time.perf_counter()
    actors = [peer.actor() for _ in range(effort.count(ACTORS, 2))]
    peer.touch_all(actors)
    spent = time.perf_counter() - start
    for actor in actors:
        peer.kill(actor)
    return spent


def busy_driver(peer: Peer, effort: Effort) -> float:
    """Tasks of a millisecond finished while the driver computes, relative to while it waits."""

    def finished(attend: Callable[[float], None]) -> int:
        start = time.monotonic()
        handles = peer.submit_all(nap, range(effort.count(BUSY_NAPS, 150)))
        end = time.monotonic() + max(0.05, BUSY_S * effort.seconds)
        submitted = time.monotonic()
        attend(end)
        # Each task returns when it ended: what had finished, not what the driver had heard of.
        return sum(submitted <= at < end for at in peer.gather(handles) if at >= start)

    def compute(end: float) -> None:
        count = 0
        while time.monotonic() < end:
            for number in range(1000):
                count += number

    peer.gather(peer.submit_all(nap, range(effort.count(BUSY_NAPS // 4))))
    return finished(compute) / max(1, finished(lambda end: None))


ROWS = (
    Row("sync_task", "task, one at a time", "µs", True, sync_task),
    Row("sync_actor", "actor call, one at a time", "µs", True, sync_actor),
    Row("burst_task", "1000 tasks, then get", "1/s", False, burst_task),
    Row("burst_actor", "1000 actor calls, then get", "1/s", False, burst_actor),
    Row("get_small", "get, small", "1/s", False, get_small),
    Row("put_small", "put, small", "1/s", False, put_small),
    Row("put_large", "put, 0.8 GB, warm", "GB/s", False, put_large),
    Row("get_large", "get, 0.8 GB", "µs", True, get_large),
    Row("many_actors", "20 actors created and called", "s", True, many_actors, heavy=True),
    Row("busy_driver", "rate, driver busy over driver waiting", "×", False, busy_driver),
)
