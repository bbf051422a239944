"""Nothing waits for what could go on: checked when no message is on its way and no timer helps.

Each call without a result needs a reason that the scheduler cannot take away: an argument that is
missing, a constructor or an earlier method that has not returned, resources that living actors or
running calls hold, or a full pool whose blocked workers do not wait for it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, final

from snakepit.policy.actors import ALIVE, DEAD, STARTING
from snakepit.policy.actors import PENDING as UNPLACED
from snakepit.policy.calls import DONE, READY, SENT, WAITING
from snakepit.policy.objects import PENDING
from snakepit.wire.messages import METHOD

from . import slots
from .outcomes import Violation

if TYPE_CHECKING:
    from snakepit.policy.calls import Call

    from .books import Player, Task
    from .process import Frame, Worker
    from .world import World


@final
class Liveness:
    """Looks for calls that could go on and do not."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.frames: dict[int, tuple[Worker, int]] = {}
        for worker in world.workers.values():
            for level, frame in enumerate(worker.stack):
                self.frames[frame.task.call.id] = (worker, level)
        self.reached_in: dict[int, set[int]] = {}
        self.reached = self._reach()

    def check(self) -> None:
        """Report the first call that has no reason to wait."""
        for worker in self.world.workers.values():
            for frame in worker.stack if _beside(worker) else worker.stack[-1:]:
                self._top(worker, frame)
        for task in self.world.tasks.values():
            self._task(task)
        for player in self.world.players.values():
            self._player(player)

    def _missing(self, call: Call) -> list[int]:
        entries = self.world.scheduler.objects.entries
        return [
            i for _, i in call.deps if (e := entries.get(i)) is not None and e.outcome == PENDING
        ]

    def _top(self, worker: Worker, frame: Frame) -> None:
        if frame.waits is None:
            self.world.require(frame.hung, f"{frame!r} in {worker!r} could run")
            return
        entries = self.world.scheduler.objects.entries
        for identifier in frame.waits:
            entry = entries.get(identifier)
            if entry is None or entry.outcome != PENDING:
                raise Violation(f"{frame!r} was not told of {identifier:x}")

    def _task(self, task: Task) -> None:
        call = task.call
        if call.state is WAITING and task.kind == METHOD:
            self._in_lane(task)
        elif call.state is WAITING:
            self.world.require(self._missing(call), f"{task!r} has all its arguments")
        elif call.state is READY:
            self._ready(task)
        elif call.id not in self.frames:
            self._unbegun(task)

    def _in_lane(self, task: Task) -> None:
        player = self.world.players[task.call.actor]
        if player.actor.state in (UNPLACED, STARTING):
            return
        if player.actor.state is DEAD:
            raise Violation(f"{task!r} waits for {player.actor!r}")
        if player.actor.hosted:
            waits = self._missing(task.call) or self.world.housing.must_wait(task, player.actor)
            self.world.require(waits, f"{task!r} could be sent")
            return
        if player.actor.groups is not None:
            if self._has_room(player, task) and not self._missing(task.call):
                raise Violation(f"{task!r} could be sent")
            return
        lane = self.world.lanes[task.call.actor, task.call.caller]
        ahead = lane[: lane.index(task) + 1] if task in lane else [task]
        worker = player.actor.worker
        full = worker is not None and (
            len(worker.inflight) >= self.world.scheduler.actors.most_in_mailbox
        )
        if not full and not any(not t.resolved and self._missing(t.call) for t in ahead):
            raise Violation(f"{task!r} could be sent")

    def _has_room(self, player: Player, task: Task) -> bool:
        """Tell whether the mailbox of an actor with groups takes another call of this one's."""
        name = task.call.shape.template.group
        assert player.actor.groups is not None and player.actor.worker is not None
        sent = self.world.workers[player.actor.worker.number].sent.values()
        there = sum(t.kind == METHOD and t.call.shape.template.group == name for t in sent)
        limit = player.actor.groups[name].limit
        return there < limit + self.world.scheduler.actors.most_in_mailbox

    def _ready(self, task: Task) -> None:
        scheduler = self.world.scheduler
        klass = task.call.shape.klass
        pool = klass.pool
        if not scheduler.resources.fits(klass.needs) or not self.world.seats.leads(task):
            return
        home = self.world.seats.home(task)
        if home is not None:
            self._pinned(task, home)
            return
        if pool.idle:
            raise Violation(f"{task!r} waits, and a worker is idle")
        if slots.has_spare(self.world, pool):
            raise Violation(f"{task!r} waits, and a slot is free")
        if pool.staffed + pool.held < pool.limit:
            raise Violation(f"{task!r} waits, and the pool is not full")
        if task.call.id in self.reached.get(pool.name, ()):
            raise Violation(f"{task!r} waits, and a blocked worker waits for it")

    def _pinned(self, task: Task, home: Any) -> None:
        """A call that one worker alone may run."""
        if home.state != "live":
            raise Violation(f"{task!r} waits for {home!r}")
        if home.number in home.pool.idle:
            raise Violation(f"{task!r} waits, and its worker is idle")
        if task.call.id in self.reached_in.get(home.number, ()):
            raise Violation(f"{task!r} waits, and its worker waits for it")

    def _unbegun(self, task: Task) -> None:
        worker = self.world.workers[task.where]
        top = worker.stack[-1] if worker.stack else None
        if top is None:
            raise Violation(f"{task!r} is not begun by {worker!r}")
        if worker.groups is not None and worker.room(task.call.shape.template.group) > 0:
            raise Violation(f"{task!r} could run in {worker!r}")
        if worker.actor:
            return
        if worker.slots > 1:
            slots.check_unbegun(worker, task)
            self.world.require(task.kind != METHOD, f"{task!r} is sent too early")
        elif top.waits is not None:
            raise Violation(f"{task!r} waits behind {top!r}, which is blocked")
        klass = task.call.shape.klass
        pool = klass.pool
        if self.world.scheduler.resources.fits(klass.needs) and (
            pool.idle or pool.staffed + pool.held < pool.limit or slots.has_spare(self.world, pool)
        ):
            raise Violation(f"{task!r} waits behind {top!r}, which goes on and on")
        if pool.line is not None and pool.line.limited:
            raise Violation(f"{task!r} waits behind {top!r}, and not in line")

    def _player(self, player: Player) -> None:
        actor = player.actor
        creation = actor.creation
        if actor.state is UNPLACED:
            if self._missing(creation) or self.world.housing.is_put_off(actor):
                return
            fits = self.world.scheduler.resources.fits(creation.shape.klass.needs)
            fits = fits and (not actor.pooled or self.world.housing.has_place(actor))
            if fits or creation.state is not READY:
                raise Violation(f"{actor!r} could be placed: {creation!r}")
        elif actor.state is STARTING:
            begun = creation.state is SENT and creation.id in self.frames
            self.world.require(begun, f"{actor!r} does not start")
        elif actor.state is DEAD and actor.worker is not None:
            raise Violation(f"{actor!r} is dead, {actor.worker!r} is not")
        elif actor.state is ALIVE and actor.id not in self.world.alive:
            raise Violation(f"{actor!r} is out of reach and lives")

    # --- who waits for whom -----------------------------------------------------------------

    def _reach(self) -> dict[str, set[int]]:
        """Return for each pool the queued calls that a blocked worker of it waits for."""
        reached: dict[str, set[int]] = {}
        for worker in self.world.workers.values():
            if worker.actor or not worker.stack:
                continue
            if worker.slots > 1:
                waiting = [frame for frame in worker.stack if frame.told]
            else:
                waiting = worker.stack[-1:] if all(f.told for f in worker.stack) else []
            for frame in waiting:
                found = self.reached_in.setdefault(worker.number, set())
                self._follow(frame, found)
                reached.setdefault(worker.pool, set()).update(found)
        return reached

    def _follow(self, top: Frame, reached: set[int]) -> None:
        seen: set[int] = {top.task.call.id}
        waiting = self._producers(top.waits or ())
        while waiting:
            task = waiting.pop()
            call = task.call
            if call.id in seen or call.state is DONE:
                continue
            seen.add(call.id)
            if call.state is READY and task.kind != METHOD:
                reached.add(call.id)
                waiting.extend(self.world.seats.ahead(task))
            waiting.extend(self._producers(self._missing(call)))
            if call.id in self.frames:
                worker, level = self.frames[call.id]
                above = worker.stack[level : level + 1 if _beside(worker) else None]
                for frame in above:
                    waiting.append(frame.task)
                    waiting.extend(self._producers(frame.waits or ()))
            elif task.kind == METHOD:
                waiting.extend(self._ahead(task))

    def _producers(self, ids: object) -> list[Task]:
        producer = self.world.producer
        return [producer[i] for i in ids if i in producer]  # type: ignore[attr-defined]

    def _ahead(self, task: Task) -> list[Task]:
        actor = self.world.players[task.call.actor].actor
        if actor.groups is not None:
            return []  # Nobody waits for those that run beside him, but when the group is full.
        lane = self.world.lanes[task.call.actor, task.call.caller]
        ahead = lane[: lane.index(task)] if task in lane else []
        worker = self.world.workers.get(actor.worker.number) if actor.worker is not None else None
        if worker is not None:
            frames = [f.task for f in worker.stack]
            hosted = actor.hosted
            ahead = ahead + [t for t in frames if not hosted or t.call.actor == actor.id]
        return [t for t in ahead if not t.resolved]


def _beside(worker: Worker) -> bool:
    return worker.groups is not None or worker.slots > 1
