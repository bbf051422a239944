"""What a kill −9 of a worker costs those who wait for its calls."""

from __future__ import annotations

import os
import signal
import statistics
import time
from collections import deque
from collections.abc import Callable
from typing import Any

from ..peers import Peer
from .base import Effort, Reading, Row

KILLS = {"snakepit": 100, "ray": 10}
AHEAD = 16  # calls in flight
CALL_S = 0.001
BETWEEN = 40  # calls answered between two kills, so that none is killed three times


def percentiles(gaps: list[float]) -> Reading:
    """The 50th and the 99th, in milliseconds; of few gaps, the latter is the longest."""
    cuts = statistics.quantiles(gaps, n=100, method="inclusive")
    return {"": cuts[98] * 1e3, "median": cuts[49] * 1e3, "longest": max(gaps) * 1e3}


def gaps(peer: Peer, effort: Effort, submit: Callable[[], Any]) -> Reading:
    """Kill the worker that answered last, again and again, while calls flow.

    A gap lasts from the kill until every call that was in flight by then has its answer; without a
    kill that takes as long as those calls do.

    Args:
        peer: whose calls.
        effort: how many kills.
        submit: makes a call, whose answer is the process that served it.
    """
    get = peer.get
    flow: deque[Any] = deque(submit() for _ in range(AHEAD))
    found: list[float] = []

    def next_answer() -> int:
        pid: int = get(flow.popleft())
        flow.append(submit())
        return pid

    for _ in range(effort.count(KILLS[peer.name], 3)):
        for _ in range(BETWEEN):
            next_answer()
        victim = next_answer()
        start = time.perf_counter()
        try:
            os.kill(victim, signal.SIGKILL)
        except ProcessLookupError:
            continue  # ended by itself since
        for _ in range(AHEAD):
            next_answer()
        found.append(time.perf_counter() - start)
    while flow:
        get(flow.popleft())
    return percentiles(found)


def of_tasks(peer: Peer, effort: Effort) -> Reading:
    """Two workers, one of which is killed."""
    task = peer.programs.whose
    peer.get([task.remote(CALL_S) for _ in range(BETWEEN)])
    return gaps(peer, effort, lambda: task.remote(CALL_S))


def of_actor(peer: Peer, effort: Effort) -> Reading:
    """One actor, whose process is killed; it is restarted, and its calls are tried again."""
    actor = peer.programs.restarted.remote()
    peer.get(actor.whose.remote(CALL_S))
    try:
        return gaps(peer, effort, lambda: actor.whose.remote(CALL_S))
    finally:
        peer.kill(actor)


def rows(name: str, title: str, measure: Callable[[Peer, Effort], Reading]) -> tuple[Row, ...]:
    """The row of a measurement, and its parts."""
    peers = tuple(KILLS)
    return (
        Row(name, f"{title}: 99 % within", "ms", True, measure, peers, alone=True, heavy=True),
        Row(f"{name}.median", f"{title}: half within", "ms", True),
        Row(f"{name}.longest", f"{title}: longest", "ms", True),
    )


ROWS = (
    *rows("recovery_task", "kill −9 of a worker, 16 tasks in flight, all answered", of_tasks),
    *rows("recovery_actor", "kill −9 of an actor, 16 calls in flight, all answered", of_actor),
)
