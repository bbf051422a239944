"""The books on sessions: where their calls may run, and in what order."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, final

from snakepit.policy import actions as do
from snakepit.policy.calls import READY, Call
from snakepit.policy.pools import Pool
from snakepit.policy.session import FAST, Session

if TYPE_CHECKING:
    from .books import Task
    from .dice import Dice
    from .world import World

NOBODY, GONE = 0, -1


@final
class Seats:
    """What is true of the sessions of one world."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.open: list[Session] = []
        self.pinned: dict[int, int] = {}  # a strict session's number: its worker's
        self.pools: dict[int, Pool] = {}
        self.free: set[int] = set()  # those that were pinned anew keep to no order
        self.ranks: dict[int, int] = {}
        self.had: set[tuple[int, int]] = set()  # a worker's number, that of a session it had
        self.busy: dict[int, bool] = {}
        self.calm: set[int] = set()
        self.ever: set[int] = set()  # workers that strict sessions were pinned to
        self._names = 0

    # --- what is done -----------------------------------------------------------------------

    def drive(self, dice: Dice) -> None:
        """Let the driver open, close or pin a session."""
        kind = dice.below(6)
        if kind < 4 and len(self.open) < self.world.setting.sessions:
            self._names += 1
            self.world.event("open_session", f"s{self._names}", dice.below(3))
        elif kind == 4 and self.open:
            self.world.event("close_session", dice.pick(self.open))
        elif self.open:
            self.world.event("repin", dice.pick(self.open))

    def join(self, call: Call, dice: Dice) -> None:
        """Let a new task be of a session, or of none."""
        if self.open and dice.below(3):
            call.session = dice.pick(self.open)

    def opened(self, name: str, affinity: int) -> None:
        session = self.world.scheduler.sessions.open(name, affinity)
        self.open.append(session)
        self.pinned[session.number] = NOBODY

    def closed(self, session: Session) -> None:
        self.open.remove(session)
        self.world.scheduler.sessions.close(session)

    def repinned(self, session: Session) -> None:
        self.pinned[session.number] = NOBODY
        self.free.add(session.number)
        self.world.scheduler.sessions.repin(session)

    # --- around an event --------------------------------------------------------------------

    def before(self) -> None:
        """Note which sessions have something to do."""
        self.busy = {}
        self.calm = {session.number for session in self.open if self._is_calm(session)}
        for task in self.world.tasks.values():
            session = task.call.session
            if session is not None:
                self.busy[session.number] = True

    def died(self, number: int) -> None:
        """A worker has ended, and with it what was pinned to it."""
        for session, worker in self.pinned.items():
            if worker == number:
                self.pinned[session] = GONE
        self.had = {pair for pair in self.had if pair[0] != number}

    def after(self, actions: list[do.Action]) -> None:
        """Look at what was sent, and in which order."""
        for action in actions:
            if type(action) is do.Leave:
                self.had.discard((action.worker, action.session))
            elif type(action) is do.Send and action.call.session is not None:
                self._rank_of(action.call)
                self._sent(action.worker, action.call, action.call.session)
        for task in self.world.tasks.values():
            if task.call.session is not None and task.call.state is READY:
                self._rank_of(task.call)

    def _rank_of(self, call: Call) -> int:
        """Return how early a call became ready; of those of one event any may be the first."""
        return self.ranks.setdefault(call.id, self.world.events)

    def _sent(self, number: int, call: Call, session: Session) -> None:
        require = self.world.require
        self.had.add((number, session.number))
        if not session.strict:
            return
        home = self.pinned[session.number]
        require(home in (NOBODY, number), f"{call!r} of {session!r} is sent to {number}")
        self.pinned[session.number] = number
        self.pools[session.number] = self.world.scheduler.placement.workers[number].pool
        self.ever.add(number)
        if session.number in self.free or call.tries or session.affinity == FAST:
            return
        for task in self.world.tasks.values():
            other = task.call
            if other.session is session and other.state is READY and not other.tries:
                earlier = self.ranks.get(other.id, self.world.events) < self.ranks[call.id]
                require(not earlier, f"{call!r} goes before {other!r} of its session")

    # --- how calls may end --------------------------------------------------------------------

    def may_be_unavailable(self, task: Task) -> bool:
        """Tell whether a call's worker may have gone."""
        session = task.call.session
        if session is None or not session.strict:
            return False
        home = self.pinned[session.number]
        return home == GONE or (home != NOBODY and self._goes(home))

    def _goes(self, number: int) -> bool:
        record = self.world.scheduler.placement.workers.get(number)
        return record is None or record.state != "live"

    def may_be_busy(self, task: Task, new: bool) -> bool:
        """Tell whether a session that bears no wait may have something to do."""
        session = task.call.session
        if session is None or session.affinity != FAST or task.tries:
            return False
        home = self.pinned[session.number]
        if not new:
            return True
        if home == NOBODY:
            return self.busy.get(session.number, False)
        needs = task.call.shape.klass.needs
        before = self.world.checker.free
        fits = self.world.scheduler.resources.fits(needs) and all(
            before.get(name, 0) >= amount for name, amount in needs
        )
        return not (fits and session.number in self.calm and self._is_calm(session))

    @staticmethod
    def _is_calm(session: Session) -> bool:
        worker = session.worker
        return worker is not None and worker.number in worker.pool.idle and not session.waiting

    def may_be_elsewhere(self, task: Task) -> bool:
        """Tell whether a call may be of another pool than its session's worker."""
        session = task.call.session
        if session is None or session.number not in self.pools:
            return False
        return task.call.shape.klass.pool is not self.pools[session.number]

    # --- in between -------------------------------------------------------------------------

    def leads(self, task: Task) -> bool:
        """Tell whether a call that waits is the next of its session."""
        session = task.call.session
        if session is None or session.place is task.call:
            return True
        # One that its worker lost goes back to the queue; one that failed there, behind the others.
        if task.call.tries and task.call not in session.waiting:
            return True
        # Else somebody else leads; the first of those that wait does, if none is in a queue.
        waiting = [call for call in session.waiting if call.state is READY]
        if session.place is None and waiting:
            return waiting[0] is task.call
        self.world.require(
            session.place is None or session.place.state is READY, f"{session!r} is led by nobody"
        )
        return False

    def ahead(self, task: Task) -> list[Task]:
        """Return who leads a call's session before that has its turn."""
        session = task.call.session
        others = self.world.tasks.values()
        return [t for t in others if session and t.call.session is session and self.leads(t)]

    def home(self, task: Task) -> Any:
        """Return the worker that alone may run a call, if there is one."""
        session = task.call.session
        strict = session is not None and session.strict
        return session.worker if strict and session is not None else None

    def audit(self) -> None:
        """Compare the sessions with what is true."""
        scheduler = self.world.scheduler
        made: dict[int, int] = {}
        for task in self.world.tasks.values():
            if task.call.session is not None:
                made[task.call.session.number] = made.get(task.call.session.number, 0) + 1
        table = scheduler.sessions.table.values()
        for session in {*table, *self.open}:
            count = made.get(session.number, 0)
            self.world.require(session.made == count, f"{session!r} has {count} calls")
            self.world.require(
                session.number in scheduler.sessions.table, f"{session!r} is open, and forgotten"
            )
        left = [s for s in table if s.refusal is not None and not s.made]
        self.world.require(not left, f"{left} are over")
        known = [pair for pair in self.had if pair[1] not in scheduler.sessions.table]
        self.world.require(not known, f"{known} were not told of the end")
        for worker in scheduler.placement.workers.values():
            pins = sum(s.strict and s.worker is worker for s in table)
            pins += len(worker.tenants or ())
            self.world.require(worker.pins == pins, f"{worker!r} has {pins} sessions")
