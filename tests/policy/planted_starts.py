"""Schedulers that start workers with one bug each, which the simulator must find."""

from __future__ import annotations

from typing import Any

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


def keep_the_reason(scheduler: Any) -> None:
    """Who waits for the pool is not told that its workers were late."""
    supervision = scheduler.supervision
    fail = supervision.fail

    def silent(pool: Any, cause: Any, kind: str = "pool_failed") -> None:
        fail(pool, {key: cause[key] for key in cause if key != "start_timeout"}, kind)

    supervision.fail = silent


def forget_the_interpreter(scheduler: Any) -> None:
    """A pool's workers run as those of any other."""
    for pool in scheduler.placement.pools.values():
        pool.env = ()


def forget_it_for_other_variables(scheduler: Any) -> None:
    """Calls that may name no interpreter of their own choose the one of their pool."""
    variant = scheduler.placement.classes._variant

    def plain(pool: Any, env: Any, gpus: int) -> Any:
        made = variant(pool, env, gpus)
        if made is pool:
            made = variant(pool, (("A", "b"),), gpus)
            made.env = ()
        return made

    scheduler.placement.classes._variant = plain


PLANTED: tuple[Plant, ...] = (
    start_all_at_once,
    wait_for_ever,
    end_without_last_words,
    hold_up_the_others,
    keep_the_reason,
    forget_the_interpreter,
    forget_it_for_other_variables,
)
