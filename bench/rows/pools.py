"""Rows of declared pools: what waits before them, how many workers they have, and sessions.

Only snakepit has them, so these rows use it directly; each starts runtimes of its own.
"""

from __future__ import annotations

from functools import partial

from ..peers import Peer
from ..tasks import echo
from .base import Effort, Reading, Row, per_call
from .curves import curve, point

OURS = ("snakepit",)
QUEUED = (10, 100, 1000, 10_000, 100_000)
WORKERS = (2, 8, 32, 128, 500)
BURST = 5000
SESSIONS = 10_000
ROUNDS = 51


def _burst(task: object, count: int) -> None:
    import snakepit

    snakepit.get([task.remote(1) for _ in range(count)])  # type: ignore[attr-defined]


def by_queued(peer: Peer, effort: Effort) -> Reading:
    """Microseconds per task of a declared pool when so many are submitted before the first get."""
    import snakepit

    sizes = [count for count in QUEUED if count <= effort.count(QUEUED[-1], 100)]
    pools = [snakepit.Pool("main", size=2, max_queue_size=None, queue_timeout=3600)]
    with snakepit.init(num_cpus=2, pools=pools):
        task = snakepit.remote(echo).options(pool="main")
        _burst(task, 1000)
        points = {}
        for count in sizes:
            spent = per_call(partial(_burst, task, count), seconds=0.5, effort=effort)
            points[str(count)] = spent / count * 1e6
    return curve(points, len(QUEUED))


def by_workers(peer: Peer, effort: Effort) -> Reading:
    """Microseconds per task of a declared pool of so many workers."""
    import snakepit

    points = {}
    for workers in [count for count in WORKERS if count <= effort.count(WORKERS[-1], 8)]:
        pools = [snakepit.Pool("main", size=workers, max_queue_size=None, queue_timeout=3600)]
        with snakepit.init(num_cpus=2, pools=pools):
            snakepit.pool("main").await_ready(300)
            task = snakepit.remote(echo).options(pool="main")
            spent = per_call(partial(_burst, task, BURST), seconds=0.5, warm=0.2, effort=effort)
            points[str(workers)] = spent / BURST * 1e6
    return curve(points, len(WORKERS))


def sessions(peer: Peer, effort: Effort) -> Reading:
    """What a call costs in a session, as a ratio to one without."""
    from ..sessions import PLAIN, costs

    rounds, count = effort.count(ROUNDS, 1), effort.count(SESSIONS, 20)
    found = {
        f"{cost.kind}_{'at_once' if cost.at_once else 'one_by_one'}": cost.ratio
        for cost in costs(rounds, count, effort.sizes)
        if cost.kind != PLAIN
    }
    return {"": found.pop("hint_at_once"), **found}


def _session(kind: str, how: str, what: str) -> Row:
    return Row(f"sessions.{kind}_{how}", f"a call of a session, {what}, to one of none", "×", True)


ROWS = (
    Row(
        "pool_queued",
        "a pool: cost per task from 10 to 100,000 queued, dearest over cheapest",
        "×",
        True,
        by_queued,
        OURS,
        starts=True,
        alone=True,
        heavy=True,
    ),
    *(point("pool_queued", count, "queued") for count in QUEUED),
    Row(
        "pool_workers",
        "a pool: cost per task from 2 to 500 workers, dearest over cheapest",
        "×",
        True,
        by_workers,
        OURS,
        starts=True,
        alone=True,
        heavy=True,
    ),
    *(point("pool_workers", count, "workers") for count in WORKERS),
    Row(
        "sessions",
        "a call of a session, 10,000 open, at once, to one of none",
        "×",
        True,
        sessions,
        OURS,
        starts=True,
        alone=True,
        heavy=True,
    ),
    _session("hint", "one_by_one", "one by one"),
    _session("strict_queue", "at_once", "strict, made at once"),
    _session("strict_queue", "one_by_one", "strict, one by one"),
)
