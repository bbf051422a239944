"""Cancels: what has not begun fails at once, what runs is interrupted, or ended with its worker."""

from __future__ import annotations

from collections import deque
from typing import final

from .actions import Action, Arm, Interrupt
from .calls import DONE, SENT, Call
from .completion import Completion
from .lives import ActorTable
from .objects import ObjectTable
from .placement import Placement
from .timeouts import FORCE_GRACE, UNHEARD, stands_behind


@final
class Cancelling:
    """Cancels calls by the objects that they make."""

    def __init__(
        self,
        objects: ObjectTable,
        placement: Placement,
        completion: Completion,
        actors: ActorTable,
        actions: deque[Action],
    ) -> None:
        self._objects = objects
        self._placement = placement
        self._completion = completion
        self._actors = actors
        self._actions = actions

    def cancel(self, identifier: int, force: bool, recursive: bool) -> None:
        """Cancel the call that makes this object; nothing happens when it has ended.

        Raises:
            ValueError: `force` would end an actor, which is what `kill` is for.
        """
        entry = self._objects.entries.get(identifier)
        call = entry.call if entry is not None else None
        if call is None:
            return
        if force and call.actor:
            raise ValueError(
                f"cancel(force=True) cannot be used for {call.name}, a call to an actor: it would "
                "end the actor. Use cancel() without force, or kill() for the actor"
            )
        calls = self._family(call) if recursive else [call]
        # The latest first: to fail an earlier one may send what waited behind it.
        for each in reversed(calls):
            self._cancel(each, force and not each.actor)

    def _family(self, root: Call) -> list[Call]:
        """Return the call and all that it and they made, in the order they were made."""
        calls = {root.id: root}
        for entry in self._objects.entries.values():
            call = entry.call
            if call is not None and call.parent in calls:
                calls[call.id] = call
        return list(calls.values())

    def _cancel(self, call: Call, force: bool) -> None:
        if call.state is SENT:
            call.cancelled = True
            self._actions.append(Interrupt(call.worker, call.id, force))
            worker = self._placement.workers.get(call.worker)
            if worker is not None and stands_behind(worker, call):
                self._actions.append(Arm(UNHEARD, f"unheard:{call.worker}:{call.id}"))
            if force:
                self._actions.append(Arm(FORCE_GRACE, f"force:{call.worker}:{call.id}"))
        elif call.state is not DONE:
            self._completion.fail_with(call, "cancelled")
            if call.actor:
                self._actors.ended_unsent(call)
            else:
                self._placement.dispatch(call.shape.klass)
