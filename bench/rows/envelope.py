"""The envelope of one machine, after Ray's list of the same name: how far each number goes."""

from __future__ import annotations

import os
import tempfile
import time
from pathlib import Path
from typing import Any

import psutil

from ..peers import WORKERS, Peer
from ..tasks import echo, hold
from .base import Effort, Reading, Row, once

ARGUMENTS = 10_000
RETURNS = 3000
OBJECTS = 10_000
QUEUED = 1_000_000
ACTORS = 1000
LARGE_BYTES = 2**31


def uss(pid: int) -> float:
    """Bytes that only this process maps."""
    held: int = psutil.Process(pid).memory_full_info().uss
    return held


def arguments(peer: Peer, effort: Effort) -> float:
    """Seconds of one task with so many references as its arguments."""
    own, get = peer.programs, peer.get
    refs = [peer.put(1) for _ in range(effort.count(ARGUMENTS))]
    get(own.many_arguments.remote(refs[0]))
    return once(lambda: get(own.many_arguments.remote(*refs)))


def plain_arguments(peer: Peer, effort: Effort) -> float:
    """Seconds of one task with so many integers as its arguments."""
    own, get = peer.programs, peer.get
    get(own.many_arguments.remote(1))
    return once(lambda: get(own.many_arguments.remote(*range(effort.count(ARGUMENTS)))))


def returns(peer: Peer, effort: Effort) -> float:
    """Seconds of one task with so many returns, and the get of them all."""
    count, get = effort.count(RETURNS, 2), peer.get
    task = peer.programs.many_returns.options(num_returns=count)
    get(task.remote(count))
    return once(lambda: get(task.remote(count)))


def objects(peer: Peer, effort: Effort) -> float:
    """Seconds of one get of so many stored objects."""
    refs = [peer.put(i) for i in range(effort.count(OBJECTS))]
    return once(lambda: peer.get(refs))


def large_object(peer: Peer, effort: Effort) -> Reading:
    """Seconds to put and to get one large array, into memory that was not used before."""
    import numpy as np

    array = np.ones(effort.count(LARGE_BYTES // 8))
    start = time.perf_counter()
    ref = peer.put(array)
    middle = time.perf_counter()
    value = peer.get(ref)
    end = time.perf_counter()
    if value[0] != 1 or value[-1] != 1 or len(value) != len(array):
        raise AssertionError("the array did not come back as it was")
    return {"": middle - start, "get": end - middle}


def queued_tasks(peer: Peer, effort: Effort) -> Reading:
    """So many tasks queued behind workers that are held, then drained.

    Returns:
        Seconds for all but the waiting; microseconds each of the two ways; and what each task that
        is queued takes of the driver's memory, its reference included.
    """
    count = effort.count(QUEUED)
    peer.burst(1000)
    with tempfile.TemporaryDirectory() as folder:
        gate = Path(folder, "gate")
        held = peer.submit_all(hold, [str(gate)] * WORKERS)
        before = uss(os.getpid())
        start = time.perf_counter()
        handles = peer.submit_all(echo, range(count))
        submitted = time.perf_counter() - start
        each = (uss(os.getpid()) - before) / count
        gate.touch()
        peer.gather(held)
        start = time.perf_counter()
        results = peer.gather(handles)
        drained = time.perf_counter() - start
    if results != list(range(count)):
        raise AssertionError("not every task returned its own argument")
    return {
        "": submitted + drained,
        "submit": submitted / count * 1e6,
        "drain": drained / count * 1e6,
        "memory": each / 1000,
    }


def actors(peer: Peer, effort: Effort) -> Reading:
    """Seconds until each of so many new actors has answered, and what each holds for itself."""
    own, get = peer.programs, peer.get
    peer.call(1)
    count = effort.count(ACTORS, 20)
    start = time.perf_counter()
    servers: list[Any] = [own.server.remote() for _ in range(count)]
    pids = get([server.pid.remote() for server in servers])
    spent = time.perf_counter() - start
    if len(set(pids)) != count:
        raise AssertionError(f"{count} actors live in {len(set(pids))} processes")
    each = sum(map(uss, pids)) / count / 1e6
    for server in servers:
        peer.kill(server)
    return {"": spent, "memory": each}


BOTH = ("snakepit", "ray")
LONG: dict[str, Any] = {"alone": True, "heavy": True}
ROWS = (
    Row("args", "10,000 references as arguments of a task", "s", True, arguments, BOTH, heavy=True),
    Row(
        "plain_args",
        "10,000 integers as arguments of a task",
        "s",
        True,
        plain_arguments,
        BOTH,
        heavy=True,
    ),
    Row("returns", "3000 returns of a task", "s", True, returns, BOTH, heavy=True),
    Row("gets", "get of 10,000 objects", "s", True, objects, BOTH, heavy=True),
    Row("large_object", "put of 2 GiB, cold", "s", True, large_object, BOTH, **LONG),
    Row("large_object.get", "get of 2 GiB", "s", True),
    Row(
        "million",
        "1,000,000 tasks queued, then drained",
        "s",
        True,
        queued_tasks,
        ("snakepit", "pool"),
        **LONG,
    ),
    Row("million.submit", "the same: submitting one", "µs", True),
    Row("million.drain", "the same: draining one", "µs", True),
    Row("million.memory", "the same: driver memory (USS) each", "kB", True),
    Row(
        "thousand_actors",
        "1000 actors created and called",
        "s",
        True,
        actors,
        ("snakepit",),
        **LONG,
    ),
    Row("thousand_actors.memory", "the same: memory (USS) of each", "MB", True),
)
