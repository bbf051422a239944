"""Schedulers with one bug each in what concerns workers with several slots."""

from __future__ import annotations

from typing import Any

from snakepit.policy import placement
from snakepit.policy.calls import Call
from snakepit.policy.pools import Klass, Pool
from snakepit.policy.workers import LIVE, Worker

from .planted import Plant


class _Slots:
    """Stands in front of a scheduler's `Slots`, of which each plant changes something."""

    def __init__(self, scheduler: Any) -> None:
        self.true = scheduler.placement.slots
        scheduler.placement.slots = self

    def spare(self, pool: Pool) -> Worker | None:
        worker: Worker | None = self.true.spare(pool)
        return worker

    def enters(self, worker: Worker, call: Call, klass: Klass) -> bool:
        return bool(self.true.enters(worker, call, klass))

    def leaves(self, worker: Worker, call: Call, blocked: bool) -> None:
        self.true.leaves(worker, call, blocked)


def leave_slots_empty(scheduler: Any) -> None:
    """A worker gets a second call only when it has ended the first."""

    class Plant(_Slots):
        def spare(self, pool: Pool) -> Worker | None:
            return None

    Plant(scheduler)


def count_the_waiting_as_gone(scheduler: Any) -> None:
    """A call that waits does not count: its slot is given to another."""

    class Plant(_Slots):
        def spare(self, pool: Pool) -> Worker | None:
            for worker in pool.workers.values():
                running = len(worker.inflight) - len(worker.blocked) - worker.nested
                if worker.inflight and running < worker.slots and worker.state is LIVE:
                    return worker
            return None

    Plant(scheduler)


def forget_what_a_slot_held(scheduler: Any) -> None:
    """A call that ends beside others keeps what it held."""

    class Plant(_Slots):
        def leaves(self, worker: Worker, call: Call, blocked: bool) -> None:
            self.true.leaves(worker, call, blocked or bool(worker.inflight))

    Plant(scheduler)


def mix_ahead(scheduler: Any) -> None:
    """Calls are sent ahead of time to a worker that runs different ones."""

    class Plant(_Slots):
        def enters(self, worker: Worker, call: Call, klass: Klass) -> bool:
            ahead = super().enters(worker, call, klass)
            if not worker.open:
                worker.klass = klass
                worker.open = True
                klass.open.append(worker)
            return ahead

    Plant(scheduler)


def send_ahead_for_nothing(scheduler: Any) -> None:
    """A call that resources do not reach for is sent to a free slot."""
    true = scheduler.placement._has_room

    def has_room(worker: Worker, micros: float) -> bool:
        if worker.slots > 1 and worker.state is LIVE and not worker.blocked:
            return worker.backlog + micros <= placement.WINDOW
        return bool(true(worker, micros))

    scheduler.placement._has_room = has_room


PLANTED: tuple[Plant, ...] = (
    leave_slots_empty,
    count_the_waiting_as_gone,
    forget_what_a_slot_held,
    mix_ahead,
    send_ahead_for_nothing,
)
