"""What the project asks of its own figures, and how a run answers."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple, TypeAlias

from .rows import ROWS
from .stats import paired

OURS = "snakepit"

Figures: TypeAlias = Mapping[str, Mapping[str, Sequence[float | None]]]  # by peer, by row: rounds
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
)


def measured(gate: Gate, figures: Figures) -> float | None:
    """The figure that a gate bounds: a median of rounds, or of the rounds' ratios.

    A ratio under "≥" says how many times faster we are; under "≤", how many times their time we
    take.

    Returns:
        The figure, or None where a side was not measured.
    """
    ours = figures.get(OURS, {}).get(gate.row, ())
    if gate.rival is None:
        values = [value for value in ours if value is not None]
    else:
        peer, row = gate.rival
        theirs = figures.get(peer, {}).get(row, ())
        swap = gate.bound == "≥" and ROWS[gate.row].lower_is_better
        values = paired(theirs, ours) if swap else paired(ours, theirs)
    return statistics.median(values) if values else None


def judge(gate: Gate, figures: Figures) -> Outcome:
    """Hold a gate against a run; a missing figure is never a pass."""
    figure = measured(gate, figures)
    if figure is None:
        return Outcome(gate, None, "not measured")

    def within(bound: float) -> bool:
        return figure <= bound if gate.bound == "≤" else figure >= bound

    if not within(gate.limit):
        return Outcome(gate, figure, "short")
    reached = gate.goal is not None and within(gate.goal)
    return Outcome(gate, figure, "goal" if reached else "gate")


def judge_all(figures: Figures, rows: Sequence[str]) -> list[Outcome]:
    """Every gate on one of the rows."""
    return [judge(gate, figures) for gate in GATES if gate.row in rows]
