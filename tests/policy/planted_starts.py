"""Schedulers that start workers with one bug each, which the simulator must find."""

from __future__ import annotations

from typing import Any

from snakepit.policy import restart
from snakepit.policy.pools import ENOUGH

from .planted import Plant


def start_all_at_once(scheduler: Any) -> None:
    """A pool's batch is no limit."""
    for pool in scheduler.placement.pools.values():
        pool.batch = ENOUGH


def wait_for_ever(scheduler: Any) -> None:
    """One that is not ready in its time is left alone."""
    scheduler.placement.staff.overdue = lambda number: None


def end_without_last_words(scheduler: Any) -> None:
    """One that is late is ended before it could say where it is."""
    staff = scheduler.placement.staff
    overdue = staff.overdue

    def at_once(number: int) -> None:
        overdue(number)
        overdue(number)

    staff.overdue = at_once


def hold_up_the_others(scheduler: Any) -> None:
    """A worker that runs its initializer is still being forked, and others wait for it."""
    scheduler.placement.staff.forked = lambda worker: None


def count_the_time_spent(scheduler: Any) -> None:
    """What takes long to fail never fails too often."""

    class Forgetful(restart.RestartWindow):  # type: ignore[misc]
        def add(self, now: float, spent: float = 0.0) -> None:
            super().add(now)

    for pool in scheduler.placement.pools.values():
        pool.window = Forgetful(pool.window.intensity, pool.window.period)


def keep_the_reason(scheduler: Any) -> None:
    """Who waits for the pool is not told that its workers were late."""
    supervision = scheduler.supervision
    fail = supervision.fail

    def silent(pool: Any, cause: Any, kind: str = "pool_failed") -> None:
        fail(pool, {key: cause[key] for key in cause if key != "start_timeout"}, kind)

    supervision.fail = silent


PLANTED: tuple[Plant, ...] = (
    start_all_at_once,
    wait_for_ever,
    end_without_last_words,
    hold_up_the_others,
    count_the_time_spent,
    keep_the_reason,
)
