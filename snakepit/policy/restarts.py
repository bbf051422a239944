"""Lives of actors that end with their process: what is made anew, and what becomes of the calls."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, final

from ..wire.messages import CREATE
from .actions import Action, Arm
from .actors import ALIVE, DEAD, PENDING, STARTING, Actor
from .calls import DONE, WAITING, Call
from .completion import Completion
from .objects import ObjectTable
from .placement import Placement
from .pools import FAILED, Klass
from .restart import RestartWindow, after_death, may_restart, went_with_zygote
from .timeouts import fields_of, has_expired, may_go_again
from .workers import Worker

if TYPE_CHECKING:
    from .lives import ActorTable


@final
class Restarts:
    """Makes actors anew, as their options and their `RestartWindow` allow.

    Attributes:
        waiting: those, by id, that are made anew when their pool takes calls again.
    """

    def __init__(
        self,
        table: ActorTable,
        objects: ObjectTable,
        placement: Placement,
        completion: Completion,
        actions: deque[Action],
        window: Callable[[], RestartWindow],
    ) -> None:
        """`window` makes what counts the processes that end before their actor is made."""
        self._table = table
        self._objects = objects
        self._placement = placement
        self._completion = completion
        self._actions = actions
        self._window = window
        self.waiting: dict[int, Actor] = {}

    def lost(
        self,
        actor: Actor,
        worker: Worker,
        cause: Mapping[str, Any],
        begun: list[Call],
        guilty: list[Call],
        now: float,
    ) -> None:
        """The actor's process has ended.

        Args:
            actor: which lived there, to itself or among others.
            worker: the process.
            cause: how it ended.
            begun: of its calls, those that the actor ran.
            guilty: those, of all, that may be to blame.
            now: the time.
        """
        table = self._table
        ghosts = table.hosting.ghosts
        mine = [
            call
            for call in worker.inflight.values()
            if worker.actor is actor or (actor.id in (call.id, call.actor) and call not in ghosts)
        ]
        unbegun = [call for call in mine if call not in begun]
        for call in begun + unbegun:
            self._placement.take_back(worker, call)
        # What a method had let go, since it waited, is not to be let go again.
        table.release(actor)
        # Nothing of the user's ran: that is no life of the actor, and costs it none.
        unlived = actor.state is STARTING and not begun and not actor.struck
        in_vain = actor.state is STARTING and not actor.struck and not went_with_zygote(cause)
        window = self._died_in_vain(actor, now) if in_vain else None
        begun = [call for call in begun if call.state is not DONE]
        unbegun = [call for call in unbegun if call.state is not DONE]
        actor.worker = None
        actor.struck = False
        for group in (actor.groups or {}).values():
            group.sent = 0
        if actor.state is DEAD:
            return
        template = actor.creation.shape.template
        reason = actor.leaving or ("killed" if actor.killed else "died")
        fields = {**cause, "reason": reason, "running": [call.name for call in begun]}
        fields["max_restarts"] = template.max_restarts
        final = bool(actor.leaving) or actor.killed
        if window is not None and window.exceeded:
            final = True
            fields.update(window.fields())
        restart = not final and (unlived or may_restart(actor.restarts, template.max_restarts))
        if not restart:
            for call in begun + unbegun:
                if has_expired(call):
                    self._completion.fail_with(call, "task_timeout", **fields_of(call))
                elif call.shape.template.kind != CREATE:
                    self._completion.fail_with(call, "actor_died", actor=template.name, **fields)
            table.end(actor, fields)
            return
        actor.restarts += not unlived
        self._begins_anew(actor)
        self._call_again(actor, begun, unbegun, guilty, fields)
        self._recreate(actor, window.delay if window is not None else 0.0)

    def evicted(self, actor: Actor) -> None:
        """An actor that lives among others is to live on elsewhere, if it may be made again."""
        template = actor.creation.shape.template
        if not may_restart(actor.restarts, template.max_restarts):
            self._table.end(actor, {"reason": "killed"})
            return
        actor.restarts += 1
        running = self._table.moves_out(actor)
        self._begins_anew(actor)
        for call in running:
            refs = call.refs
            if call.shape.template.kind == CREATE:
                # The next life needs the same arguments.
                self._objects.pin(refs)
                self._table.hosting.keep(call)
                call.refs = refs
                continue
            self._table.hosting.keep(call)
            fields = {"deaths": call.deaths, "attempts": call.tries, "reason": "killed"}
            self._completion.fail_with(call, "actor_unavailable", actor=template.name, **fields)
        self._recreate(actor, 0.0)

    def _begins_anew(self, actor: Actor) -> None:
        if actor.state is ALIVE:
            self._objects.pin((actor.id,))
        actor.to("lost")

    def given_back(self, actor: Actor) -> None:
        """Its constructor had not begun, and has come back: another worker may make it."""
        self._table.moves_out(actor)
        actor.to("lost")
        self._recreate(actor, 0.0)

    def _died_in_vain(self, actor: Actor, now: float) -> RestartWindow:
        window = actor.window = actor.window or self._window()
        window.add(now)
        return window

    def _call_again(
        self,
        actor: Actor,
        begun: list[Call],
        unbegun: list[Call],
        guilty: list[Call],
        fields: Mapping[str, Any],
    ) -> None:
        again: list[Call] = []
        for call in begun:
            template = call.shape.template
            if template.kind == CREATE:
                continue
            call.died(guilty=call in guilty)
            verdict = after_death(call.deaths, call.tries, template.max_retries)
            late = has_expired(call) and not may_go_again(call)
            if verdict == "retry" and not call.cancelled and not late:
                call.expired = False
                again.append(call)
            elif has_expired(call):
                self._completion.fail_with(call, "task_timeout", **fields_of(call))
            else:
                kind = "poisoned" if verdict == "poisoned" else "actor_unavailable"
                self._completion.fail_with(
                    call,
                    kind,
                    actor=actor.creation.name,
                    deaths=call.deaths,
                    attempts=call.tries,
                    **fields,
                )
        for call in unbegun:
            if call.cancelled:
                self._completion.fail_with(call, "cancelled")
            elif call.shape.template.kind != CREATE:
                again.append(call)
        for call in reversed(again):
            self._table.again(call)

    def _recreate(self, actor: Actor, delay: float) -> None:
        self._renew(actor)
        if delay and _passes(actor.creation.shape.klass):
            self._actions.append(Arm(delay, f"restart:{actor.id}"))
        else:
            self._resume(actor)

    @staticmethod
    def _renew(actor: Actor) -> None:
        old = actor.creation
        actor.creation = Call(
            old.id, old.shape, old.actor, old.args, old.deps, old.refs, old.caller, old.parent
        )
        if old.state is not DONE:
            old.to("finish")

    def _resume(self, actor: Actor) -> None:
        if _passes(actor.creation.shape.klass):
            self._placement.enqueue(actor.creation)
        else:
            self._placement.turn_away(actor.creation)

    def restart(self, identifier: int) -> None:
        """The back-off of an actor is over, if it still waits for that."""
        entry = self._objects.entries.get(identifier)
        actor = entry.actor if entry is not None else None
        if actor is not None and actor.state is PENDING and actor.creation.state is WAITING:
            self._resume(actor)

    # --- while its pool takes nothing ---------------------------------------------------

    def put_off(self, actor: Actor, kind: str, fields: Mapping[str, Any]) -> bool:
        """Have an actor that has lived wait for its pool, if that takes nothing for a while only.

        An open circuit is tried in any case. A pool that has failed may fail each time: whoever
        waits for the actor is told.

        Returns:
            Whether it waits.
        """
        klass: Klass = actor.creation.shape.klass
        if not actor.restarts or klass.refusal is None or klass.refusal is not klass.pool.failure:
            return False
        self._renew(actor)
        self.waiting[actor.id] = actor
        if klass.pool.state is FAILED:
            queued = [*actor.queued()]
            actor.lanes, actor.unready = {}, {}
            said = {**fields, "reason": kind, "actor": actor.creation.name}
            for call in queued:
                if call.state is not DONE:
                    self._completion.fail_with(call, "actor_unavailable", **said)
        return True

    def released(self, root: str) -> None:
        """A pool, or a variant of it, takes calls again, or its circuit lets one through."""
        for actor in tuple(self.waiting.values()):
            if actor.creation.shape.klass.pool.root == root:
                del self.waiting[actor.id]
                self._resume(actor)


def _passes(klass: Klass) -> bool:
    """Tell whether an actor may be made anew: by a circuit as soon as that is tried."""
    refusal, circuit = klass.refusal, klass.pool.circuit
    if refusal is None:
        return True
    return circuit is not None and refusal is circuit.refusal and circuit.on_trial
