"""The books on declared pools: who waits before them since when, and how many have come."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, final

from snakepit.policy.calls import READY, SENT, WAITING
from snakepit.wire.messages import TASK

from .books import suspects

if TYPE_CHECKING:
    from snakepit.policy.calls import Call

    from .books import Task
    from .process import Worker
    from .world import World

SLACK = 1e-9


@final
class Waitlists:
    """What is true of the lines of one world."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.requests = dict.fromkeys(world.setting.lines, 0)
        self.draining: set[str] = set()
        self.since: dict[int, float] = {}
        self.waiting: dict[str, int] = {}
        self.earlier: set[int] = set()
        self.crashes = dict.fromkeys(self.requests, 0)

    def _pool(self, task: Task) -> str | None:
        pool = task.call.shape.template.pool
        return pool if task.kind == TASK and pool in self.requests else None

    def submitted(self, task: Task) -> None:
        """A call has come."""
        pool = self._pool(task)
        if pool is not None:
            self.requests[pool] += 1

    def died(self, worker: Worker, cause: dict[str, Any]) -> None:
        """A worker has ended: by itself, unless it was told to, or had to go with its zygote."""
        pool = worker.pool.partition("/")[0]
        ordinary = worker.actor or (worker.retired and not worker.stack) or "zygote" in cause
        blamed = suspects(worker)
        if blamed and all(task.struck for task in blamed):
            return
        if pool in self.crashes and not ordinary:
            self.crashes[pool] += 1

    def before(self) -> None:
        """Count who waits, before an event."""
        self.waiting = dict.fromkeys(self.requests, 0)
        self.earlier = {i for i, t in self.world.tasks.items() if t.call.state is not WAITING}
        for task in self.world.tasks.values():
            pool = self._pool(task)
            if pool is not None and task.call.state is READY:
                self.waiting[pool] += 1

    def after(self, name: str, args: tuple[Any, ...]) -> None:
        """Note since when each waits to begin; in a mailbox, too, if its worker gives it back."""
        new = self.world.tasks.get(args[0].id) if name == "submit" else None
        taken = new is not None and not self.world.closed and self._is_refused(new)
        self.world.require(not taken, f"{new!r} is taken by a pool that drains")
        for task in self.world.tasks.values():
            if task.call.state in (READY, SENT):
                self.since.setdefault(task.call.id, self.world.now)

    def _is_refused(self, task: Task) -> bool:
        return task.kind == TASK and self.is_drained(task.call)

    def is_drained(self, call: Call) -> bool:
        """Tell whether a new call is for a pool that takes none, but from its own calls."""
        pool = call.shape.template.pool
        caller = self.world.scheduler.placement.workers.get(call.caller)
        own = caller is not None and caller.staffs and caller.pool.root == pool
        return pool in self.draining and not own

    def may_be_saturated(self, task: Task, limit: int | None) -> bool:
        """Tell whether a call may find the line full.

        One event may make several ready; and what it lets others wait for, it may give them after.
        """
        pool = self._pool(task)
        if pool is None or limit != self.world.setting.lines[pool][0] or limit is None:
            return False
        joined = sum(
            self._pool(other) == pool and identifier not in self.earlier and other is not task
            for identifier, other in self.world.tasks.items()
        )
        return not task.begun and self.waiting[pool] + joined >= limit

    def may_be_overdue(self, task: Task) -> bool:
        """Tell whether a call has waited for too long."""
        pool = self._pool(task)
        if pool is None or task.tries:
            return False
        timeout = self.world.setting.lines[pool][1]
        since = self.since.get(task.call.id)
        waited = since is not None and timeout is not None
        return waited and self.world.now - since >= timeout - SLACK  # type: ignore[operator]

    def audit(self) -> None:
        """Compare the lines with what is true."""
        self.before()
        for name, (limit, timeout) in self.world.setting.lines.items():
            pool = self.world.scheduler.placement.pools[name]
            line = pool.line
            assert line is not None and (line.limit, line.timeout) == (limit, timeout)
            require = self.world.require
            require(len(line) == self.waiting[name], f"{self.waiting[name]} wait before {name}")
            tally = pool.tally
            require(tally.requests == self.requests[name], f"{self.requests[name]} came to {name}")
            crashes = sum(tally.crashes.values())
            require(crashes == self.crashes[name], f"{self.crashes[name]} of {name} have crashed")
            ended = tally.succeeded + sum(tally.errors.values())
            left = sum(self._pool(task) == name for task in self.world.tasks.values())
            require(ended + left == tally.requests, f"{ended} of {tally.requests} have ended")

    def settled(self) -> None:
        """Nothing moves any more: every declared pool has its workers, or a reason not to."""
        for name in self.requests:
            pool = self.world.scheduler.placement.pools[name]
            whole = len(pool.workers) + pool.held >= pool.size or pool.state != "running"
            self.world.require(whole, f"{pool!r} has too few workers, and starts none")
