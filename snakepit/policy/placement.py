"""Placement: which worker gets which call, and when there should be another worker.

Calls that use the same resources of the same pool, and have the same priority, form a *class*. Of
the classes those of more priority have their turn first. A class's queue is served first by idle
workers, as far as resources reach; then by busy workers of the class, ahead of time, while what
they hold is predicted to last less than `WINDOW` (a driver that is busy in Python then does not
starve them, and no call waits behind a long one); then by new workers, up to the pool's limit. At
the limit a call goes to a worker that is blocked and waits for it, to run on that call's stack.
A call shorter than what waking a worker costs goes the other way round, busy workers first, once
each core has one.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Final, final

from .actions import Action, Arm, Send
from .admission import Admission
from .calls import READY, Call
from .classes import Classes
from .growth import Growth
from .hosting import Hosting
from .pools import Klass
from .pools import Pool as Pool
from .recycling import Recycling
from .resources import Resources
from .sessions import Sessions
from .sizes import Sizes
from .slots import Slots, is_full
from .staff import Staff
from .workers import LIVE, Worker

WINDOW: Final = 20_000.0
"""Microseconds of predicted work that a worker may hold: four of CPython's switch intervals."""

BRIEF: Final = 200.0
"""Microseconds: a call predicted to be shorter wakes no further worker when all cores have one."""

OVERRUN: Final = 0.05
"""Seconds without a result after which unstarted calls may be asked back."""


@final
class Placement:
    """The queues and the workers of all pools, and the resources that they share."""

    def __init__(
        self,
        resources: Resources,
        actions: deque[Action],
        pools: list[Pool],
        cores: int,
        home: str,
    ) -> None:
        self.resources = resources
        self.cores = cores
        self.actions = actions
        self.classes = Classes(resources, pools)
        self.pools = self.classes.pools
        self.waiting = self.classes.waiting
        self.staff = Staff(resources, actions, home)
        self.workers = self.staff.workers
        self.sizes = Sizes(self.staff, actions)
        self.recycling = Recycling(self.sizes, actions)
        self.recycling.made_room = lambda: self.dispatch_soon() if self.waiting else None
        self.admission = Admission(actions, self.waiting)
        self.slots = Slots(resources)
        self.growth = Growth(resources, self.staff)
        self.growth.send = self.send
        self.sessions = Sessions(self, actions)
        self.pinned = self.sessions.pinned
        self.hosting = Hosting(self, actions)
        self._due = self.watching = False
        self.busy = self.waits = 0  # workers with a call that does not wait; calls that do
        self.place_actor: Callable[[Call, Worker | None], None] | None = None
        self.turn_away: Callable[[Call], None] = lambda call: None

    # --- queues -------------------------------------------------------------------------

    def enqueue(self, call: Call) -> None:
        """Send a call whose arguments are there, or queue it at the end of its class."""
        if call.session is None:
            self.enqueue_freely(call)
        else:
            self.sessions.enqueue(call)

    def enqueue_freely(self, call: Call) -> None:
        """Do so, whichever worker its session may like; it has the place of that in the queue."""
        klass: Klass = call.shape.klass
        if not klass.queue and not klass.creates:
            worker = self._choose(klass, call)
            if worker is not None:
                self.send(worker, call)
                return
        line = call.shape.line
        if line is not None and not self.admission.admits(line, call):
            return
        call.to("ready")
        if call.session is not None and call.session.place is None:
            call.session.place = call
        queue = klass.queue
        (queue.appendleft if call.hastened else queue.append)(call)
        if klass not in self.waiting or klass.creates:
            klass.searched = -1
            self.dispatch(klass)
        else:
            self.growth.joined(klass, call, self.waits)

    def resume(self, call: Call) -> None:
        """Send or queue a call that was taken earlier, if its class is not refused meanwhile."""
        if call.shape.klass.refuses(call):
            self.turn_away(call)
        else:
            self.growth.edition += call.session is not None  # those before it may hold it up
            self.enqueue(call)

    def requeue(self, calls: list[Call]) -> None:
        """Put ready calls back before all others, in their order."""
        refused: list[Call] = []
        for call in reversed(calls):
            self.growth.edition += 1
            klass: Klass = call.shape.klass
            if klass.refuses(call):
                refused.append(call)
                continue
            if call.session is not None and self.sessions.back(call):
                continue
            klass.queue.appendleft(call)
            self.waiting[klass] = None
            if call.shape.line is not None:
                self.admission.line_up(call.shape.line, call)
        for call in reversed(refused):
            self.turn_away(call)

    def take_waiting(self, pool: Pool) -> list[Call]:
        """Take away what waits for a worker of the pool; return it."""
        mine = self.classes.take_queued(pool)
        return mine + self.sessions.take_waiting(lambda klass: klass.pool is pool)

    def dispatch(self, klass: Klass) -> None:
        """Send calls of the class while somebody can take them."""
        queue = klass.queue
        while queue:
            call = queue[0]
            if call.state is not READY:
                queue.popleft()
            elif klass.creates:
                if not self.growth.can_start(klass):
                    break
                home = self.hosting.home_for(klass, call) if klass.pooled else None
                if klass.pooled and home is None:
                    self.growth.grow(klass)
                    break
                queue.popleft()
                assert self.place_actor is not None
                self.place_actor(call, home)
            else:
                worker = self._choose(klass, call)
                if worker is None:
                    room = self.growth.grow(klass)
                    if room and self.waits:
                        self.growth.nest(klass, room)
                    break
                queue.popleft()
                self.send(worker, call)
        if queue:
            self.waiting[klass] = None
        else:
            self.waiting.pop(klass, None)

    def dispatch_all(self) -> None:
        """Try everything that waits."""
        self._dispatch_classes()
        if self.pinned.held:
            self.pinned.serve_all()
        if self.hosting.claimed:
            self.hosting.serve_all()

    def _dispatch_classes(self) -> None:
        """Try every class that waits; one that got something goes behind the others."""
        for klass in self.classes.in_order():
            before = len(klass.queue)
            self.dispatch(klass)
            if 0 < len(klass.queue) < before:
                del self.waiting[klass]
                self.waiting[klass] = None

    def dispatch_soon(self) -> None:
        """Do `dispatch_all` after the present event, in the middle of which all may be."""
        if not self._due:
            self._due = True
            self.actions.append(Arm(0.0, "dispatch"))

    def due(self) -> None:
        """It is time for that."""
        self._due = False
        self.hosting.due()
        self.sessions.due()
        self.dispatch_all()

    def _choose(self, klass: Klass, call: Call) -> Worker | None:
        idle = klass.pool.idle
        micros = call.shape.micros
        if klass.pool.slots > 1:
            return self._choose_slot(klass, micros)
        if idle and self.resources.fits(klass.needs):
            if self.busy >= self.cores and micros is not None and micros < BRIEF:
                return self._busy_one(klass, micros) or idle.popitem()[1]
            return idle.popitem()[1]
        if micros is None:
            return None
        return self._busy_one(klass, micros)

    def _choose_slot(self, klass: Klass, micros: float | None) -> Worker | None:
        """Choose among workers that run several calls at once: rather idle ones than others."""
        pool = klass.pool
        if self.resources.fits(klass.needs):
            brief = micros is not None and micros < BRIEF and self.busy >= self.cores
            worker = None if pool.idle and not brief else self.slots.spare(pool)
            if worker is None and pool.idle:
                worker = pool.idle.popitem()[1]
            if worker is not None:
                return worker
        return None if micros is None else self._busy_one(klass, micros)

    def _busy_one(self, klass: Klass, micros: float) -> Worker | None:
        """Return a worker of the class that can take such a call ahead of time."""
        if klass.gpus or klass.pool.over or self._contended(klass):
            return None
        candidates = klass.open
        while candidates:
            worker = candidates[0]
            if worker.klass is klass and not worker.sessions and self._has_room(worker, micros):
                candidates.rotate(-1)
                return worker
            candidates.popleft()
            worker.open = False
        return None

    def takes_ahead(self, worker: Worker, call: Call) -> bool:
        """Tell whether this worker can take a call of a session ahead of time: nobody waits."""
        klass: Klass = call.shape.klass
        micros = call.shape.micros
        if micros is None or worker.klass is not klass or klass.gpus or klass.pool.over:
            return False
        return not self.waiting and self._has_room(worker, micros)

    def _contended(self, klass: Klass) -> bool:
        """Whether somebody waits for just what this class's workers would hold on to for ever."""
        waiting = self.waiting
        if not waiting or (len(waiting) == 1 and klass in waiting):
            return False
        ours = dict(klass.needs)
        free = self.resources.free
        return any(other.competes(klass, ours, free) for other in waiting if other is not klass)

    @staticmethod
    def _has_room(worker: Worker, micros: float) -> bool:
        return (
            # What is ahead needs nothing of its own while something runs.
            (worker.units > 0 or (worker.slots > 1 and is_full(worker)))
            and worker.backlog + micros <= WINDOW * worker.slots
            and len(worker.inflight) < worker.room
            and not worker.blocked
            and not worker.claims
            and worker.mark != worker.results
            and worker.state is LIVE
        )

    # --- one worker ---------------------------------------------------------------------

    def send(self, worker: Worker, call: Call, nested: bool = False) -> None:
        """Give a call to a worker that `_choose` found, to an actor's, or to one that waits."""
        shape = call.shape
        if shape.line is not None:
            shape.line.leave(call)
        if call.session is not None:
            self.sessions.sent(worker, call)
        call.to("send")
        worker.sequence += 1
        call.sequence = worker.sequence
        call.worker = worker.number
        call.nested = nested
        if len(worker.inflight) == len(worker.blocked):
            self.busy += 1
        worker.inflight[call.id] = call
        self.actions.append(Send(worker.number, call, nested))
        if worker.actor is not None:
            return
        if shape.micros is not None:
            worker.backlog += shape.micros
        if nested:
            worker.nested += 1
            self.resources.change(shape.klass.uses, 1)
            return
        klass: Klass = shape.klass
        if worker.slots > 1:
            if self.slots.enters(worker, call, klass):
                self.watch()
            if worker.pool.eager:  # which is not the pool of an actor's methods
                self.growth.beside(worker)
            return
        if worker.klass is not klass:
            worker.unlist()
            worker.klass = klass
        if not worker.open:
            worker.open = True
            klass.open.append(worker)
        if len(worker.inflight) == 1:
            if not worker.units:  # `settle`, for a worker that had nothing
                worker.units = 1
                self.resources.change(klass.needs, 1)
            return
        if not worker.units:
            self.settle(worker)
        if not self.watching:
            self.watch()

    def take_back(self, worker: Worker, call: Call) -> None:
        """A call has left the worker: ended, given back, or lost with it."""
        inflight = worker.inflight
        blocked = bool(worker.blocked) and worker.blocked.pop(call.id, None) is not None
        del inflight[call.id]
        if call.session is not None:
            self.sessions.left(call.session, call)
        self.waits -= blocked
        if not blocked and len(inflight) == len(worker.blocked):
            self.busy -= 1
        if call.nested:
            worker.nested -= 1
            if not blocked:
                self.resources.change(call.shape.klass.uses, -1)
        elif worker.slots > 1:
            self.slots.leaves(worker, call, blocked)
        if worker.blocked and worker.slots == 1:  # who is on top of the stack now may wait
            self.growth.edition += 1
        left = worker.backlog - (call.shape.micros or 0.0)
        worker.backlog = left if left > 0.0 and worker.inflight else 0.0

    def block(self, worker: Worker, call: int, ids: tuple[int, ...], every: bool) -> bool:
        """A call waits in get() or wait(); return whether it did not before."""
        begins = call not in worker.blocked
        if begins:
            self.waits += 1
            if len(worker.inflight) == len(worker.blocked) + 1:
                self.busy -= 1
        worker.blocked[call] = (ids, every)
        self.growth.edition += 1
        return begins

    def unblock(self, worker: Worker, call: int) -> bool:
        """It goes on; return whether it waited."""
        if worker.blocked.pop(call, None) is None:
            return False
        self.waits -= 1
        self.growth.edition += 1
        if len(worker.inflight) == len(worker.blocked) + 1:
            self.busy += 1
        return True

    def settle(self, worker: Worker) -> None:
        """Make what a worker with one slot holds equal to what it now uses."""
        klass = worker.klass
        if klass is None or worker.slots > 1:
            return  # An actor's, or nothing was ever sent to it; or it is accounted for already.
        target = min(1, len(worker.inflight) - worker.nested)
        if worker.blocked:
            waiting = sum(not worker.inflight[call].nested for call in worker.blocked)
            target = max(0, target - waiting)
        if target != worker.units:
            self.resources.change(klass.needs, target - worker.units)
            worker.units = target

    def served(self, worker: Worker, call: Call) -> None:
        """After `call` has left: let the worker idle or give it more."""
        klass = worker.klass
        if worker.inflight:
            units = worker.units
            if call.nested and worker.sessions is not None:
                self.pinned.popped(worker)
            self.settle(worker)
            if worker.backlog < WINDOW / 2 * worker.slots:
                self.reopen(worker)
            elif worker.units == units and not call.nested and worker.slots == 1:
                return
        elif klass is not None and klass.queue and worker.units and self._goes_on(worker, klass):
            return
        else:
            if klass is not None and worker.units:  # `settle`, for one that has nothing left
                self.resources.change(klass.needs, -worker.units)
                worker.units = 0
            self.rest(worker)
        # For other workers it has changed nothing, but that there may be resources.
        if self.pinned.short:
            self.pinned.turn(worker)
        if worker.sessions:
            self.pinned.serve(worker)
        if worker.claims:
            self.hosting.turn(worker)
        if self.waiting:
            self._dispatch_classes()
        if self.pinned.held:
            self.pinned.serve_after(worker)
        if worker.claims:
            self.hosting.serve(worker)

    def _goes_on(self, worker: Worker, klass: Klass) -> bool:
        """Send the next call of the class, on the resources that the worker still holds."""
        if not worker.room or worker.state is not LIVE or klass.gpus or klass.pool.over:
            return False
        if worker.sessions or self.pinned.short or self._contended(klass):
            return False
        if (call := klass.pop()) is None:
            return False
        self.send(worker, call)
        self.dispatch(klass)
        return True

    def reopen(self, worker: Worker) -> None:
        """The worker may have room again."""
        if not worker.open and worker.klass is not None:
            worker.open = True
            worker.klass.open.append(worker)

    def rest(self, worker: Worker) -> None:
        """A worker without calls is idle; those beyond the pool's size end after a while."""
        if worker.state is not LIVE or worker.actor is not None or worker.inflight:
            return
        if worker.room:
            self.sizes.idles(worker)
        else:
            self.recycling.rested(worker)

    def watch(self) -> None:
        """Somebody holds calls ahead: look now and then whether they still advance."""
        if not self.watching:
            self.watching = True
            self.actions.append(Arm(OVERRUN, "overrun"))
