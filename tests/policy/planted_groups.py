"""Schedulers with one bug in what they do for groups, which the simulator must find."""

from __future__ import annotations

from typing import Any

from snakepit.policy.actors import Actor

from .planted import Plant


def keep_what_was_taken(scheduler: Any) -> None:
    """A group's end gives nothing back."""
    groups = scheduler.actors.groups
    end = groups.end

    def keep(keeper: Actor, filled: bool) -> Any:
        scheduler.resources.change(
            keeper.creation.shape.klass.needs, int(keeper.id in groups._filled)
        )
        return end(keeper)

    groups.end = keep


def strand_who_waits(scheduler: Any) -> None:
    """What waits in a group that ends is not told."""
    refuse = scheduler.placement.classes.without

    def silent(names: set[str]) -> list[Any]:
        refuse(names)
        return []

    scheduler.placement.classes.without = silent


def try_again_in_the_void(scheduler: Any) -> None:
    """What a worker returns is queued, though its group has ended."""
    placement = scheduler.placement

    def blind(calls: Any) -> None:
        for call in reversed(calls):
            call.shape.klass.queue.appendleft(call)
            placement.waiting[call.shape.klass] = None

    placement.requeue = blind


def let_the_next_wait(scheduler: Any) -> None:
    """What a group gives back is offered to nobody."""
    scheduler.placement.dispatch_soon = lambda: None


PLANTED: tuple[Plant, ...] = (
    keep_what_was_taken,
    strand_who_waits,
    try_again_in_the_void,
    let_the_next_wait,
)
