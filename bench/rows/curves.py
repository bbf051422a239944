"""How the cost of a call changes with how many are queued, and with how many workers there are.

A row of each point, and one for the curve: the dearest point over the cheapest. A curve is made in
one process, points in increasing order; the table has the medians of the points, so that their
ratio may differ a little from the row's.
"""

from __future__ import annotations

from functools import partial

from ..peers import Peer
from ..tasks import rest
from .base import Effort, Reading, Row, per_call

QUEUED = (10, 100, 1000, 10_000, 100_000, 1_000_000)
WORKERS = (2, 8, 32, 128, 500)
BURST = 5000


def curve(points: dict[str, float], wanted: int) -> Reading:
    """The points, and the ratio of the dearest to the cheapest where all are there."""
    if len(points) < wanted:
        return points
    return {"": max(points.values()) / min(points.values()), **points}


def by_queued(peer: Peer, effort: Effort) -> Reading:
    """Microseconds per task when so many are submitted before the first get."""
    most = min(peer.most_queued, effort.count(QUEUED[-1]))
    points = {}
    peer.burst(1000)
    for count in QUEUED:
        if count > most:
            break
        # A burst of many is warm after its first hundredth.
        warm = 0.1 if count <= 10_000 else 0.0
        spent = per_call(partial(peer.burst, count), seconds=0.5, warm=warm, effort=effort)
        points[str(count)] = spent / count * 1e6
    return curve(points, len(QUEUED))


def by_workers(peer: Peer, effort: Effort) -> Reading:
    """Microseconds per task, some thousands before the first get, with so many workers."""
    most = min(peer.most_workers, effort.count(WORKERS[-1], WORKERS[1]))
    points = {}
    for workers in WORKERS:
        if workers > most:
            break
        peer.start(workers)
        try:
            # Until every worker has something to do: runtimes start them when they are needed.
            peer.gather(peer.submit_all(rest, [0.2] * (2 * workers)))
            spent = per_call(lambda: peer.burst(BURST), seconds=0.5, warm=0.2, effort=effort)
            points[str(workers)] = spent / BURST * 1e6
        finally:
            peer.stop()
    return curve(points, len(WORKERS))


def point(name: str, value: int, what: str) -> Row:
    """The row of one point."""
    return Row(f"{name}.{value}", f"cost per task, {value:,} {what}", "µs", True)


ROWS = (
    Row(
        "queued",
        "cost per task from 10 to 1,000,000 queued, dearest over cheapest",
        "×",
        True,
        by_queued,
        ("snakepit", "pool", "executor", "loky", "dask", "ray"),
        alone=True,
        heavy=True,
    ),
    *(point("queued", count, "queued") for count in QUEUED),
    Row(
        "workers",
        "cost per task from 2 to 500 workers, dearest over cheapest",
        "×",
        True,
        by_workers,
        ("snakepit", "pool"),
        starts=True,
        alone=True,
        heavy=True,
    ),
    *(point("workers", count, "workers") for count in WORKERS),
)
