"""The processes that there are, with what they began with: their pool, GPUs and interpreter."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final, final

from .actions import Action, Arm, Dump, Kill, Spawn
from .calls import Shape
from .devices import Devices
from .pools import Pool
from .resources import Resources
from .starts import START, Starts
from .workers import LIVE, STARTING, Worker

if TYPE_CHECKING:
    from .heartbeats import Heartbeats

GRACE: Final = 1.0
"""Seconds from the end of a worker's time to start to its own end: for its last words."""


@final
class Staff:
    """All workers, those that start among them.

    Attributes:
        workers: by number.
        starts: those that nobody has begun to fork.
        devices: the GPUs that they have.
        heartbeats: what watches those that are ready, if anybody asked for it.
    """

    def __init__(self, resources: Resources, actions: deque[Action], home: str) -> None:
        self.workers: dict[int, Worker] = {}
        self.starts = Starts(actions, home)
        self.devices = Devices(resources)
        self._actions = actions
        self.heartbeats: Heartbeats | None = None
        self._next = 1

    def add(self, pool: Pool, label: str, shape: Shape | None = None) -> Worker:
        """Start a process: of the pool's own, or for an actor (`shape` is its constructor's)."""
        worker = Worker(self._next, pool, 1 if shape else pool.slots, None)
        self._next += 1
        self.workers[worker.number] = worker
        if shape is None:
            pool.workers[worker.number] = worker
            pool.starting += 1
            if pool.taint is not None:
                worker.strikes = pool.taint.strikes()
        env, gpus = (shape.template.env, shape.klass.gpus) if shape else (pool.env, pool.gpus)
        if gpus:
            self.devices.equip(worker, gpus)
        worker.interpreter = self.starts.interpreter(env)
        patience = 0.0 if shape else pool.patience
        spawn = Spawn(worker.number, label, env, worker.gpus, worker.interpreter, patience)
        self.starts.add(spawn)
        return worker

    @staticmethod
    def vacant(pool: Pool) -> Worker | None:
        """Take an idle worker that an actor may have to itself: who idles last, as for tasks.

        Neither one that sessions rely on, nor one in whose place another starts.
        """
        for number, worker in reversed(pool.idle.items()):
            if not worker.pins and number not in pool.turnover.replaced:
                del pool.idle[number]
                pool.turnover.forget(number)
                worker.reason = ""
                worker.unlist()
                worker.klass = None
                return worker
        return None

    def forked(self, worker: Worker) -> None:
        """A worker's process is there: another may be forked."""
        if not worker.forked:
            worker.forked = True
            self.starts.over()

    def overdue(self, number: int) -> None:
        """The time of a worker's start is over: have it say where it is, and end it a grace later.

        One that is ready in the grace is kept.
        """
        worker = self.workers.get(number)
        if worker is None or worker.state is not STARTING:
            return
        if not worker.late:
            worker.late = True
            self._actions += (Dump(number), Arm(GRACE, f"{START}:{number}"))
        else:
            self._actions.append(Kill(number))

    def started(self, worker: Worker) -> None:
        """A worker is no longer starting: it is ready, or it is dead."""
        if worker.actor is None:
            worker.pool.starting -= 1
        self.forked(worker)
        if self.heartbeats is not None and worker.state is LIVE:
            self.heartbeats.joined(worker)

    def call_off(self, pool: Pool) -> None:
        """Give up those of the pool's workers that nobody has begun to fork."""
        self.give_up(self.starts.call_off(pool.workers))

    def give_up(self, numbers: list[int]) -> list[Worker]:
        """Forget workers that nobody has begun to fork; return those that actors wait for."""
        actors: list[Worker] = []
        for number in numbers:
            worker = self.workers.pop(number)
            worker.to("died")
            self.devices.strip(worker)
            if worker.actor is None:
                del worker.pool.workers[number]
                worker.pool.starting -= 1
            else:
                actors.append(worker)
        return actors

    def remove(self, worker: Worker) -> None:
        """The worker's process has ended."""
        del self.workers[worker.number]
        if self.heartbeats is not None:
            self.heartbeats.left(worker)
        worker.pool.workers.pop(worker.number, None)
        worker.pool.idle.pop(worker.number, None)
        worker.pool.turnover.forget(worker.number)
        worker.unlist()
        if worker.part:
            worker.pool.part.remove(worker)
            worker.part = False
        self.devices.strip(worker)
