"""What the project asks of its own figures, and how a run answers."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from typing import Literal, NamedTuple, TypeAlias

from .rows import ROWS
from .runs import Run
from .stats import paired

OURS = "snakepit"

Verdict: TypeAlias = Literal["goal", "gate", "short", "not measured"]


class Gate(NamedTuple):
    """A bound on a row, absolute or relative to a rival's row in the same run."""

    row: str
    bound: Literal["≤", "≥"]
    limit: float
    goal: float | None = None
    rival: tuple[str, str] | None = None  # peer, row


class Outcome(NamedTuple):
    """A gate and what the run says to it."""

    gate: Gate
    measured: float | None
    verdict: Verdict


RAW, POOL = ("raw", "sync_task"), ("pool", "sync_task")
GATES: tuple[Gate, ...] = (
    Gate("init", "≤", 0.15, 0.1),
    Gate("init", "≥", 35, rival=("ray", "init")),
    Gate("import", "≤", 70),
    Gate("idle_memory", "≤", 35),
    Gate("idle_cpu", "≤", 0.2),
    Gate("sync_task", "≤", 4, 3, RAW),
    Gate("sync_task", "≥", 6, rival=POOL),
    Gate("sync_actor", "≤", 4, 3, RAW),
    Gate("sync_actor", "≥", 6, rival=POOL),
    Gate("burst_task", "≥", 2.5, 3.5, ("pool", "burst_task")),
    Gate("burst_task", "≥", 25, rival=("ray", "burst_task")),
    Gate("burst_actor", "≥", 2.5, 3.5, ("pool", "burst_task")),
    Gate("burst_actor", "≥", 11, rival=("ray", "burst_actor")),
    Gate("get_small", "≥", 700_000),
    Gate("put_small", "≥", 180_000),
    Gate("put_large", "≥", 0.75, rival=("raw", "put_large")),
    Gate("get_large", "≤", 50),
    Gate("many_actors", "≤", 0.2),
    Gate("busy_driver", "≥", 0.6),
    Gate("client_tasks_sync", "≥", 35, rival=("ray", "client_tasks_sync")),
    Gate("actor_1_1_sync", "≥", 30, rival=("ray", "actor_1_1_sync")),
    Gate("clients_tasks_async", "≥", 7, 10, ("ray", "clients_tasks_async")),
    Gate("actor_1_n_async", "≥", 7, 10, ("ray", "actor_1_n_async")),
    Gate("actor_n_n_async", "≥", 7, 10, ("ray", "actor_n_n_async")),
    Gate("actor_n_n_with_arg_async", "≥", 7, 10, ("ray", "actor_n_n_with_arg_async")),
    Gate("client_wait_1k_refs", "≥", 20, rival=("ray", "client_wait_1k_refs")),
    Gate("client_get_10k_refs", "≥", 8, rival=("ray", "client_get_10k_refs")),
    Gate("clients_put", "≥", 20, rival=("ray", "clients_put")),
    Gate("args", "≤", 1),
    Gate("returns", "≤", 1),
    Gate("gets", "≤", 1),
    Gate("million.memory", "≤", 1),
    Gate("thousand_actors", "≤", 6),
    Gate("thousand_actors.memory", "≤", 4),
    Gate("queued", "≤", 1.6),
    Gate("workers", "≤", 1.6),
    Gate("recovery_task", "≤", 300),
    Gate("recovery_actor", "≤", 300),
    Gate("free_sync_task", "≤", 6, rival=("raw", "free_sync_task")),
    Gate("free_burst_task", "≥", 20_000),
    Gate("generator_stream", "≥", 50_000),
    Gate("generator_stream", "≥", 10, rival=("ray", "generator_stream")),
    Gate("async_1_1_sync", "≥", 25, rival=("ray", "async_1_1_sync")),
    Gate("async_1_1_async", "≥", 20, rival=("ray", "async_1_1_async")),
    Gate("pool_map", "≥", 1, rival=("pool", "pool_map")),
    Gate("pool_map_100", "≥", 1, rival=("pool", "pool_map_100")),
    Gate("pool_map_1", "≥", 1, rival=("pool", "pool_map_1")),
    Gate("actor_pool_map", "≥", 1, rival=("pool", "pool_map_1")),
    Gate("grid_search", "≥", 1, rival=("joblib", "grid_search")),
    Gate("actor_1_1_concurrent", "≥", 15, rival=("ray", "actor_1_1_concurrent")),
)


def ratios(run: Run, row: str, peer: str, other: str | None = None) -> list[float]:
    """How many times better than a peer we are, round by round.

    Args:
        run: which run.
        row: ours.
        peer: whom to compare with.
        other: the peer's row, where it is not the same.

    Returns:
        Ratios over 1 where we are better, whatever the unit; none if not both were measured in the
        same part of the run.
    """
    other = other or row
    part = run.source(row)
    if part is None:
        return []
    ours, theirs = part.values(OURS, row), part.values(peer, other)
    return paired(theirs, ours) if ROWS[row].lower_is_better else paired(ours, theirs)


def measured(gate: Gate, run: Run) -> float | None:
    """The figure that a gate bounds: a median of rounds, or of the rounds' ratios.

    A ratio under "≥" says how many times better we are; under "≤", how many times their figure ours
    is.

    Returns:
        The figure, or None where a side was not measured.
    """
    part = run.source(gate.row)
    if part is None:
        return None
    ours = part.values(OURS, gate.row)
    if gate.rival is None:
        values = [value for value in ours if value is not None]
    elif gate.bound == "≥":
        values = ratios(run, gate.row, *gate.rival)
    else:
        values = paired(ours, part.values(*gate.rival))
    return statistics.median(values) if values else None


def judge(gate: Gate, run: Run) -> Outcome:
    """Hold a gate against a run; a missing figure is never a pass."""
    figure = measured(gate, run)
    if figure is None:
        return Outcome(gate, None, "not measured")

    def within(bound: float) -> bool:
        return figure <= bound if gate.bound == "≤" else figure >= bound

    if not within(gate.limit):
        return Outcome(gate, figure, "short")
    reached = gate.goal is not None and within(gate.goal)
    return Outcome(gate, figure, "goal" if reached else "gate")


def judge_all(run: Run) -> list[Outcome]:
    """Every gate on one of the run's rows."""
    rows: Sequence[str] = run.rows()
    return [judge(gate, run) for gate in GATES if gate.row in rows]
