"""Sessions: calls that belong together, and the worker that they are best or only run by.

A session has one place in the queues: of its calls that wait, the first stands in the queue of its
class, and the next takes the place at the end of its own queue when that one has got a worker. So a
session with a thousand calls holds up another one with one call by one call. The others are behind
it, in the order in which they became ready.

By its *affinity* a session `HINT`s at the worker that has had its last call, which gets the next if
it is idle; or is *strict*, pinned to the worker that has had its first call. Then calls that find
it at work wait for it (`QUEUE`) in their order, apart from the queues, or fail (`FAST`). When that
worker has gone a strict session is *lost*: its calls fail until it is pinned anew.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, final

from .actions import Action, Leave
from .calls import READY, Call
from .pinned import Pinned
from .session import FAST, Session
from .slots import is_to_end
from .workers import LIVE, Worker

if TYPE_CHECKING:
    from .placement import Placement
    from .pools import Klass

MOST_SEEN: Final = 64
"""Numbers of workers that a session keeps before it looks which of them are no more."""


@final
class Sessions:
    """All sessions, by their numbers.

    Attributes:
        table: those that are open, or have calls that have not ended.
        pinned: what waits for one worker alone.
        fail: ends a call with the kind and the fields of a failure record.
        over: hears of a session that was closed and whose last call has ended.
    """

    def __init__(self, placement: Placement, actions: deque[Action]) -> None:
        self.table: dict[int, Session] = {}
        self.pinned = Pinned(placement)
        self.pinned.elsewhere = self._elsewhere
        self.fail: Callable[..., None] = lambda call, kind, /, **fields: None
        self.over: Callable[[int], None] = lambda number: None
        self._placement = placement
        self._actions = actions
        self._strays: deque[Call] = deque()
        self._next = 1

    # --- opened and closed --------------------------------------------------------------

    def open(self, identifier: str, affinity: int) -> Session:
        """Return a new session."""
        session = self.table[self._next] = Session(identifier, self._next, affinity)
        self._next += 1
        return session

    def close(self, session: Session) -> None:
        """Take no more calls; those that were made go on."""
        session.refusal = "session_closed", {"session": session.id}
        if not session.made:
            self._forget(session)

    def ended(self, call: Call) -> None:
        """A call of a session has ended; it may be one that waited."""
        session = call.session
        assert session is not None
        session.made -= 1
        if call is session.place:
            session.place = None
            self._go_on(session)
        elif session.lined is not None and session.waiting and session.waiting[0] is call:
            assert session.worker is not None
            self.pinned.hold(session.worker, session)  # by what its next one needs
            self._placement.dispatch_soon()
        if session.refusal is not None and not session.made:
            self._forget(session)

    def _forget(self, session: Session) -> None:
        if self.table.pop(session.number, None) is None:
            return
        self._unpin(session)
        self.over(session.number)
        for number in session.seen:
            self._actions.append(Leave(number, session.number))

    def repin(self, session: Session) -> None:
        """Let the next call choose the worker anew; those that wait for the old one go with it."""
        if session.worker is None:
            return
        self.pinned.unlist(session, session.worker)
        self._unpin(session)
        session.inflight.clear()  # What runs where it was pinned before is in nobody's way.
        self._empty(session)
        self._go_on(session)

    def _empty(self, session: Session) -> None:
        """Have its workers forget what they keep for it, but for those where a call of it runs."""
        for number in tuple(session.seen):
            worker = self._placement.workers.get(number)
            if worker is None:
                session.seen.discard(number)
            elif all(call.session is not session for call in worker.inflight.values()):
                session.seen.discard(number)
                self._actions.append(Leave(number, session.number))

    def _unpin(self, session: Session) -> None:
        worker, session.worker = session.worker, None
        if session.strict and worker is not None:
            worker.pins -= 1
            if not worker.pins:
                self._placement.recycling.unpinned(worker)

    def _go_on(self, session: Session) -> None:
        """Let the next call stand in the queues, if none does and it may go to any worker."""
        if session.strict and session.worker is not None:
            return
        if session.place is None and self._promote(session) is not None:
            self._placement.dispatch_soon()

    # --- calls --------------------------------------------------------------------------

    def enqueue(self, call: Call) -> None:
        """Send a call of a session, or let it wait for its turn, or fail it."""
        session = call.session
        assert session is not None
        session.turns += 1
        call.turn = session.turns
        worker = session.worker
        if worker is not None and session.strict:
            self._enqueue_pinned(session, worker, call)
        elif session.strict and session.place is None:
            self._enqueue_first(session, call)
        elif not session.strict and (session.place is None or call.hastened):
            if worker is None or not (worker.pool.idle or worker.slots > 1):
                self._placement.enqueue_freely(call)  # as most do, when there is much to do
            elif self.pinned.idles(worker, call) and not is_to_end(worker):
                self.pinned.send(worker, call)
            else:
                self._placement.enqueue_freely(call)
        elif session.affinity == FAST and not call.patient:
            self.fail(call, "worker_busy", session=session.id)
        else:
            self._wait(session, call)

    def _enqueue_first(self, session: Session, call: Call) -> None:
        """Send the call that a session is pinned with to one whom few others rely on."""
        klass = call.shape.klass
        worker = None
        if not klass.queue and self._placement.resources.fits(klass.needs):
            pool = klass.pool
            found = pool.workers if pool.slots > 1 and not pool.idle else pool.idle
            able = (each for each in found.values() if self.pinned.is_idle(each))
            stay = (each for each in able if not is_to_end(each))
            worker = min(stay, key=_reliance, default=None)
        if worker is None:
            self._placement.enqueue_freely(call)
        else:
            self.pinned.send(worker, call)

    def _enqueue_pinned(self, session: Session, worker: Worker, call: Call) -> None:
        if worker.state is not LIVE:
            self._unavailable(call)
            return
        if call.shape.klass.pool is not worker.pool:
            self._elsewhere(call, worker)
            return
        fast = session.affinity == FAST and not call.patient
        if not session.waiting and (
            self.pinned.idles(worker, call) if fast else self.pinned.can_take(worker, call)
        ):
            self.pinned.send(worker, call)
        elif fast:
            self.fail(call, "worker_busy", session=session.id)
        elif self._wait(session, call):
            self.pinned.hold(worker, session)
            self.pinned.nest(session)

    def _wait(self, session: Session, call: Call) -> bool:
        """Put a call behind the others; tell whether it may wait."""
        line = call.shape.line
        if line is not None and not self._placement.admission.admits(line, call):
            return False
        call.to("ready")
        session.waiting.append(call)
        return True

    def sent(self, worker: Worker, call: Call) -> None:
        """A call of a session is about to be sent to a worker."""
        session = call.session
        assert session is not None
        if session.strict:
            session.inflight.add(call.id)
        if worker is not session.worker:
            if worker.number not in session.seen:
                self._meets(session, worker)
            if not session.strict:
                session.worker = worker
            elif session.worker is None:
                worker.pins += 1
                session.worker = worker
                self._placement.recycling.pinned(worker)
        if call is not session.place:
            return
        session.place = None
        if not session.waiting:
            return
        if session.strict:
            self.pinned.hold(worker, session)
            self._placement.dispatch_soon()
        elif self._promote(session) is not call.shape.klass:
            self._placement.dispatch_soon()

    def left(self, session: Session, call: Call) -> None:
        """A call has left a worker: another of its strict session may have waited for that."""
        if call.id in session.inflight:
            session.inflight.remove(call.id)
            if session.waiting and session.lined is None and session.worker is not None:
                self.pinned.hold(session.worker, session)

    def _meets(self, session: Session, worker: Worker) -> None:
        """A worker gets its first call of a session: it is to be told of the end."""
        if len(session.seen) >= MOST_SEEN:
            session.seen &= self._placement.workers.keys()
        session.seen.add(worker.number)

    def back(self, call: Call) -> bool:
        """Take back a call that its worker has not begun, or lost, before those made after it.

        Returns:
            Whether that is done; otherwise its place is in the queue of its class.
        """
        session = call.session
        if session is None or not session.strict:
            return False
        if session.lost:
            self._strays.append(call)
            self._placement.dispatch_soon()
            return True
        place = 0
        for other in session.waiting:
            if other.turn > call.turn:
                break
            place += 1
        session.waiting.insert(place, call)
        if call.shape.line is not None:
            self._placement.admission.line_up(call.shape.line, call)
        if session.worker is not None:
            self.pinned.hold(session.worker, session)
            self.pinned.to_nest[session] = None
        else:
            self._go_on(session)
        return True

    def _promote(self, session: Session) -> Any:
        """Give the place in the queues to the next call; return its class, or None."""
        while session.waiting:
            call = session.waiting.popleft()
            if not session.waits(call):
                continue
            klass = call.shape.klass
            if klass.refuses(call):
                self._strays.append(call)
                self._placement.dispatch_soon()
                continue
            session.place = call
            klass.queue.append(call)
            klass.searched = -1
            self._placement.waiting[klass] = None
            return klass
        return None

    def due(self) -> None:
        """Fail those whose turn came when nobody could be had for them."""
        while self._strays:
            call = self._strays.popleft()
            if call.state is not READY:
                continue
            if call.session is not None and call.session.lost:
                self._unavailable(call)
            else:
                self._placement.turn_away(call)

    # --- workers ------------------------------------------------------------------------

    def take_waiting(self, gone: Callable[[Klass], bool]) -> list[Call]:
        """Take away those calls behind others or for one worker that nobody is to run."""
        taken: list[Call] = []
        for session in self.table.values():
            calls = [call for call in session.waiting if session.waits(call)]
            taken += [call for call in calls if gone(call.shape.klass)]
            session.waiting = deque(call for call in calls if not gone(call.shape.klass))
            if session.strict and session.worker is not None:  # in its line, or parked there
                self.pinned.queue_up(session, session.worker)
        return taken

    def lost(self, worker: Worker) -> None:
        """A worker has ended: what waits for it fails."""
        for session in self.pinned.lost(worker):
            while session.waiting:
                call = session.waiting.popleft()
                if call.state is READY:
                    self._unavailable(call)
        self.due()

    def _elsewhere(self, call: Call, worker: Worker) -> None:
        assert call.session is not None
        pool, pinned = call.shape.klass.pool.root, worker.pool.root
        self.fail(call, "session_elsewhere", session=call.session.id, pool=pool, pinned=pinned)

    def _unavailable(self, call: Call) -> None:
        assert call.session is not None
        worker = call.session.worker
        cause = (worker.cause if worker is not None else None) or {}
        self.fail(call, "session_worker_unavailable", **cause, session=call.session.id)


def _reliance(worker: Worker) -> tuple[bool, int, int]:
    """Return how little a worker suits a session that is to be pinned to it."""
    replaced = worker.number in worker.pool.turnover.replaced
    return replaced, worker.pins, len(worker.inflight)
