"""The books on priorities: nobody leaves a queue before one of more priority that could have."""

from __future__ import annotations

from typing import TYPE_CHECKING, final

from snakepit.policy import actions as do
from snakepit.policy.calls import READY, Call
from snakepit.wire.messages import TASK

if TYPE_CHECKING:
    from .world import World


@final
class Ranks:
    """The priorities of the tasks of one world."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.of: dict[int, int] = {}
        self.waiting: list[Call] = []

    def submitted(self, call: Call) -> None:
        """A task has come: it has at least the priority of the task that made it."""
        if call.shape.template.kind != TASK:
            return
        inherited = self.of.get(call.parent, 0)
        own = call.shape.template.priority
        self.of[call.id] = max(own, inherited) if inherited > 0 else own

    def before(self) -> None:
        """Note who waits in a queue, before an event."""
        self.waiting = [
            task.call
            for task in self.world.tasks.values()
            if task.call.id in self.of and task.call.state is READY and task.call.session is None
        ]

    def after(self, name: str, actions: list[do.Action]) -> None:
        """Compare what was sent with what still waits.

        What an event makes ready may go before the event has freed all that it frees.
        """
        if self.world.scheduler.placement._due:
            return  # There is to be another look, at once.
        for action in actions:
            if type(action) is not do.Send or action.nested or action.call.session is not None:
                continue
            if name == "submit" or action.call in self.waiting:
                self._sent(action.call)

    def _sent(self, call: Call) -> None:
        rank = self.of.get(call.id)
        if rank is None:
            return
        pool = call.shape.klass.pool
        held = dict(call.shape.klass.needs)
        free = self.world.scheduler.resources.free
        for other in self.waiting:
            klass = other.shape.klass
            if other.state is not READY or klass.pool is not pool or self.of[other.id] <= rank:
                continue
            fits = all(
                amount <= free.get(name, 0) + held.get(name, 0) for name, amount in klass.needs
            )
            self.world.require(not fits, f"{call!r} is sent before {other!r}, of more priority")
