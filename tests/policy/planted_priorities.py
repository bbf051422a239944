"""Bugs of priorities, which the simulator has to find."""

from __future__ import annotations

from typing import Any


def take_turns_whatever_the_priority(scheduler: Any) -> None:
    """A free worker serves the classes in the order in which they came to wait."""
    classes = scheduler.placement.classes
    classes.in_order = lambda: tuple(classes.waiting)


def go_on_whoever_waits(scheduler: Any) -> None:
    """A worker goes on with its own class though one of more priority waits."""
    scheduler.placement._contended = lambda klass: False


def bequeath_nothing(scheduler: Any) -> None:
    """What a task makes has no more priority than it says itself."""
    scheduler._shapes.inherit = lambda call, caller: None


PLANTED = (take_turns_whatever_the_priority, go_on_whoever_waits, bequeath_nothing)
