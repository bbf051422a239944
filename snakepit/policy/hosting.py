"""Actors that live inside of workers that others use too: those of pools whose workers have slots.

Such an actor is its worker's *tenant*. Its constructor and each of its running methods takes one of
the worker's slots as a task does, and none of them waits there: the next is sent when a slot is
free and the actor has ended what it may not run beside that. Till then it waits in its lane, and
the actor has a *claim* on the worker, which gets nothing ahead of time meanwhile, so that it comes
to have a slot. A call that waits in `get()` keeps its slot, since its thread waits with it; where
all do, what is claimed runs beside them, nested: it may be what they wait for.

An actor's end is not its worker's. What runs of it then is told to end and answered at once; a call
that goes on nevertheless is a *ghost*, until it has left the worker or that has died.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Final, final

from .actions import Action, Evict, Interrupt
from .actors import ALIVE, Actor, Group
from .calls import DONE, Call
from .pools import Klass, Pool
from .slots import has_free
from .workers import LIVE, MOST_AHEAD, Worker

if TYPE_CHECKING:
    from .placement import Placement

NOBODY: Final[dict[int, Actor]] = {}


@final
class Hosting:
    """Knows who lives where, and shares the slots out.

    Attributes:
        claimed: the workers that have claims.
        ghosts: the calls that have outlived their actor, or its life.
        keep: keeps what a ghost may use until it has left; see `Timeouts`.
    """

    __slots__ = ("_actions", "_placement", "_vacated", "claimed", "ghosts", "keep")

    def __init__(self, placement: Placement, actions: deque[Action]) -> None:
        self._placement = placement
        self._actions = actions
        self._vacated: list[Worker] = []
        self.claimed: dict[Worker, None] = {}
        self.ghosts: set[Call] = set()
        self.keep: Callable[[Call], None] = lambda call: None

    # --- who lives where ----------------------------------------------------------------

    def home_for(self, klass: Klass, creation: Call) -> Worker | None:
        """Return a worker of its pool where an actor can live, if its constructor can begin now."""
        if klass.pool.slots > 1:
            return self._room_for(klass.pool, creation)
        return self._placement.staff.vacant(klass.pool)

    def _room_for(self, pool: Pool, creation: Call) -> Worker | None:
        """Return one of those with the fewest tenants.

        Not one that is to be replaced, nor where an earlier life of the actor has not ended yet.
        """
        found: Worker | None = None
        replaced = pool.turnover.replaced
        for number, worker in pool.workers.items():
            if number in replaced or creation.id in worker.inflight or _way(worker) is None:
                continue
            if found is None or _load(worker) < _load(found):
                found = worker
        return found

    def move_in(self, actor: Actor, worker: Worker) -> None:
        """An actor lives there from now on, and its constructor is sent.

        A worker with tenants stays for as long as it has any.
        """
        worker.pool.turnover.forget(worker.number)
        worker.reason = ""
        worker.enough, worker.room = 1, MOST_AHEAD
        worker.pins += 1
        if worker.tenants is None:
            worker.tenants = {}
        worker.tenants[actor.id] = actor
        self._send(worker, actor.creation)

    def move_out(self, actor: Actor) -> list[Call]:
        """An actor lives there no longer; return its calls that run there still, and become ghosts.

        They are to be answered, by whoever knows with what.
        """
        worker = actor.worker
        assert worker is not None
        running: list[Call] = []
        for call in worker.inflight.values():
            if actor.id in (call.id, call.actor) and call not in self.ghosts:
                self.ghosts.add(call)
                if call.state is not DONE:
                    self._actions.append(Interrupt(worker.number, call.id, False))
                    running.append(call)
        self._actions.append(Evict(worker.number, actor.id))
        self._leave(actor, worker)
        # In the middle of whatever event.
        self._vacated.append(worker)
        self._placement.dispatch_soon()
        return running

    def due(self) -> None:
        """The event in which actors moved out is over: workers that nobody needs may go."""
        while self._vacated:
            worker = self._vacated.pop()
            if not worker.pins:
                self._placement.recycling.unpinned(worker)
            if worker.pool.over:
                self._placement.rest(worker)

    def lost(self, worker: Worker) -> list[Actor]:
        """A worker has ended; return who lived there."""
        tenants = [*(worker.tenants or NOBODY).values()]
        for actor in tenants:
            self._leave(actor, worker)
        return tenants

    def _leave(self, actor: Actor, worker: Worker) -> None:
        assert worker.tenants is not None
        del worker.tenants[actor.id]
        worker.pins -= 1
        self._unclaim(worker, actor)
        actor.worker = None
        for group in (actor.alone, *(actor.groups or {}).values()):
            group.sent = 0

    def of(self, worker: Worker, call: Call) -> Actor | None:
        """Return the tenant whose call this is, if it is one's, and of its present life."""
        if worker.tenants is None or call in self.ghosts:
            return None
        return worker.tenants.get(call.actor or call.id)

    # --- calls --------------------------------------------------------------------------

    def pump(self, actor: Actor) -> None:
        """Send what may run now; for what lacks a slot alone the worker has a claim."""
        worker = actor.worker
        if worker is None or actor.state is not ALIVE or worker.state is not LIVE:
            return
        while (call := self._next(actor)) is not None:
            if _way(worker) is None:
                self._claim(worker, actor)
                return
            self._take(actor, call)
            self._send(worker, call)
        self._unclaim(worker, actor)

    def turn(self, worker: Worker) -> None:
        """A slot is free, and tasks want it too: every other time it is a tenant's."""
        if worker.results & 1 or not self._placement.waiting:
            self._serve_one(worker)

    def serve_all(self) -> None:
        """Let all claims have what slots there are, by turns."""
        for worker in tuple(self.claimed):
            self.serve(worker)

    def serve(self, worker: Worker) -> None:
        """Let the claims on a worker have what slots there are."""
        while self._serve_one(worker):
            pass

    def _serve_one(self, worker: Worker) -> bool:
        if _way(worker) is None:
            return False
        for actor in tuple(worker.claims or ()):
            self._unclaim(worker, actor)
            call = self._next(actor)
            if call is not None:
                self._take(actor, call)
                self._send(worker, call)
                if self._next(actor) is not None:
                    self._claim(worker, actor)
                return True
        return False

    def left(self, worker: Worker, call: Call) -> None:
        """A call has left the worker: the next of its actor may run."""
        actor = self.of(worker, call)
        self.ghosts.discard(call)
        if actor is None or not call.actor:
            return
        _group(actor, call).sent -= 1
        if not worker.claims and not self._placement.waiting:
            self.pump(actor)
        elif self._next(actor) is not None:
            self._claim(worker, actor)  # Its turn is after that of the others.

    def _send(self, worker: Worker, call: Call) -> None:
        nested = _way(worker) == "nested"
        worker.pool.idle.pop(worker.number, None)
        self._placement.send(worker, call, nested)

    @staticmethod
    def _next(actor: Actor) -> Call | None:
        """Return the next call that may run beside those that do."""
        for key, lane in tuple(actor.lanes.items()):
            while lane and lane[0].state is DONE:
                lane.popleft()
            if not lane:
                del actor.lanes[key]
                continue
            group = _group(actor, lane[0])
            if not lane[0].missing and group.sent < group.limit:
                return lane[0]
        return None

    @staticmethod
    def _take(actor: Actor, call: Call) -> None:
        # Each lane goes behind the others: they take turns.
        key = actor.lane_of(call)
        lane = actor.lanes.pop(key)
        lane.popleft()
        if lane:
            actor.lanes[key] = lane
        _group(actor, call).sent += 1

    def _claim(self, worker: Worker, actor: Actor) -> None:
        if worker.claims is None:
            worker.claims = {}
        worker.claims[actor] = None
        self.claimed[worker] = None

    def _unclaim(self, worker: Worker, actor: Actor) -> None:
        if worker.claims and actor in worker.claims:
            del worker.claims[actor]
            if not worker.claims:
                self.claimed.pop(worker, None)

    def given_back(self, worker: Worker, call: Call) -> Actor | None:
        """Note that a call has come back which had not begun; return whose it is."""
        actor = self.of(worker, call)
        self.ghosts.discard(call)
        if actor is not None and call.actor:
            _group(actor, call).sent -= 1
            # Others may be told of first, in the middle of this event.
            self._claim(worker, actor)
        return actor


def _group(actor: Actor, call: Call) -> Group:
    return actor.alone if actor.groups is None else actor.groups[call.shape.template.group]


def _load(worker: Worker) -> tuple[int, int]:
    return len(worker.tenants or NOBODY), len(worker.inflight)


def _way(worker: Worker) -> str | None:
    """Return how a call that is sent now would begin at once: in a slot or nested; or None."""
    if has_free(worker):
        return "plain"
    held, waiting = len(worker.inflight), len(worker.blocked)
    beside = waiting and held - waiting < worker.pool.width
    return "nested" if beside and worker.state is LIVE and held < worker.room else None
