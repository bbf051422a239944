"""How many workers each pool has: kept up, let go when they idle, and changed at run time."""

from __future__ import annotations

from collections import deque
from typing import Final, final

from .actions import Action, Arm, Retire
from .pools import Pool
from .staff import Staff
from .workers import Worker

RESTS: Final = 4
"""Looks at a worker, evenly spread over the time that it may idle, before it is let go."""


@final
class Sizes:
    """Keeps the sizes of all pools.

    Attributes:
        closed: at the end nobody takes the place of those that go.
    """

    __slots__ = ("_actions", "_staff", "closed")

    def __init__(self, staff: Staff, actions: deque[Action]) -> None:
        self._staff = staff
        self._actions = actions
        self.closed = False

    def idles(self, worker: Worker) -> None:
        """A worker has nothing to do: it waits for more, or goes."""
        pool = worker.pool
        pool.over = pool.over and pool.staffed > pool.limit
        if (pool.over and self._is_too_many(worker)) or (pool.gpus and worker.results):
            self._let_go(worker)
            return
        pool.idle[worker.number] = worker
        worker.rests = 0
        if len(pool.workers) > pool.size and not pool.shrinking:
            self._watch(pool)

    def prestart(self, pool: Pool, count: int) -> None:
        """Start `count` workers before anything needs them, as far as the pool's limit goes."""
        for _ in range(count):
            if not pool.full:
                self._staff.add(pool, pool.name)

    def shrink(self, pool: Pool) -> None:
        """Let those go that have idled for long, and look again as long as there may be more."""
        for worker in list(pool.idle.values()):
            worker.rests += 1
            if worker.rests > RESTS and pool.excess > 0 and not worker.pins:
                self._let_go(worker)
        self._watch(pool)

    def replenish(self, pool: Pool) -> None:
        """Have as many workers as a declared pool is to have, as far as its state allows."""
        while pool.lacks and not self.closed:
            self._staff.add(pool, pool.name)

    def resize(self, pool: Pool, least: int, most: int) -> None:
        """Have other bounds from now on. Who is too many goes when it idles, its calls done."""
        pool.size, pool.limit = least, most
        if pool.staffed > most:
            self._staff.call_off(pool)
        pool.over = pool.staffed > most
        for worker in sorted(pool.idle.values(), key=lambda each: each.pins > 0):
            stays = worker.number in pool.turnover.replaced or not self._is_too_many(worker)
            if pool.staffed > most and not stays:
                self._let_go(worker)
        self.replenish(pool)
        if not pool.shrinking:
            self._watch(pool)

    @staticmethod
    def _is_too_many(worker: Worker) -> bool:
        """Tell whether one of a pool that has too many may go: those with sessions are the last."""
        if worker.tenants:
            return False
        pool = worker.pool
        others = sum(not each.pins for each in pool.workers.values()) if worker.pins else 0
        return pool.staffed - pool.limit > others

    def _let_go(self, worker: Worker) -> None:
        pool = worker.pool
        pool.idle.pop(worker.number, None)
        pool.turnover.forget(worker.number)
        del pool.workers[worker.number]
        worker.to("retire")
        self._actions.append(Retire(worker.number))

    def unpinned(self, worker: Worker) -> None:
        """No session needs this worker any more: it may go like others, if it idles."""
        pool = worker.pool
        if worker.number in pool.idle and not pool.shrinking:
            self._watch(pool)

    def _watch(self, pool: Pool) -> None:
        pool.shrinking = pool.excess > 0 and any(not each.pins for each in pool.idle.values())
        if pool.shrinking:
            self._actions.append(Arm(pool.idle_for / RESTS, f"shrink:{pool.name}"))
