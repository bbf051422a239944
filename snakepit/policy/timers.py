"""What is done when time has passed: each key of an `Arm` and what its tick means."""

from __future__ import annotations

from collections import deque
from typing import final

from .actions import Action, AskBack, Kill
from .draining import Draining
from .lives import ActorTable
from .placement import Placement
from .pools import Pool
from .starts import START
from .supervision import Supervision
from .timeouts import Timeouts
from .workers import Worker
from .zygotes import ZYGOTE


@final
class Timers:
    """Answers ticks; it looks again at what armed the timer, which may long be past."""

    def __init__(
        self,
        placement: Placement,
        supervision: Supervision,
        actors: ActorTable,
        timeouts: Timeouts,
        draining: Draining,
        actions: deque[Action],
    ) -> None:
        self._placement = placement
        self._supervision = supervision
        self._actors = actors
        self._timeouts = timeouts
        self._draining = draining
        self._actions = actions

    def tick(self, key: str, now: float) -> None:
        """The timer with this key has run out, and it is `now`."""
        kind, _, rest = key.partition(":")
        if kind == "overrun":
            self._look_for_overruns()
        elif kind == "dispatch":
            self._placement.due()
        elif kind == "timeout":
            self._timeouts.look(int(rest), now)
        elif kind == "deaf":
            number, probe, call, due = (*rest.split(":"), "0")[:4]
            self._timeouts.listen(int(number), int(probe), int(call), float(due), now)
        elif kind == "unheard":
            number, _, call = rest.partition(":")
            self._timeouts.unheard(int(number), int(call))
        elif kind == "drain":
            self._draining.look(self._placement.pools[rest])
        elif kind == "shrink":
            self._placement.sizes.shrink(self._placement.pools[rest])
        elif kind == "age":
            self._placement.recycling.look(self._placement.pools[rest])
        elif kind == "weigh":
            self._placement.recycling.weigh(self._placement.pools[rest])
        elif kind == "queue":
            self._placement.admission.turn(self._placement.pools[rest])
        elif kind == "retry":
            turn, _, name = rest.partition(":")
            self._supervision.retry(self._placement.pools[name], int(turn))
        elif kind == "budget":
            budget = self._placement.pools[rest].budget
            assert budget is not None
            budget.give_back()
        elif kind == "circuit":
            self._supervision.barrier.wait_is_over(self._placement.pools[rest])
            self._actors.restarts.released(rest)
        elif kind == "taint":
            slot, _, name = rest.partition(":")
            self._supervision.untaint(self._placement.pools[name], int(slot))
        elif kind == START:
            self._placement.staff.overdue(int(rest))
        elif kind in ("heartbeat", "hung"):
            heartbeats = self._placement.staff.heartbeats
            assert heartbeats is not None
            if kind == "hung":
                heartbeats.end(int(rest))
            else:
                heartbeats.look(rest)
        elif kind == "restart":
            self._actors.restarts.restart(int(rest))
        elif kind == ZYGOTE:
            self._supervision.zygotes.start(rest)
        elif kind == "force":
            number, _, call = rest.partition(":")
            guilty = self._placement.workers.get(int(number))
            if guilty is not None and int(call) in guilty.inflight:
                self._actions.append(Kill(guilty.number))

    def _look_for_overruns(self) -> None:
        self._placement.watching = False
        for pool in self._placement.pools.values():
            for worker in pool.workers.values():
                ahead = len(worker.inflight) > worker.slots and worker.actor is None
                if ahead and not worker.blocked:
                    self._placement.watch()
                    self._look_at(worker, pool)

    def _look_at(self, worker: Worker, pool: Pool) -> None:
        """Ask for the calls behind one that overruns, if they could run elsewhere now.

        Or are to wait in line, where they count, and where their time is kept. A worker that does
        not answer is asked for that ever more seldom.
        """
        worker.stuck = worker.stuck + 1 if worker.mark == worker.results else 0
        worker.mark = worker.results
        klass = worker.klass
        if not worker.stuck or klass is None:
            return
        if pool.line is not None and pool.line.limited:
            if worker.stuck & (worker.stuck - 1) == 0:
                self._actions.append(AskBack(worker.number))
        elif self._has_others(pool) and self._placement.resources.fits(klass.needs):
            self._actions.append(AskBack(worker.number))

    def _has_others(self, pool: Pool) -> bool:
        return bool(not pool.full or pool.idle or self._placement.slots.spare(pool))
