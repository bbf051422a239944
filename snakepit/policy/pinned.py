"""What waits for one worker alone: the calls of strict sessions that are pinned to it.

A worker for which sessions wait is given nothing ahead of time but their calls, and when it is free
it takes one of theirs and one of its class's queue by turns, or that of more priority. Where a
worker runs several calls at once, one at a time is of each session. What a blocked worker waits for
runs on its stack.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, final

from .calls import READY, SENT, Call
from .lineup import Lineup
from .session import Session
from .slots import has_free
from .workers import Worker

if TYPE_CHECKING:
    from .placement import Placement


@final
class Pinned:
    """All workers that strict sessions wait for.

    Attributes:
        held: those workers.
        short: those of them that may lack resources alone.
        to_nest: sessions whose worker waits, perhaps for their calls, and can run none now.
        maker: returns the call that makes an object, if it has not ended.
        elsewhere: fails a call that is of another pool than its session's worker.
    """

    def __init__(self, placement: Placement) -> None:
        self._placement = placement
        self.held: dict[Worker, None] = {}
        self.short: dict[Worker, None] = {}
        self.to_nest: dict[Session, None] = {}
        self.maker: Callable[[int], Call | None] = lambda identifier: None
        self.elsewhere: Callable[[Call, Worker], None] = lambda call, worker: None
        self._turn = False

    def serve(self, worker: Worker) -> None:
        """A worker has nothing to do: let it take one call of a session that waits for it.

        Every other time, if others wait for such a worker, it is their turn.
        """
        worker.turn = not worker.turn
        if not self._placement.waiting or self._is_first(worker):
            self._serve(worker)

    def turn(self, worker: Worker) -> None:
        """A call has left a worker: every other time those that lack resources go first."""
        self._turn = not self._turn
        if self._turn:
            for each in tuple(self.short):
                if each is not worker:
                    self._serve(each)

    def _is_first(self, worker: Worker) -> bool:
        """Tell whether it is the turn of the sessions that wait for a worker."""
        classes = self._placement.classes
        if classes.ranked and worker.sessions:
            mine = worker.sessions.priority
            others = [k.priority for k in classes.waiting if k.pool is worker.pool]
            if others and max(others) != mine:
                return mine > max(others)
        return worker.turn

    def serve_all(self) -> None:
        """Let all workers that sessions wait for take what they can."""
        for worker in tuple(self.held):
            while self._serve(worker):
                pass
        self._nest_all()

    def serve_after(self, worker: Worker) -> None:
        """A call has left a worker: let that take what it can, and those that lack resources."""
        for each in (*self.short, worker):
            while self._serve(each):
                pass
        self._nest_all()

    def _nest_all(self) -> None:
        for session in tuple(self.to_nest):
            del self.to_nest[session]
            self.nest(session)

    def _serve(self, worker: Worker) -> bool:
        """Send a call of the session that has waited longest, of those whose next can be taken."""
        self.short.pop(worker, None)
        while (session := self._next_of(worker)) is not None:
            call = self.head(session)
            if call is not None and call.shape.klass.pool is worker.pool:
                self._send_next(session, worker, nested=False)
                return True
            if call is not None:
                session.waiting.popleft()
                self.elsewhere(call, worker)
            self.queue_up(session, worker)
        return False

    def _next_of(self, worker: Worker) -> Session | None:
        """Return the first session whose next call the worker can take, or will never take.

        Ahead of time nobody overtakes the first, or its call might never find the worker idle.
        """
        if not worker.sessions:
            return None
        idle = self.is_idle(worker)
        for session in worker.sessions.first(self._placement.classes.ranked):
            call = self.head(session)
            if call is None or call.shape.klass.pool is not worker.pool:
                return session
            if not idle:
                return session if self._takes_ahead(worker, call) else None
            if self._placement.resources.fits(call.shape.klass.needs):
                return session
        if idle:
            self.short[worker] = None
        return None

    def _send_next(self, session: Session, worker: Worker, nested: bool) -> None:
        call = session.waiting.popleft()
        self.send(worker, call, nested)
        self.queue_up(session, worker)

    def queue_up(self, session: Session, worker: Worker) -> None:
        """Let a session wait behind the others for its next call, if it has one."""
        call = self.head(session)
        if worker.sessions is None:
            return
        if call is None:
            self.unlist(session, worker)
        else:
            self._line_up(worker.sessions, session, worker, call)

    def awaited(self, ids: Iterable[int]) -> None:
        """A call waits for `ids`: their makers may be for blocked workers alone, that wait too."""
        waiting = list(ids)
        seen: set[int] = set()
        while waiting and self.held:
            call = self.maker(waiting.pop())
            if call is None or call.id in seen:
                continue
            seen.add(call.id)
            last = call.missing and call.session is not None and call.session.end
            if call.actor or call.shape.klass.creates or last:
                # It waits for what is in the actor's lanes, or all of a session: look everywhere.
                for session in [each for worker in self.held for each in those_of(worker)]:
                    self.nest(session)
                return
            if call.state is SENT:
                waiting += self._placement.workers[call.worker].blocked.get(call.id, ((), 0))[0]
            elif call.missing:
                waiting += [identifier for _, identifier in call.deps]
            elif call.session is not None and call.session.strict:
                self.nest(call.session)

    def popped(self, worker: Worker) -> None:
        """A call has left the top of a worker's stack: the one below may wait for some of these."""
        self.to_nest.update(dict.fromkeys(those_of(worker)))

    def nest(self, session: Session) -> None:
        """Run the calls of a session that its worker waits for on the stack there."""
        worker = session.worker
        while worker is not None and worker.blocked:
            call = self.head(session)
            if call is None:
                return
            fits = self._placement.resources.fits(call.shape.klass.needs)
            runs = worker.slots == 1 and len(worker.blocked) < len(worker.inflight)
            if not fits or runs:  # something above those that wait
                self.to_nest[session] = None
                return
            if self._placement.growth.find_waiter(call, worker) is not worker:
                return
            self._send_next(session, worker, nested=True)

    def head(self, session: Session) -> Call | None:
        while session.waiting and session.waiting[0].state is not READY:
            session.waiting.popleft()
        return session.waiting[0] if session.waiting else None

    def lost(self, worker: Worker) -> list[Session]:
        """A worker has ended: return the sessions whose calls waited for it."""
        self.held.pop(worker, None)
        self.short.pop(worker, None)
        sessions = [*those_of(worker)]
        for session in sessions:
            session.lined = None
        worker.sessions = None
        return sessions

    def hold(self, worker: Worker, session: Session) -> None:
        """Let a session wait for its worker, in its place if it does already."""
        call = self.head(session)
        if call is None:
            self.unlist(session, worker)
            return
        if worker.sessions is None:
            worker.sessions = Lineup()
        if session.lined is not call.shape.klass:
            self._line_up(worker.sessions, session, worker, call)
        self.held[worker] = self.short[worker] = None

    @staticmethod
    def _line_up(lineup: Lineup, session: Session, worker: Worker, call: Call) -> None:
        if _is_alone(worker, session):
            lineup.put(session, call.shape.klass)
        else:
            lineup.park(session)

    def unlist(self, session: Session, worker: Worker) -> None:
        if worker.sessions is not None:
            worker.sessions.remove(session)
            if worker.sessions.is_empty:
                self.held.pop(worker, None)

    @staticmethod
    def is_idle(worker: Worker) -> bool:
        return worker.number in worker.pool.idle or (worker.slots > 1 and has_free(worker))

    def idles(self, worker: Worker, call: Call) -> bool:
        """Tell whether the worker would begin a call at once."""
        klass = call.shape.klass
        if worker.pool is not klass.pool or not self.is_idle(worker):
            return False
        session = call.session
        alone = session is None or not session.strict or _is_alone(worker, session)
        return alone and self._placement.resources.fits(klass.needs)

    def _takes_ahead(self, worker: Worker, call: Call) -> bool:
        """Tell whether the worker can be sent a call of a strict session ahead of time."""
        assert call.session is not None
        return _is_alone(worker, call.session) and self._placement.takes_ahead(worker, call)

    def can_take(self, worker: Worker, call: Call) -> bool:
        """Tell whether the worker can be sent a call, perhaps ahead of time."""
        ahead = not worker.sessions and self._takes_ahead(worker, call)
        return ahead or self.idles(worker, call)

    def send(self, worker: Worker, call: Call, nested: bool = False) -> None:
        if not nested:
            worker.pool.idle.pop(worker.number, None)
        self._placement.send(worker, call, nested)


def those_of(worker: Worker) -> Iterable[Session]:
    """Return the sessions that wait for a worker, those that are parked too."""
    return () if worker.sessions is None else worker.sessions


def _is_alone(worker: Worker, session: Session) -> bool:
    """Tell whether no other call of a strict session would run beside its next one."""
    return worker.slots == 1 or not session.inflight
