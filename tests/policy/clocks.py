"""The books on the time that calls may run: since when each does, and whose time is over."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, final

from snakepit.policy import actions as do
from snakepit.policy.calls import DONE
from snakepit.wire.messages import CANCELLED, ERROR, RETRYABLE

if TYPE_CHECKING:
    from .books import Task
    from .process import Worker
    from .world import World

GRACE: Final = 1.0
FORCE_GRACE: Final = 1.0
DEAF: Final = 5.0
SLACK: Final = 1e-6


@final
class Clocks:
    """What is true of the time of all calls of one world."""

    def __init__(self, world: World) -> None:
        self.world = world

    def sent(self, task: Task) -> None:
        """A call is given to a worker, perhaps once more."""
        again = task.expired_at is None or task.call.shape.template.retry_timeout
        self.world.require(again, f"{task!r} took too long, and is tried again")
        task.expired_at = None

    def ended(self, task: Task, outcome: int) -> None:
        """A worker has answered for a call: one that took too long has been tried in vain."""
        if self.is_over(task) and outcome in (ERROR, CANCELLED):
            task.attempts += 1

    @staticmethod
    def is_over(task: Task) -> bool:
        """Tell whether the call's time is over, and its end hence."""
        return task.expired_at is not None and not task.cancelled

    def after(self, name: str, args: tuple[Any, ...], actions: list[do.Action]) -> None:
        """Nobody is interrupted before his time is over, nor ended before the grace is."""
        if name == "tick" and args[0].startswith("deaf:"):
            for action in actions:
                if type(action) is do.EndDeaf:
                    self._ended_deaf(self.world.workers[action.worker])
        if name != "tick" or not args[0].startswith("timeout:"):
            return
        world = self.world
        for action in actions:
            if type(action) is do.Interrupt and action.force:
                worker = world.workers[action.worker]
                task = worker.sent[action.call]
                late = self._is_long_over(task) and not self._in_company(worker)
                world.require(late, f"{worker!r} is to end itself with {task!r}")
            elif type(action) is do.Interrupt:
                task = world.workers[action.worker].sent[action.call]
                limit = task.call.shape.template.timeout
                ran = world.now - task.began_at
                world.require(limit and ran >= limit - SLACK, f"{task!r} ran for {ran} of {limit}")
                world.require(task.expired_at is None, f"{task!r} is interrupted twice")
                task.expired_at = world.now
            elif type(action) is do.Kill:
                worker = world.workers[action.worker]
                grace = GRACE if self._in_company(worker) else GRACE + FORCE_GRACE
                late = any(self._is_long_over(task, grace) for task in worker.sent.values())
                world.require(late, f"{worker!r} is ended in the time of its calls")
                others = [t for t in worker.sent.values() if t.call.state is not DONE]
                alone = not (self._in_company(worker) and others)
                world.require(alone, f"{worker!r} is ended with {others}")

    def _ended_deaf(self, worker: Worker) -> None:
        """A worker is ended with others if it does not answer: it had time for that."""
        late = any(self._is_long_over(task, GRACE + DEAF) for task in worker.sent.values())
        self.world.require(late, f"{worker!r} is ended in the time that it has to answer")
        lodges = worker.actor or self.world.scheduler.placement.workers[worker.number].tenants
        self.world.require(not lodges, f"{worker!r} is ended, and actors live there")

    def _is_long_over(self, task: Task, grace: float = GRACE) -> bool:
        return task.expired_at is not None and self.world.now - task.expired_at >= grace - SLACK

    @staticmethod
    def _in_company(worker: Worker) -> bool:
        return worker.slots > 1 or worker.groups is not None

    def may_be_left(self, task: Task) -> bool:
        """Tell whether a call may end while a worker has it: it cannot be ended alone."""
        worker = self.world.workers.get(task.where)
        return worker is not None and self._in_company(worker) and self._is_long_over(task)

    def may_be_unheard(self, task: Task, name: str, args: tuple[Any, ...]) -> bool:
        """Tell whether a cancelled call may end while a worker has it behind another one."""
        worker = self.world.workers.get(task.where)
        if worker is None or name != "tick" or args[0] != f"unheard:{worker.number}:{task.call.id}":
            return False
        task.unheard = worker.slots == 1 and not worker.actor and task.cancelled
        return task.unheard

    def given_up(self, task: Task) -> None:
        """Keep in mind what a call may still use that has been answered, if it is one."""
        if task.where and not self.world.closed and not self.world.scheduler.closed:
            task.kept = list(task.refs)
            if task.call.actor:
                task.kept.remove(task.call.actor)
            left = len(task.call.refs) - bool(task.call.actor)
            self.world.require(not left, f"{task!r} is given up, and lets go of its arguments")

    def left(self, task: Task) -> None:
        """A call has left its worker."""
        for identifier in task.kept:
            self.world.unrefer(identifier)
        task.kept = []

    def explains(self, task: Task, own: bool, name: str, args: tuple[Any, ...]) -> bool:
        """Tell whether a call may have taken too long."""
        if not self.is_over(task):
            return False
        if own:
            return args[2] in (CANCELLED, ERROR, RETRYABLE)
        return name == "died" or self.may_be_left(task)

    def settled(self) -> None:
        """Nothing moves any more: no call that may not run for ever does."""
        for worker in self.world.workers.values():
            for frame in worker.stack:
                timed = frame.task.call.shape.template.timeout and frame.task.where
                done = self._in_company(worker) and frame.task.resolved
                self.world.require(not timed or done, f"{frame!r} goes on in {worker!r}")
