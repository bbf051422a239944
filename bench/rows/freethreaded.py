"""Rows for an interpreter without the GIL; any other says that it has one."""

from __future__ import annotations

import sys
from statistics import median

from ..peers import NotOffered, Peer
from ..tasks import has_gil
from . import calls
from .base import Effort, Reading, Row


def check_no_gil(peer: Peer, *, workers: bool) -> None:
    """Make sure that neither this process nor a worker has a GIL.

    Args:
        peer: whose workers.
        workers: whether it has any that can be asked.

    Raises:
        NotOffered: this interpreter was built with one.
        AssertionError: something that was imported has turned it on.
    """
    if has_gil(0):
        if "free-threading" not in sys.version:
            raise NotOffered("this interpreter has a GIL; see --python")
        raise AssertionError("the driver's GIL was turned on")
    if workers and any(peer.gather(peer.submit_all(has_gil, range(10)))):
        raise AssertionError("a worker's GIL was turned on")


def sync_task(peer: Peer, effort: Effort) -> float:
    """A task and its result, one at a time, in microseconds."""
    check_no_gil(peer, workers=peer.name != "raw")
    return calls.sync_task(peer, effort)


def burst_task(peer: Peer, effort: Effort) -> float:
    """Calls per second when a thousand tasks are submitted before the first get."""
    check_no_gil(peer, workers=True)
    return calls.burst_task(peer, effort)


def threads(peer: Peer, effort: Effort) -> Reading:
    """The thread profile: its rate over the process profile's, and what else there is to it."""
    from ..threads import compare, memory, speeds

    if has_gil(0):
        raise NotOffered("this interpreter has a GIL; see --python")
    found = speeds(effort.count(15, 1), effort.sizes)
    sizes = memory(effort.count(500, 5))
    return {
        "": compare(found, "calls/s at once"),
        "one_by_one": compare(found, "calls/s one by one"),
        "speedup": median(found["speed-up, thread"]),
        "speedup_executor": median(found["speed-up, ThreadPoolExecutor"]),
        "memory": sizes["thread"] / sizes["process"],
    }


POOLS = ("snakepit", "pool", "executor")
ROWS = (
    Row(
        "free_sync_task",
        "no GIL: task, one at a time",
        "µs",
        True,
        sync_task,
        ("raw", *POOLS),
    ),
    Row("free_burst_task", "no GIL: 1000 tasks, then get", "1/s", False, burst_task, POOLS),
    Row(
        "threads",
        "no GIL: tasks at once in a pool of threads, to a pool of processes",
        "×",
        False,
        threads,
        ("snakepit",),
        starts=True,
        alone=True,
        heavy=True,
    ),
    Row("threads.one_by_one", "no GIL: the same, one by one", "×", False),
    Row("threads.speedup", "no GIL: a Python loop in two threads of a pool, to one", "×", False),
    Row("threads.speedup_executor", "no GIL: the same in a ThreadPoolExecutor", "×", False),
    Row("threads.memory", "no GIL: memory of 8 threads to 8 processes, 500 MB loaded", "×", True),
)
