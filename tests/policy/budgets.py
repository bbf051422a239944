"""The world's own books on budgets of retries: how many there were, and who was denied one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, final

from snakepit.policy import actions as do
from snakepit.wire.messages import RETRYABLE, TASK

from .books import Task

if TYPE_CHECKING:
    from .world import World

SLACK = 1e-9


@final
class Budgets:
    """Keeps the books of one world, and compares."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.out = dict.fromkeys(world.setting.budgets, 0)  # taken, and not given back yet
        self.times: dict[str, list[float]] = {name: [] for name in self.out}
        self.retries = dict.fromkeys(world.setting.lines, 0)
        self._running: list[Task] = []

    def before(self, name: str, args: tuple[Any, ...]) -> None:
        """Take down whose try fails by this event."""
        self._running = []
        if self.world.closed:
            return
        if name == "died":
            worker = self.world.workers[args[0]]
            tasks = [frame.task for frame in worker.stack]
            self._running = [task for task in tasks if task.kind == TASK]
        elif name == "result" and args[2] == RETRYABLE:
            task = self.world.workers[args[0]].sent.get(args[1])
            self._running = [task] if task is not None and task.kind == TASK else []
        elif name == "tick" and args[0].startswith("budget:"):
            self.out[args[0].partition(":")[2]] -= 1

    def after(self, actions: list[do.Action]) -> None:
        """Compare."""
        world = self.world
        if world.closed or world.scheduler.closed is not None:
            return
        for task in self._running:
            # One that was tried again may have been refused for another reason.
            pool = task.call.shape.template.pool
            if not task.resolved and pool in self.retries:
                self.retries[pool] += 1
                if pool in self.times:
                    self.times[pool].append(world.now)
        for pool, count in self.retries.items():
            counted = world.scheduler.placement.pools[pool].tally.retries
            world.require(counted >= count, f"{pool} has counted {counted} retries of {count}")
        for action in actions:
            if type(action) is do.Arm and action.key.startswith("budget:"):
                pool = action.key.partition(":")[2]
                self.out[pool] += 1
                world.require(action.delay == world.setting.budgets[pool][1], f"{action}")
        for pool, (limit, period) in world.setting.budgets.items():
            recent = [time for time in self.times[pool] if world.now - time < period - SLACK]
            self.times[pool] = recent
            world.require(len(recent) <= limit, f"{len(recent)} retries in {pool}, not {limit}")
            world.require(self.out[pool] >= len(recent), f"{pool} has counted {self.out[pool]}")
            budget = world.scheduler.placement.pools[pool].budget
            assert budget is not None
            left = limit - self.out[pool]
            world.require(budget.left == left, f"{budget.left} retries are left in {pool}: {left}")

    def denies(self, task: Task, said: str | None) -> bool:
        """Whether a call may be told that there is no retry left for it."""
        pool = task.call.shape.template.pool
        if task.kind != TASK or said != "budget" or pool not in self.out:
            return False
        # What others take in the same event is not in the books yet.
        others = sum(
            not other.resolved and other.call.shape.template.pool == pool
            for other in self._running
            if other is not task
        )
        return self.out[pool] + others >= self.world.setting.budgets[pool][0]
