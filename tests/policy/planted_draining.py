"""Schedulers that drain pools with one bug each, which the simulator must find."""

from __future__ import annotations

from typing import Any

from snakepit.policy.calls import Call


def take_new_calls(scheduler: Any) -> None:
    """A pool that drains takes calls as ever."""
    scheduler.drains.refuses = lambda call: False


def refuse_its_own_calls_too(scheduler: Any) -> None:
    """What its calls need to come to an end is refused."""
    scheduler.drains._workers = {}


def refuse_what_it_has(scheduler: Any) -> None:
    """A call that was taken before is refused when its argument comes, or for its next try."""
    placement = scheduler.placement
    resume = placement.resume

    def strict(call: Call) -> None:
        if scheduler.drains.refuses(call):
            scheduler.completion.fail_with(call, "pool_draining", pool="main")
        else:
            resume(call)

    placement.resume = strict


def never_resume(scheduler: Any) -> None:
    """A pool that has drained once takes no calls any more."""
    scheduler.drains.resume = lambda pool: None


PLANTED = (
    take_new_calls,
    refuse_its_own_calls_too,
    refuse_what_it_has,
    never_resume,
)
