"""Sessions: calls that belong together, and the worker that they are best or only run by.

A session has one place in the queues: of its calls that wait, the first stands in the queue of its
class, and the next takes the place at the end of its own queue when that one has got a worker. So a
session with a thousand calls holds up another one with one call by one call. The others are behind
it, in the order in which they became ready.

By its *affinity* a session `HINT`s at the worker that has had its last call, which gets the next if
it is idle; or is *strict*, pinned to the worker that has had its first call. Then calls that find
it at work wait for it (`QUEUE`) in their order, apart from the queues, or fail (`FAST`). When that
worker has gone a strict session is *lost*: its calls fail until it is pinned anew.

A worker for which sessions wait is given nothing ahead of time but their calls, and when it is free
it takes one of theirs and one of its class's queue by turns.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, Final, final

from .actions import Action, Leave
from .calls import READY, SENT, Call
from .session import FAST, Session
from .slots import has_free
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
        fail: ends a call with the kind and the fields of a failure record.
        maker: returns the call that makes an object, if it has not ended.
        over: hears of a session that was closed and whose last call has ended.
    """

    def __init__(self, placement: Placement, actions: deque[Action]) -> None:
        self.table: dict[int, Session] = {}
        self.held: dict[Worker, None] = {}
        self._short: dict[Worker, None] = {}  # those of them that may lack resources alone
        self.fail: Callable[..., None] = lambda call, kind, **fields: None
        self.over: Callable[[int], None] = lambda number: None
        self.maker: Callable[[int], Call | None] = lambda identifier: None
        self._placement = placement
        self._actions = actions
        self._strays: deque[Call] = deque()
        self._to_nest: dict[Session, None] = {}
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
            if self._promote(session) is not None:
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
        old = session.worker
        self._unpin(session)
        if old.sessions is not None:
            old.sessions.pop(session, None)
        if session.place is None and self._promote(session) is not None:
            self._placement.dispatch_soon()

    def _unpin(self, session: Session) -> None:
        worker, session.worker = session.worker, None
        if session.strict and worker is not None:
            worker.pins -= 1
            if not worker.pins:
                self._placement.sizes.unpinned(worker)

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
        elif session.place is None or (call.hastened and not session.strict):
            if worker is None or not (worker.pool.idle or worker.slots > 1):
                self._placement.enqueue_freely(call)  # as most do, when there is much to do
            elif self._idles(worker, call):
                self._send(worker, call)
            else:
                self._placement.enqueue_freely(call)
        elif session.affinity == FAST and not call.patient:
            self.fail(call, "worker_busy", session=session.id)
        else:
            self._wait(session, call)

    def _enqueue_pinned(self, session: Session, worker: Worker, call: Call) -> None:
        if worker.state is not LIVE:
            self._unavailable(call)
            return
        if call.shape.klass.pool is not worker.pool:
            self._elsewhere(call, worker)
            return
        fast = session.affinity == FAST and not call.patient
        if not session.waiting and (
            self._idles(worker, call) if fast else self._can_take(worker, call)
        ):
            self._send(worker, call)
        elif fast:
            self.fail(call, "worker_busy", session=session.id)
        elif self._wait(session, call):
            self._hold(worker, session)
            self._nest(session)

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
        if worker is not session.worker:
            if worker.number not in session.seen:
                self._meets(session, worker)
            if not session.strict:
                session.worker = worker
            elif session.worker is None:
                worker.pins += 1
                session.worker = worker
        if call is not session.place:
            return
        session.place = None
        if not session.waiting:
            return
        if session.strict:
            self._hold(worker, session)
            self._placement.dispatch_soon()
        elif self._promote(session) is not call.shape.klass:
            self._placement.dispatch_soon()

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
            self._hold(session.worker, session)
            self._to_nest[session] = None
        elif session.place is None:
            self._promote(session)
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

    def serve(self, worker: Worker) -> None:
        """A worker has nothing to do: let it take one call of a session that waits for it.

        Every other time, if others wait for such a worker, it is their turn.
        """
        worker.turn = not worker.turn
        if worker.turn or not self._placement.waiting:
            self._serve(worker)

    def serve_all(self) -> None:
        """Let all workers that sessions wait for take what they can."""
        for worker in tuple(self.held):
            while self._serve(worker):
                pass
        self._nest_all()

    def left(self, worker: Worker) -> None:
        """A call has left a worker: let that take what it can, and those that lack resources."""
        for each in (worker, *self._short):
            while self._serve(each):
                pass
        self._nest_all()

    def _nest_all(self) -> None:
        for session in tuple(self._to_nest):
            del self._to_nest[session]
            self._nest(session)

    def _serve(self, worker: Worker) -> bool:
        """Send a call of the session that has waited longest, of those whose next can be taken."""
        self._short.pop(worker, None)
        while (session := self._next_of(worker)) is not None:
            call = self._head(session)
            if call is not None and call.shape.klass.pool is worker.pool:
                self._send_next(session, worker, nested=False)
                return True
            if call is not None:
                session.waiting.popleft()
                self._elsewhere(call, worker)
            self._queue_up(session, worker)
        return False

    def _next_of(self, worker: Worker) -> Session | None:
        """Return the first session whose next call the worker can take, or will never take.

        Ahead of time nobody overtakes the first, or its call might never find the worker idle.
        """
        idle = self._is_idle(worker)
        for session in worker.sessions or ():
            call = self._head(session)
            if call is None or call.shape.klass.pool is not worker.pool:
                return session
            if not idle:
                return session if self._placement.takes_ahead(worker, call) else None
            if self._placement.resources.fits(call.shape.klass.needs):
                return session
        if worker.sessions and idle:
            self._short[worker] = None
        return None

    def _send_next(self, session: Session, worker: Worker, nested: bool) -> None:
        call = session.waiting.popleft()
        self._send(worker, call, nested)
        self._queue_up(session, worker)

    def _queue_up(self, session: Session, worker: Worker) -> None:
        """Let a session wait behind the others for its next call, if it has one."""
        if worker.sessions is not None:
            worker.sessions.pop(session, None)
            if self._head(session) is not None:
                worker.sessions[session] = None
            if not worker.sessions:
                self.held.pop(worker, None)

    def awaited(self, ids: Iterable[int]) -> None:
        """A call waits for `ids`: their makers may be for blocked workers alone, that wait too."""
        waiting = list(ids)
        seen: set[int] = set()
        while waiting and self.held:
            call = self.maker(waiting.pop())
            if call is None or call.id in seen:
                continue
            seen.add(call.id)
            if call.actor or call.shape.klass.creates:
                # What it waits for is in the actor's lanes: look at everything.
                for session in [each for worker in self.held for each in worker.sessions or ()]:
                    self._nest(session)
                return
            if call.state is SENT:
                waiting += self._placement.workers[call.worker].blocked.get(call.id, ((), 0))[0]
            elif call.missing:
                waiting += [identifier for _, identifier in call.deps]
            elif call.session is not None and call.session.strict:
                self._nest(call.session)

    def popped(self, worker: Worker) -> None:
        """A call has left the top of a worker's stack: the one below may wait for some of these."""
        self._to_nest.update(worker.sessions or {})

    def _nest(self, session: Session) -> None:
        """Run the calls of a session that its worker waits for on the stack there."""
        worker = session.worker
        while worker is not None and worker.blocked:
            call = self._head(session)
            if call is None:
                return
            fits = self._placement.resources.fits(call.shape.klass.needs)
            runs = worker.slots == 1 and len(worker.blocked) < len(worker.inflight)
            if not fits or runs:  # something above those that wait
                self._to_nest[session] = None
                return
            if self._placement.growth.find_waiter(call, worker) is not worker:
                return
            self._send_next(session, worker, nested=True)

    def _head(self, session: Session) -> Call | None:
        while session.waiting and session.waiting[0].state is not READY:
            session.waiting.popleft()
        return session.waiting[0] if session.waiting else None

    def take_waiting(self, gone: Callable[[Klass], bool]) -> list[Call]:
        """Take away those calls behind others or for one worker that nobody is to run."""
        taken: list[Call] = []
        for session in self.table.values():
            calls = [call for call in session.waiting if session.waits(call)]
            taken += [call for call in calls if gone(call.shape.klass)]
            session.waiting = deque(call for call in calls if not gone(call.shape.klass))
        return taken

    def lost(self, worker: Worker) -> None:
        """A worker has ended: what waits for it fails."""
        self.held.pop(worker, None)
        self._short.pop(worker, None)
        for session in worker.sessions or ():
            while session.waiting:
                call = session.waiting.popleft()
                if call.state is READY:
                    self._unavailable(call)
        worker.sessions = None
        self.due()

    def _elsewhere(self, call: Call, worker: Worker) -> None:
        assert call.session is not None
        pool, pinned = call.shape.klass.pool.root, worker.pool.root
        self.fail(call, "session_elsewhere", session=call.session.id, pool=pool, pinned=pinned)

    def _unavailable(self, call: Call) -> None:
        assert call.session is not None
        self.fail(call, "session_worker_unavailable", session=call.session.id)

    def _hold(self, worker: Worker, session: Session) -> None:
        if worker.sessions is None:
            worker.sessions = {}
        worker.sessions[session] = None
        self.held[worker] = self._short[worker] = None

    @staticmethod
    def _is_idle(worker: Worker) -> bool:
        return worker.number in worker.pool.idle or (worker.slots > 1 and has_free(worker))

    def _idles(self, worker: Worker, call: Call) -> bool:
        """Tell whether the worker would begin a call at once."""
        klass = call.shape.klass
        idles = worker.pool is klass.pool and self._is_idle(worker)
        return idles and self._placement.resources.fits(klass.needs)

    def _can_take(self, worker: Worker, call: Call) -> bool:
        """Tell whether the worker can be sent a call, perhaps ahead of time."""
        ahead = not worker.sessions and self._placement.takes_ahead(worker, call)
        return ahead or self._idles(worker, call)

    def _send(self, worker: Worker, call: Call, nested: bool = False) -> None:
        if not nested:
            worker.pool.idle.pop(worker.number, None)
        self._placement.send(worker, call, nested)
