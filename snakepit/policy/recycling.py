"""Recycling: workers that have lived long enough make room for others, and no call is lost.

    works --has had enough--> due --its turn--> replaced --another is ready--> outgoing --> retired

Who has had enough works on until its turn comes, which few have at one time, and then until the one
that starts beside it is ready. Then it gets no more calls, gives back what it has not begun, and
ends with the last call that it has. One that has served as many calls as it may gets no more even
before that, and has its turn at once: it is of no use.

A pool that was declared has `size` workers ready without those that go. One that was not keeps
nobody, so its workers go at once, and others start when calls wait for them; so do the workers of a
variant. A call that waits on top of an outgoing worker's stack still finds it (see `nesting`): it
might wait for ever elsewhere. The workers of actors stay, in a pool or not; and one to which
strict sessions are pinned stays until they are over.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Final, final

from .actions import Action, Arm, AskBack, Retire, Weigh
from .lifespans import LOOKS
from .pools import Pool
from .sizes import Sizes
from .workers import LIVE, MOST_AHEAD, NEVER, Worker

WEIGHED_AFTER: Final = 0.5
"""Seconds from the end of a call to a look at its worker's memory, and so between two looks."""

SHARE: Final = 8
"""Of so many workers one is replaced at a time: the others have the work and the memory."""

ASKED: Final = "asked"


@final
class Recycling:
    """Decides which workers are replaced, and when they go.

    Attributes:
        made_room: told that a pool may have one worker more, for which calls may wait.
    """

    def __init__(self, sizes: Sizes, actions: deque[Action]) -> None:
        self._sizes = sizes
        self._actions = actions
        self.made_room: Callable[[], None] = lambda: None

    # --- what happens to workers ------------------------------------------------------------

    def ready(self, worker: Worker) -> None:
        """A pool's worker has said hello: one who waited for that may go."""
        ttl, requests, _ = worker.pool.turnover.lifespan
        if requests is not None:
            worker.room = min(MOST_AHEAD, requests)
        if ttl is not None and not worker.pool.turnover.aging:
            self._watch(worker.pool, ttl)
        self.turn(worker.pool)

    def served(self, worker: Worker) -> None:
        """A call has ended in a worker: the first one, or one of those that are to be counted."""
        turnover = worker.pool.turnover
        _, requests, memory = turnover.lifespan
        worker.enough = NEVER
        if worker.number not in worker.pool.workers:
            return
        if worker.pins:
            worker.enough, worker.room = 1, MOST_AHEAD
            return
        if memory is not None:
            worker.enough = 1
            if not turnover.unweighed:
                self._actions.append(Arm(WEIGHED_AFTER, f"weigh:{worker.pool.name}"))
            turnover.unweighed[worker.number] = worker
        if requests is not None:
            enough = turnover.lifespan.enough(worker.number)
            # While it may hold as many as any other, its count need not be exact.
            worker.enough = max(1, min(worker.enough, enough, requests - MOST_AHEAD))
            worker.room = min(MOST_AHEAD, max(0, requests - worker.results))
            if worker.results >= enough:
                self._has_enough(worker, "requests")
                self.turn(worker.pool)

    def rested(self, worker: Worker) -> None:
        """A worker that gets no more calls has none any more."""
        if worker.number not in worker.pool.workers:
            worker.to("retire")
            self._actions.append(Retire(worker.number))

    def pinned(self, worker: Worker) -> None:
        """A session relies on a worker, on whose stack its call runs: it stays if it was to go."""
        pool = worker.pool
        if worker.number not in pool.workers:
            pool.workers[worker.number] = pool.turnover.replaced[worker.number] = worker
            worker.room = MOST_AHEAD
            pool.tally.recycled[worker.reason] -= 1
            if not pool.tally.recycled[worker.reason]:
                del pool.tally.recycled[worker.reason]

    def unpinned(self, worker: Worker) -> None:
        """Nobody relies on a worker any more: it may go like others, and become an actor's."""
        self._sizes.unpinned(worker)
        self.turn(worker.pool)
        self.made_room()

    def recycle(self, pools: list[Pool], number: int | None) -> None:
        """Replace all workers that are ready, or the one with this number."""
        for pool in pools:
            for worker in [*pool.workers.values()]:
                if worker.state is LIVE and number in (None, worker.number):
                    self._has_enough(worker, ASKED)
            self.turn(pool)

    # --- what timers see ----------------------------------------------------------------------

    def look(self, pool: Pool) -> None:
        """The workers of a pool are older than they were."""
        turnover = pool.turnover
        for worker in [*pool.workers.values()]:
            if worker.state is LIVE:
                worker.looks += 1
                if worker.looks >= turnover.lifespan.last_look(worker.number):
                    self._has_enough(worker, "ttl")
        turnover.aging = False
        if pool.workers and turnover.lifespan.ttl is not None:
            self._watch(pool, turnover.lifespan.ttl)
        self.turn(pool)

    def _watch(self, pool: Pool, ttl: float) -> None:
        pool.turnover.aging = True
        self._actions.append(Arm(ttl / LOOKS, f"age:{pool.name}"))

    def weigh(self, pool: Pool) -> None:
        """Have the memory looked at of those who have ended a call."""
        numbers = [*pool.turnover.unweighed]
        pool.turnover.unweighed.clear()
        self._actions.extend(Weigh(number) for number in numbers)

    def weighed(self, worker: Worker | None, size: int) -> None:
        """So many bytes are this worker's own, if it is still there."""
        if worker is not None and worker.number in worker.pool.workers:
            most = worker.pool.turnover.lifespan.memory
            if most is not None and size > most:
                self._has_enough(worker, "memory")
                self.turn(worker.pool)

    # --- in turn ------------------------------------------------------------------------------

    @staticmethod
    def _has_enough(worker: Worker, reason: str) -> None:
        lodges = worker.actor is not None or worker.tenants
        if lodges or (worker.pins and reason != ASKED):
            return  # It stays for as long as somebody may need what it keeps there.
        if not worker.reason and worker.number in worker.pool.workers:
            worker.reason = reason
            worker.pool.turnover.due[worker.number] = worker

    def turn(self, pool: Pool) -> None:
        """Replace who is due, as far as there are enough without those."""
        turnover = pool.turnover
        while not self._sizes.closed:
            for worker in [*turnover.due.values()]:
                if worker.pins:
                    continue
                if not worker.room or len(turnover.replaced) < max(1, len(pool.workers) // SHARE):
                    del turnover.due[worker.number]
                    turnover.replaced[worker.number] = worker
            self._sizes.replenish(pool)
            going = [each for each in turnover.replaced.values() if not each.pins]
            if not going or not pool.spares:
                return
            # Who is of no use goes first.
            self._let_go(min(going, key=lambda each: each.room > 0))

    def _let_go(self, worker: Worker) -> None:
        pool = worker.pool
        pool.turnover.forget(worker.number)
        pool.idle.pop(worker.number, None)
        del pool.workers[worker.number]
        worker.unlist()
        worker.room = 0
        self.made_room()
        pool.tally.recycled[worker.reason] = pool.tally.recycled.get(worker.reason, 0) + 1
        if not worker.inflight:
            self.rested(worker)
        elif len(worker.inflight) - worker.nested > worker.slots:
            self._actions.append(AskBack(worker.number))
