"""The lives of actors: made, called in order, restarted, ended, each by the tables of `actors`."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Hashable, Mapping
from typing import Any, Final, final

from ..wire.messages import CREATE, FAILURE, METHOD
from .actions import Action, Arm, Kill, Retire
from .actors import ALIVE, DEAD, PENDING, STARTING, Actor
from .calls import DONE, WAITING, Call
from .completion import Completion
from .groups import Groups, is_keeper
from .objects import Entry, ObjectTable
from .placement import Placement
from .restart import RestartWindow, after_death, blamed, may_restart, went_with_zygote
from .timeouts import fields_of, has_expired, may_go_again, only_given_up
from .workers import LIVE, Worker

MOST_IN_MAILBOX: Final = 512
"""Calls that an actor's mailbox holds; the others wait in its lanes."""


@final
class ActorTable:
    """All actors that handles or calls still refer to."""

    def __init__(
        self,
        objects: ObjectTable,
        placement: Placement,
        completion: Completion,
        actions: deque[Action],
        window: Callable[[], RestartWindow],
    ) -> None:
        """`window` makes what counts the processes that end before their actor is made."""
        self._objects = objects
        self._placement = placement
        self._completion = completion
        self._actions = actions
        self._window = window
        self.most_in_mailbox = MOST_IN_MAILBOX
        self.names: dict[tuple[str, str], Actor] = {}
        self.groups = Groups(placement, completion)

    # --- made ---------------------------------------------------------------------------

    def create(self, creation: Call, entry: Entry, methods: Any) -> Actor:
        """Take a new actor whose constructor is the call `creation`; it keeps its arguments."""
        actor = entry.actor = Actor(creation, methods)
        template = creation.shape.template
        if is_keeper(template):
            self.groups.announce(actor)
        if template.actor_name:
            actor.name = (template.namespace, template.actor_name)
            if actor.name in self.names:
                self._objects.pin((actor.id,) * (self._held_unmade(actor) + template.detached))
                self.end(actor, {"reason": "name_taken", "name": template.actor_name})
                return actor
            self.names[actor.name] = actor
        self._objects.pin((actor.id,) * (self._held_unmade(actor) + template.detached))
        return actor

    def _held_unmade(self, actor: Actor) -> bool:
        """Tell whether it is to be made even if nobody is left to call it.

        A constructor may have effects. To set something aside for nobody has none.
        """
        return actor.id not in self.groups.keepers

    def place(self, creation: Call) -> None:
        """Resources are there for the constructor's class: take them and start a process.

        Without one for a placement group, which is all there then.
        """
        actor = self.of(creation.id)
        if actor.id in self.groups.keepers:
            self.groups.fill(actor)
            return
        worker = self._placement.staff.add(creation.shape.klass.pool, creation.name, creation.shape)
        # It belongs to no pool's count: it never serves a task.
        worker.actor = actor
        actor.worker = worker
        actor.to("place")
        self._take(worker, creation.shape.klass.needs)

    def process_ready(self, worker: Worker) -> None:
        """The actor's process takes calls: run the constructor first."""
        actor = worker.actor
        assert actor is not None
        if actor.state is STARTING:
            self._placement.send(worker, actor.creation)

    def made(self, actor: Actor) -> None:
        """The constructor returned: calls may come; what only placing needed is free again."""
        worker = actor.worker
        assert worker is not None
        actor.to("made")
        actor.window = None
        template = actor.creation.shape.template
        if not template.resources:
            self._release(worker)
        if not template.max_restarts:
            self._objects.unpin(actor.creation.refs)
            actor.creation.refs = ()
        self.pump(actor)
        self._objects.unpin((actor.id,))
        if self._placement.waiting or self._placement.sessions.held:
            self._placement.dispatch_all()

    # --- called -------------------------------------------------------------------------

    def of(self, identifier: int) -> Actor:
        """Return the actor of an id that something keeps alive."""
        actor = self._objects.entries[identifier].actor
        assert actor is not None
        return actor

    def submit(self, call: Call) -> None:
        """Take a method call, whose arguments may be missing still."""
        entry = self._objects.entries.get(call.actor)
        actor = entry.actor if entry is not None else None
        if actor is None:
            self._completion.fail_with(call, "actor_died", actor=call.name, reason="out of scope")
            return
        worker = actor.worker
        if actor.state is ALIVE and worker is not None:
            if (
                not call.missing
                and actor.groups is None
                and call.caller not in actor.lanes
                and worker.state is LIVE
                and len(worker.inflight) < self.most_in_mailbox
            ):
                self._placement.send(worker, call)
                return
        elif actor.state is DEAD:
            self._completion.fail(call, FAILURE, actor.failure)
            return
        elif actor.state is ALIVE and actor.id in self.groups.keepers:
            self.groups.answer(call)
            return
        self._line_up(actor, call)
        if actor.groups is not None and not call.missing:
            self.pump(actor)

    def _line_up(self, actor: Actor, call: Call) -> None:
        if actor.groups is not None and call.missing:
            actor.unready[call.id] = call
        else:
            actor.lanes.setdefault(actor.lane_of(call), deque()).append(call)

    def ready(self, call: Call) -> None:
        """A call's last argument has come."""
        actor = self.of(call.actor)
        if actor.unready.pop(call.id, None) is not None:
            self._line_up(actor, call)
        self.pump(actor)

    def answered(self, actor: Actor, call: Call) -> None:
        """A call has left the actor's process: others may come."""
        if actor.groups is not None and call.shape.template.kind == METHOD:
            actor.groups[call.shape.template.group].sent -= 1
        if actor.lanes:
            self.pump(actor)

    def again(self, call: Call) -> None:
        """Put a call that was sent back at the head of its lane."""
        call.to("wait")
        actor = self.of(call.actor)
        actor.lanes.setdefault(actor.lane_of(call), deque()).appendleft(call)

    def pump(self, actor: Actor) -> None:
        """Send what may be sent: of each lane from its head, up to a call that must wait."""
        worker = actor.worker
        if actor.lanes and actor.state is ALIVE and worker is not None and worker.state is LIVE:
            for lane in tuple(actor.lanes):
                if actor.groups is None and len(worker.inflight) >= self.most_in_mailbox:
                    break
                self._pump_lane(actor, worker, lane)

    def ended_unsent(self, call: Call) -> None:
        """A call has ended before it was sent: those behind it in its lane may be ready."""
        entry = self._objects.entries.get(call.actor)
        if entry is not None and entry.actor is not None:
            entry.actor.unready.pop(call.id, None)
            self.pump(entry.actor)

    def _pump_lane(self, actor: Actor, worker: Worker, key: Hashable) -> None:
        # Each lane goes behind the others: when the mailbox is full, they take turns.
        lane = actor.lanes.pop(key)
        while lane and self._has_room(actor, worker, lane[0]):
            call = lane[0]
            if call.state is DONE:
                lane.popleft()
            elif call.missing:
                break
            else:
                lane.popleft()
                if actor.groups is not None:
                    actor.groups[call.shape.template.group].sent += 1
                self._placement.send(worker, call)
        if lane:
            actor.lanes[key] = lane

    def _has_room(self, actor: Actor, worker: Worker, call: Call) -> bool:
        """Tell whether the mailbox takes another call.

        Each group has room of its own, beyond what it may run: what one group's calls wait for may
        be a call of another group, or one more of their own.
        """
        if actor.groups is None:
            return len(worker.inflight) < self.most_in_mailbox
        group = actor.groups[call.shape.template.group]
        return group.sent < group.limit + self.most_in_mailbox

    # --- ended --------------------------------------------------------------------------

    def kill(self, actor: Actor, no_restart: bool) -> None:
        """End the actor's process; with `no_restart` the actor too."""
        if actor.state is DEAD:
            return
        if no_restart:
            actor.killed = True
            self._unname(actor)
        worker = actor.worker
        if worker is not None:
            actor.struck = True
            if worker.state is LIVE:
                # Until it is dead it may answer: what is called from now on must not reach it.
                worker.to("retire")
            self._actions.append(Kill(worker.number))
        elif no_restart:
            self.end(actor, {"reason": "killed"})

    def unreachable(self, actor: Actor) -> None:
        """No handle and no call is left."""
        if actor.state is DEAD:
            return
        if actor.id in self.groups.keepers:
            self.end(actor, {"reason": "out of scope"})
            return
        self.leaves(actor, "out of scope")
        self._retire(actor.worker)

    def leaves(self, actor: Actor, reason: str) -> None:
        """It ends with its worker, which is not started again; its name is free at once."""
        actor.leaving = actor.leaving or reason
        self._unname(actor)

    def give_up(self, actor: Actor, fields: Mapping[str, Any]) -> None:
        """It was not made: nothing can be called, now or later."""
        worker = actor.worker
        self.end(actor, fields)
        self._retire(worker)

    def _retire(self, worker: Worker | None) -> None:
        if worker is not None and worker.state is LIVE:
            worker.to("retire")
            # One that has nothing but calls that were given up might never come to its end.
            action = Kill if only_given_up(worker) else Retire
            self._actions.append(action(worker.number))

    def _unname(self, actor: Actor) -> None:
        if actor.name is not None and self.names.get(actor.name) is actor:
            del self.names[actor.name]

    def lost(self, worker: Worker, cause: Mapping[str, Any], begun: list[Call], now: float) -> None:
        """The actor's process has ended while the calls in `begun` ran; others were not begun."""
        actor = worker.actor
        assert actor is not None
        self._release(worker)
        guilty = blamed(cause, begun, worker.blocked)
        unbegun = [call for call in worker.inflight.values() if call not in begun]
        for call in begun + unbegun:
            self._placement.take_back(worker, call)
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
            self.end(actor, fields)
            return
        actor.restarts += not unlived
        if actor.state is ALIVE:
            self._objects.pin((actor.id,))
        actor.to("lost")
        self._call_again(actor, begun, unbegun, guilty, fields)
        self._recreate(actor, window.delay if window is not None else 0.0)

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
            self.again(call)

    def _recreate(self, actor: Actor, delay: float) -> None:
        old = actor.creation
        actor.creation = Call(
            old.id, old.shape, old.actor, old.args, old.deps, old.refs, old.caller, old.parent
        )
        if old.state is not DONE:
            old.to("finish")
        if delay and old.shape.klass.refusal is None:
            self._actions.append(Arm(delay, f"restart:{actor.id}"))
        else:
            self._placement.resume(actor.creation)

    def restart(self, identifier: int) -> None:
        """The back-off of an actor is over, if it still waits for that."""
        entry = self._objects.entries.get(identifier)
        actor = entry.actor if entry is not None else None
        if actor is not None and actor.state is PENDING and actor.creation.state is WAITING:
            self._placement.resume(actor.creation)

    def end(self, actor: Actor, fields: Mapping[str, Any]) -> None:
        """The actor is dead: so are its calls, and its name is free."""
        made = actor.state is ALIVE
        unmade = not made and self._held_unmade(actor)
        actor.to("end")
        name = actor.creation.name
        actor.failure = ["actor_died", {**fields, "actor": name, "call": name}]
        self._unname(actor)
        creation = actor.creation
        if creation.state is not DONE:
            creation.to("finish")
        queued = list(actor.queued())
        actor.lanes = {}
        actor.unready = {}
        for call in queued:
            if call.state is not DONE:
                self._completion.fail(call, FAILURE, actor.failure)
        self._objects.unpin(creation.refs)
        if unmade:
            self._objects.unpin((actor.id,))
        if creation.shape.template.detached:
            self._objects.unpin((actor.id,))
        if actor.id in self.groups.keepers:
            for call in self.groups.end(actor, filled=made):
                self._placement.turn_away(call)

    def unmade(self, worker: Worker, fields: Mapping[str, Any]) -> None:
        """The actor's process, which nobody has begun to fork, never will be."""
        actor = worker.actor
        assert actor is not None
        self._release(worker)
        actor.worker = None
        if actor.state is not DEAD:
            reason = actor.leaving or ("killed" if actor.killed else "interpreter")
            self.end(actor, {**fields, "reason": reason})

    # --- resources ----------------------------------------------------------------------

    def _take(self, worker: Worker, needs: tuple[tuple[str, int], ...]) -> None:
        worker.units = 1
        self._placement.resources.change(needs, 1)

    def _release(self, worker: Worker) -> None:
        actor = worker.actor
        assert actor is not None
        if worker.units:
            worker.units = 0
            self._placement.resources.change(actor.creation.shape.klass.needs, -1)

    def pause(self, worker: Worker, resume: bool) -> None:
        """The actor's method waits, or goes on: it uses nothing meanwhile."""
        actor = worker.actor
        assert actor is not None
        if actor.groups is not None:
            return  # The calls beside it use what the actor holds.
        if not resume:
            self._release(worker)
        elif not worker.units and (
            actor.state is STARTING or actor.creation.shape.template.resources
        ):
            self._take(worker, actor.creation.shape.klass.needs)
