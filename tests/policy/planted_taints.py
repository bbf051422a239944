"""Schedulers whose tainted slots have one bug each, which the simulator must find."""

from __future__ import annotations

from typing import Any

from .planted import Plant


def hold_back_nobody(scheduler: Any) -> None:
    """Whoever breaks is replaced at once."""
    scheduler.supervision.barrier.broke = lambda worker, kind: None


def hold_back_for_ever(scheduler: Any) -> None:
    """A slot is not free when its time is over."""
    scheduler.supervision.barrier.untaint = lambda pool, slot: None


def hold_back_the_killed(scheduler: Any) -> None:
    """Who was killed from outside counts as broken."""
    barrier = scheduler.supervision.barrier
    broke = barrier.broke
    barrier.broke = lambda worker, kind: broke(worker, "segfault")


def leave_free_slots_empty(scheduler: Any) -> None:
    """Nobody starts in a slot that is free again."""
    supervision = scheduler.supervision
    supervision.untaint = supervision.barrier.untaint


PLANTED: tuple[Plant, ...] = (
    hold_back_nobody,
    hold_back_for_ever,
    hold_back_the_killed,
    leave_free_slots_empty,
)
