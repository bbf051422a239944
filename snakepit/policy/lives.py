"""The lives of actors: made, called in order, restarted, ended, each by the tables of `actors`."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Hashable, Mapping
from typing import Any, Final, final

from ..wire.messages import CREATE, FAILURE, METHOD
from .actions import Action, Kill, Retire
from .actors import ALIVE, DEAD, STARTING, Actor
from .calls import DONE, Call
from .completion import Completion
from .groups import Groups, is_keeper
from .objects import Entry, ObjectTable
from .placement import Placement
from .restart import RestartWindow
from .restarts import Restarts
from .timeouts import only_given_up
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
        self.restarts = Restarts(self, objects, placement, completion, actions, window)
        self.most_in_mailbox = MOST_IN_MAILBOX
        self.names: dict[tuple[str, str], Actor] = {}
        self.groups = Groups(placement, completion)
        self.hosting = placement.hosting

    # --- made ---------------------------------------------------------------------------

    def create(self, creation: Call, entry: Entry, methods: Any) -> Actor:
        """Take a new actor whose constructor is the call `creation`; it keeps its arguments."""
        actor = entry.actor = Actor(creation, methods)
        template = creation.shape.template
        if actor.pool is not None:
            actor.pool.actors[actor.id] = actor
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

    def place(self, creation: Call, home: Worker | None) -> None:
        """Resources are there for the constructor's class: take them, and a process.

        That is `home`, an idle worker of its pool, or a new one which no pool counts, since it
        never serves a task. A placement group needs none, and is all there then.
        """
        actor = self.of(creation.id)
        if actor.id in self.groups.keepers:
            self.groups.fill(actor)
            return
        shape = creation.shape
        worker = home or self._placement.staff.add(shape.klass.pool, creation.name, shape)
        actor.worker = worker
        actor.to("place")
        self._take(actor)
        if actor.hosted:
            self.hosting.move_in(actor, worker)
            return
        worker.actor = actor
        if worker.state is LIVE:
            self.process_ready(worker)

    def process_ready(self, worker: Worker) -> None:
        """The actor's process takes calls: run the constructor first."""
        actor = worker.actor
        assert actor is not None
        if actor.state is STARTING:
            self._placement.send(worker, actor.creation)

    def made(self, actor: Actor) -> None:
        """The constructor returned: calls may come; what only placing needed is free again."""
        actor.to("made")
        actor.window = None
        template = actor.creation.shape.template
        if not template.resources:
            self.release(actor)
        if not template.max_restarts:
            self._objects.unpin(actor.creation.refs)
            actor.creation.refs = ()
        self.pump(actor)
        self._objects.unpin((actor.id,))
        if self._placement.waiting or self._placement.pinned.held:
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
                worker.actor is actor
                and not call.missing
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
        if not call.missing and (actor.groups is not None or actor.hosted):
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
        if worker is not None and worker.actor is None:
            self.hosting.pump(actor)
            return
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
        if worker is not None and worker.actor is None:
            if no_restart:
                self.end(actor, {"reason": "killed"})
            else:
                self.restarts.evicted(actor)
        elif worker is not None:
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
        worker = actor.worker
        if actor.id in self.groups.keepers or (worker is not None and worker.actor is None):
            self.end(actor, {"reason": "out of scope"})
            return
        self.leaves(actor, "out of scope")
        self._retire(worker)

    def leaves(self, actor: Actor, reason: str) -> None:
        """It ends with its worker, which is not started again; its name is free at once."""
        actor.leaving = actor.leaving or reason
        self._unname(actor)

    def give_up(self, actor: Actor, fields: Mapping[str, Any]) -> None:
        """It was not made: nothing can be called, now or later."""
        worker = actor.worker
        self.end(actor, fields)
        if worker is not None and worker.actor is actor:
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

    def end(self, actor: Actor, fields: Mapping[str, Any]) -> None:
        """The actor is dead: so are its calls, and its name is free."""
        running = self.moves_out(actor)
        made = actor.state is ALIVE
        unmade = not made and self._held_unmade(actor)
        actor.to("end")
        self.restarts.waiting.pop(actor.id, None)
        name = actor.creation.name
        actor.failure = ["actor_died", {**fields, "actor": name, "call": name}]
        self._unname(actor)
        creation = actor.creation
        if actor.pool is not None:
            del actor.pool.actors[actor.id]
        if creation.state is not DONE:
            creation.to("finish")
        for call in running:
            self.hosting.keep(call)
        queued = running + list(actor.queued())
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

    def refuse(self, call: Call, kind: str, fields: Mapping[str, Any]) -> None:
        """End a call that nobody is to run, for this reason; with a constructor its actor.

        One that has lived waits until its pool takes calls again, if that does.
        """
        if call.state is DONE:
            return  # The end of another was its end too.
        if call.shape.template.kind == CREATE:
            actor = self.of(call.id)
            if not self.restarts.put_off(actor, kind, fields):
                self.end(actor, {"reason": kind, **fields})
        else:
            self._completion.fail_with(call, kind, **fields)

    def unmade(self, worker: Worker, fields: Mapping[str, Any]) -> None:
        """The actor's process, which nobody has begun to fork, never will be."""
        actor = worker.actor
        assert actor is not None
        self.release(actor)
        actor.worker = None
        if actor.state is not DEAD:
            reason = actor.leaving or ("killed" if actor.killed else "interpreter")
            self.end(actor, {**fields, "reason": reason})

    def moves_out(self, actor: Actor) -> list[Call]:
        """It does not live any longer where it did among others; return what runs there still."""
        worker = actor.worker
        if worker is None or worker.actor is not None:
            return []
        self.release(actor)
        return self.hosting.move_out(actor)

    # --- resources ----------------------------------------------------------------------

    def _take(self, actor: Actor) -> None:
        actor.holds = True
        self._placement.resources.change(actor.creation.shape.klass.needs, 1)

    def release(self, actor: Actor) -> None:
        """It holds nothing any more."""
        if actor.holds:
            actor.holds = False
            self._placement.resources.change(actor.creation.shape.klass.needs, -1)

    def pause(self, actor: Actor, resume: bool) -> None:
        """The actor's method waits, or goes on: it uses nothing meanwhile."""
        if actor.groups is not None:
            return  # The calls beside it use what the actor holds.
        if not resume:
            self.release(actor)
        elif not actor.holds and (
            actor.state is STARTING or actor.creation.shape.template.resources
        ):
            self._take(actor)
