"""Schedulers whose budgets of retries have one bug each, which the simulator must find."""

from __future__ import annotations

from typing import Any

from snakepit.policy.budget import Budget

from .planted import Plant


class Generous(Budget):  # type: ignore[misc]
    """Always has another."""

    def take(self, actions: Any, pool: str) -> bool:
        return bool(super().take(actions, pool) or True)


class Grasping(Budget):  # type: ignore[misc]
    """Takes nothing back."""

    def give_back(self) -> None:
        """It is gone."""


def _budgets(scheduler: Any, kind: type[Budget]) -> None:
    for pool in scheduler.placement.pools.values():
        if pool.budget is not None:
            pool.budget = kind(pool.budget.limit, pool.budget.period)


def retry_beyond_the_budget(scheduler: Any) -> None:
    """There is always another retry."""
    _budgets(scheduler, Generous)


def never_refill_a_budget(scheduler: Any) -> None:
    """What was taken once is gone."""
    _budgets(scheduler, Grasping)


def forget_exceptions(scheduler: Any) -> None:
    """Retries of exceptions are not counted."""
    scheduler._answers._granted = lambda call: True


PLANTED: tuple[Plant, ...] = (retry_beyond_the_budget, never_refill_a_budget, forget_exceptions)
