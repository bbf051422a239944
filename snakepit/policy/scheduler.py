"""The scheduler: every event of a runtime, and what is to be done about it.

Each method takes one event and leaves actions in `actions`, in the order in which the shell is to
perform them; the shell empties the list. Promises, checked by the simulator after each event:

* a call resolves exactly once, whatever dies; what had not begun is sent again without a cost;
* resources in use are the sum of what running calls and actors hold, and return to the total;
* an object lives exactly as long as a handle, a call or a living object refers to it;
* calls of one caller to one actor are sent in the order they were made.

They assume that events of one worker come in the order that it sent them, and that the shell holds
one lock around each call of a method and the taking of its actions. Nothing relies on the GIL.

Of a worker they assume that

* it begins calls in the order of its mailbox: what it has not begun when it begins a later one it
  has given back, or answered;
* `blocked` gives back all that it has not begun, nested calls too; while it waits it gives back
  what comes, but for nested calls, of which it begins one at once; back in a call that waits, or
  in one that does not wait any more, it gives back the nested calls that are left. An actor's
  worker gives nothing back;
* `unblocked` comes before the result of a call that was blocked, and what it wants before
  `blocked`;
* it reports new handles before any later message, and lost ones after those that mention them;
* the payload of an error is never an extent of the store: many objects may share it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any, final

from ..wire.messages import CREATE, ERROR, FAILURE, METHOD, OK, Payload
from .actions import Action, Free, Kill, Retire, Tell
from .actors import DEAD as ACTOR_DEAD
from .actors import Actor
from .answers import Answers
from .answers import UnknownCall as UnknownCall
from .calls import DONE, Call
from .cancelling import Cancelling
from .completion import Completion
from .draining import Draining
from .lives import ActorTable
from .nesting import find_waiter, hasten
from .objects import PENDING, Entry, ObjectTable
from .placement import Placement
from .pools import Pool
from .readiness import Readiness
from .recovery import Recovery
from .resources import UNIT, Resources
from .restart import RestartWindow
from .shapes import Shapes
from .streams import Streams
from .supervision import Supervision
from .timeouts import Timeouts
from .timers import Timers


@final
class Scheduler:
    """Tables and rules of one runtime."""

    def __init__(
        self,
        resources: Mapping[str, float],
        pools: Sequence[Pool],
        cores: int,
        window: Callable[[], RestartWindow],
        home: str = "",
    ) -> None:
        """`resources` are totals by name; `cores` run calls; `home` is the usual interpreter.

        `window` makes what counts restarts in vain: each zygote's, and each actor's.
        """
        self.actions: deque[Action] = deque()
        self.resources = Resources({k: round(v * UNIT) for k, v in resources.items()})
        self.objects = ObjectTable(self._gone)
        self.placement = Placement(self.resources, self.actions, list(pools), cores, home)
        self.completion = Completion(self.objects, self.actions, self._ready, self._refuse)
        self.streams = Streams(self.objects, self.completion, self.actions)
        self.actors = ActorTable(
            self.objects, self.placement, self.completion, self.actions, window
        )
        self._shapes = Shapes(self.placement.classes)
        self.shape = self._shapes.of
        workers = self.placement.workers
        self.drains = Draining(workers, self.completion, self.actions)
        self._answers = Answers(self.placement, self.completion, self.actors, self.drains)
        self._cancelling = Cancelling(
            self.objects, self.placement, self.completion, self.actors, self.actions
        )
        self._recovery = Recovery(self.placement, self.completion, self.actors)
        self._readiness = Readiness(self.completion, self.drains)
        self.supervision = Supervision(
            self.placement, self.completion, self.actors, self._recovery, self._readiness,
            self.actions, window, self.close,
        )  # fmt: skip
        self.zygotes = self.supervision.zygotes
        self.timeouts = Timeouts(workers, self.objects, self.completion, self.actions)
        self.placement.hosting.keep, self._recovery.left = self.timeouts.keep, self.timeouts.left
        self._timers = Timers(
            self.placement, self.supervision, self.actors, self.timeouts, self.drains, self.actions
        )
        growth = self.placement.growth
        growth.find_waiter = partial(find_waiter, objects=self.objects, workers=workers)
        self.sessions = sessions = self.placement.sessions
        sessions.fail, sessions.pinned.maker = self.completion.fail_with, self.objects.maker
        self.completion.session_ended = self.sessions.ended
        self.placement.place_actor = self.actors.place
        self.placement.admission.fail = self.completion.fail_with
        self.placement.turn_away = self._answers.turn_away
        self.closed: Any = None

    # --- calls --------------------------------------------------------------------------

    def submit(self, call: Call) -> None:
        """Take a new task or method call; its caller gets a handle on each return."""
        if call.parent and self.placement.classes.ranked:
            self._shapes.inherit(call, self.placement.workers.get(call.caller))
        shape = call.shape
        if shape.returns == 1:
            self.objects.add(call.id, call, call.caller)
        else:
            holder = call.caller if shape.returns else None
            for identifier in call.returns:
                self.objects.add(identifier, call, holder)
            if shape.returns < 0:
                self.streams.open(call)
        if call.refs:
            self.objects.pin(call.refs)
        if shape.template.max_pending:
            self.completion.count(call)
        if shape.tally is not None:
            shape.tally.requests += 1
        refusable = call.deps or self.drains.active or shape.klass.refusal is not None
        if call.session is not None:
            call.session.made += 1
            refusable = refusable or call.session.refusal is not None
        if refusable and self._refused(call):
            return
        if call.actor:
            self.actors.submit(call)
        elif shape.tally is None:
            self._readiness.wait(call)
        elif not call.missing:
            self.placement.enqueue(call)

    def create(self, call: Call, methods: Any) -> Actor:
        """Take a new actor; its caller gets a handle on it."""
        entry = self.objects.add(call.id, None, call.caller)
        self.objects.pin(call.refs)
        actor = self.actors.create(call, entry, methods)
        if actor.state is ACTOR_DEAD:
            return actor
        if self.closed is not None:
            self.actors.end(actor, {"reason": "shutdown"})
        elif not self._refused(call) and not call.missing:
            self._ready(call)
        return actor

    def _refused(self, call: Call) -> bool:
        """Count the arguments that are missing; fail a call that can never run, and say so."""
        if self.closed is not None:
            self.completion.fail(call, FAILURE, self.closed)
            return True
        if call.session is not None and call.session.refusal is not None:
            kind, fields = call.session.refusal
            self.completion.fail_with(call, kind, **fields)
            return True
        if self._answers.turns_away(call):
            return True
        for _, identifier in call.deps:
            entry = self.objects.entries.get(identifier)
            if entry is None:
                self._fail_call(call, FAILURE, ["object_lost", {"call": call.name}])
                return True
            if entry.outcome == PENDING:
                call.missing += 1
                if entry.dependents is None:
                    entry.dependents = []
                entry.dependents.append(call)
            elif entry.outcome != OK:
                self._refuse(call, entry)
                return True
        return False

    def _refuse(self, call: Call, argument: Entry) -> None:
        """End a call one of whose arguments is an error."""
        self._fail_call(call, argument.outcome, argument.payload, argument.refs)
        if call.actor and self.closed is None:
            self.actors.ended_unsent(call)

    def _fail_call(self, call: Call, outcome: int, payload: Any, refs: Iterable[int] = ()) -> None:
        if call.shape.template.kind == CREATE:
            cause = {"cause": payload} if outcome == ERROR else {"failure": payload}
            self.actors.end(self.actors.of(call.id), {"reason": "argument", **cause})
        else:
            self.completion.fail(call, outcome, payload, refs)

    def _ready(self, call: Call) -> None:
        if call.shape.template.kind == METHOD:
            self.actors.ready(call)
        else:
            self.placement.resume(call)

    def result(
        self,
        number: int,
        identifier: int,
        outcome: int,
        values: Sequence[Payload],
        contained: Sequence[list[int]],
        micros: int,
        kept: Sequence[int],
    ) -> None:
        """A worker has ended a call; it keeps handles on `kept`.

        Raises:
            UnknownCall: it does not have that call, or this cannot be its answer.
        """
        worker = self.placement.workers[number]
        call = worker.inflight.get(identifier)
        if call is None:
            raise UnknownCall(f"worker {number} answered for call {identifier:x}")
        shape = call.shape
        if outcome != OK or len(values) != shape.returns:
            self._answers.check(worker, call, outcome, values)
        if kept:
            self.objects.hold(number, kept)
        self.placement.take_back(worker, call)
        worker.results += 1
        if worker.results >= worker.enough:
            self.supervision.progress(worker)
        if shape.klass.refusal is not None:
            self.supervision.barrier.answered(call, outcome)
        if call.state is DONE:
            self.timeouts.left(call, outcome, values)
        elif shape.klass.creates:
            self._answers.constructed(worker, call, outcome, values)
        elif outcome == OK:
            shape.learn(micros)
            self.completion.succeed(call, values, contained)
        else:
            self._answers.unsuccessful(worker, call, outcome, values, contained)
        if worker.actor is None:
            if worker.tenants is not None:
                self.placement.hosting.left(worker, call)
            self.placement.served(worker, call)
        else:
            self.actors.answered(worker.actor, call)

    def item(
        self,
        number: int,
        identifier: int,
        index: int,
        item: int,
        payload: Payload,
        refs: Iterable[int],
    ) -> None:
        """A worker's generator has yielded its item number `index`, the object `item`.

        Raises:
            UnknownCall: the worker does not have that call, or it is none that yields.
        """
        call = self.placement.workers[number].inflight.get(identifier)
        if call is None or call.shape.returns >= 0:
            raise UnknownCall(f"worker {number} yielded for call {identifier:x}")
        self.streams.item(call, index, item, payload, refs)

    def undeliverable(self, number: int, identifier: int, reason: str) -> None:
        """The shell could not put a call into its worker's mailbox."""
        worker = self.placement.workers[number]
        call = worker.inflight[identifier]
        self.placement.take_back(worker, call)
        if call.state is DONE:
            pass  # The runtime was closed meanwhile.
        elif call.shape.klass.creates:
            call.to("finish")
            self.actors.give_up(self.actors.of(call.id), {"reason": reason})
        else:
            self.completion.fail_with(call, "object_lost", reason=reason)
        if worker.actor is None:
            self.placement.hosting.left(worker, call)
            self.placement.served(worker, call)
        else:
            self.actors.answered(worker.actor, call)

    def given_back(self, number: int, ids: Iterable[int]) -> None:
        """A worker returns calls that it has not begun."""
        worker = self.placement.workers[number]
        self._recovery.unbegun(worker, [worker.inflight[i] for i in ids if i in worker.inflight])
        self.placement.settle(worker)
        self.placement.rest(worker)
        self.placement.dispatch_all()

    def blocked(
        self, number: int, identifier: int, ids: Sequence[int], every: bool, back: Sequence[int]
    ) -> None:
        """A running call waits for `ids`, and nothing else; its worker gives `back` back."""
        worker = self.placement.workers[number]
        call = worker.inflight.get(identifier)
        self._recovery.unbegun(worker, [worker.inflight[i] for i in back if i in worker.inflight])
        if call is not None and any(map(self.pending, ids)):
            begins = self.placement.block(worker, identifier, tuple(ids), every)
            self.placement.waiting.update(hasten(ids, self.objects))
            actor = worker.actor or self.placement.hosting.of(worker, call)
            if actor is not None:
                self.actors.pause(actor, resume=False)
            elif begins and (call.nested or worker.slots > 1):
                self.resources.change(call.shape.klass.uses, -1)
        self.placement.settle(worker)
        self.sessions.pinned.awaited(ids)
        self.placement.dispatch_all()

    def unblocked(self, number: int, identifier: int) -> None:
        """The call goes on, on resources that it takes back even where others use them now."""
        worker = self.placement.workers[number]
        if not self.placement.unblock(worker, identifier):
            return
        call = worker.inflight[identifier]
        actor = worker.actor or self.placement.hosting.of(worker, call)
        if actor is not None:
            self.actors.pause(actor, resume=True)
        elif call.nested or worker.slots > 1:
            self.resources.change(call.shape.klass.uses, 1)
        else:
            self.placement.settle(worker)

    # --- cancel and kill ----------------------------------------------------------------

    def cancel(self, identifier: int, *, force: bool, recursive: bool) -> None:
        """Cancel the call that makes this object, and with `recursive` those that it made.

        Raises:
            ValueError: `force` would end an actor, which is what `kill` is for.
        """
        self._cancelling.cancel(identifier, force, recursive)

    def kill(self, identifier: int, no_restart: bool) -> None:
        """End an actor's process at once."""
        entry = self.objects.entries.get(identifier)
        if entry is not None and entry.actor is not None:
            self.actors.kill(entry.actor, no_restart)

    def find_actor(self, namespace: str, name: str) -> Actor | None:
        """Return the living actor of that name, or None; to know it does not keep it alive."""
        return self.actors.names.get((namespace, name))

    # --- objects ------------------------------------------------------------------------

    def put(self, identifier: int, payload: Payload, refs: Iterable[int], holder: int) -> None:
        """A process has stored a value, on which it has one handle."""
        entry = self.objects.add(identifier, None, holder)
        self.objects.settle(entry, OK, payload, refs)

    def pending(self, identifier: int) -> bool:
        """Tell whether the object is known and has no value yet."""
        entry = self.objects.entries.get(identifier)
        return entry is not None and entry.outcome == PENDING

    def want(self, number: int, ids: Iterable[int], values: bool) -> None:
        """A worker wants to be sent these objects, or to know when they are there."""
        for identifier in ids:
            entry = self.objects.entries.get(identifier)
            if entry is not None and entry.outcome == PENDING:
                if entry.wanted is None:
                    entry.wanted = []
                # Who polls asks again and again.
                if (number, values) not in entry.wanted:
                    entry.wanted.append((number, values))
            else:
                self.actions.append(Tell(number, identifier, values))

    def _gone(self, entry: Entry) -> None:
        if entry.actor is not None:
            self.actors.unreachable(entry.actor)
        elif entry.outcome == OK and type(entry.payload) is not bytes:
            self.objects.forget_value(entry)
            self.actions.append(Free(entry.id, entry.payload))

    # --- workers ------------------------------------------------------------------------

    def hello(self, number: int) -> None:
        """A worker is ready."""
        worker = self.placement.workers[number]
        worker.to("hello")
        self.objects.held.setdefault(number, set())
        self.placement.staff.started(worker)
        if worker.actor is not None:
            if worker.actor.state is ACTOR_DEAD:
                worker.to("retire")
                self.actions.append(Retire(number))
            elif worker.actor.killed:
                # It was not there yet when it was to be killed.
                self.actions.append(Kill(number))
            else:
                self.actors.process_ready(worker)
        else:
            self.placement.recycling.ready(worker)
            self.placement.rest(worker)
            self.placement.dispatch_all()
            self._readiness.look(worker.pool)

    def died(self, number: int, cause: Mapping[str, Any], started: int, now: float) -> None:
        """A worker's process has ended; `started` is the sequence of the last call that it began.

        `cause` says how, for errors: exit_code, signal, stderr, pid; zygote, if it went with that;
        or spawn, if it never was. `now` is in seconds, of a clock that never goes back.
        """
        self.supervision.died(self.placement.workers[number], cause, started, now)
        self.timeouts.forget(number)
        self.objects.forget_process(number)
        self.placement.dispatch_all()

    # --- time ---------------------------------------------------------------------------

    def tick(self, key: str, now: float = 0.0) -> None:
        """A timer that `Arm` asked for has run out; `now` as in `died`."""
        self._timers.tick(key, now)

    # --- the end ------------------------------------------------------------------------

    def close(self, kind: str, fields: Mapping[str, Any]) -> None:
        """Resolve every call to a failure record of `kind`; refuse all that come later."""
        self.closed = [kind, dict(fields)]
        self.drains.active = self.drains.closed = self.placement.sizes.closed = True
        calls = {e.call.id: e.call for e in self.objects.entries.values() if e.call is not None}
        # Before the actors, whose ends say less.
        for call in calls.values():
            if call.state is not DONE:
                self.completion.fail(call, FAILURE, self.closed)
        for entry in list(self.objects.entries.values()):
            actor = entry.actor
            if actor is not None and actor.state is not ACTOR_DEAD:
                actor.leaving = "shutdown"
                self.actors.end(actor, {"reason": "shutdown"})
        self.placement.dispatch_all()  # lets go of what is queued, all of which has ended
