"""Schedulers whose heartbeats have one bug each, which the simulator must find."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from snakepit.policy.heartbeats import Heartbeats, Reading

from .planted import Plant

Change = Callable[[Reading, Reading], Reading | None]


def _plant(scheduler: Any, plant: Callable[[Any], None]) -> None:
    """Plant a bug in what watches workers, which the world makes after the scheduler."""
    staff = type(scheduler.placement.staff)

    class Planted(staff):  # type: ignore[misc, valid-type]
        def __setattr__(self, name: str, value: Any) -> None:
            super().__setattr__(name, value)
            if name == "heartbeats" and type(value) is Heartbeats:
                plant(value)

    scheduler.placement.staff.__class__ = Planted


def _readings(change: Change) -> Callable[[Any], None]:
    """Have each reading changed before it is compared with the one before."""

    def plant(heartbeats: Any) -> None:
        checked = heartbeats.checked
        last: dict[int, Reading] = {}

        def changed(number: int, heard: int, started: int, now: float, reading: Any = None) -> None:
            if reading is not None:
                before = last.get(number, reading)
                last[number] = reading
                reading = change(before, reading)
            checked(number, heard, started, now, reading)

        heartbeats.checked = changed

    return plant


def count_what_it_waited(scheduler: Any) -> None:
    """The time in which a thread waited for a processor counts."""

    def change(before: Reading, reading: Reading) -> Reading:
        idle = {n: t._replace(state="S", waited=0.0) for n, t in reading.threads.items()}
        return reading._replace(threads=idle)

    _plant(scheduler, _readings(change))


def count_waits_that_go_on_for_nothing(scheduler: Any) -> None:
    """A thread that waits still is thought to have had what it wanted."""

    def change(before: Reading, reading: Reading) -> Reading:
        threads = {
            n: t._replace(state="S") if t.state == "R" else t for n, t in reading.threads.items()
        }
        return reading._replace(threads=threads)

    _plant(scheduler, _readings(change))


def count_what_a_debugger_held(scheduler: Any) -> None:
    """A worker that is traced is thought to hang."""
    _plant(scheduler, _readings(lambda before, reading: reading._replace(traced=False)))


def count_waits_for_disks(scheduler: Any) -> None:
    """A worker that waits for a page, or a disk, is thought to hang."""

    def change(before: Reading, reading: Reading) -> Reading:
        awake = {
            n: t._replace(state="S") if t.state == "D" else t for n, t in reading.threads.items()
        }
        return reading._replace(threads=awake, faults=0)

    _plant(scheduler, _readings(change))


def count_late_looks(scheduler: Any) -> None:
    """A driver that was stopped thinks that its workers hang."""
    clock = [0.0]

    def change(before: Reading, reading: Reading) -> Reading:
        clock[0] += 0.5
        return reading._replace(begun=clock[0], ended=clock[0])

    _plant(scheduler, _readings(change))


def find_nobody(scheduler: Any) -> None:
    """No time is ever a worker's own."""
    _plant(scheduler, _readings(lambda before, reading: None))


def end_nobody(scheduler: Any) -> None:
    """One that was to die by itself may live on."""

    def plant(heartbeats: Any) -> None:
        heartbeats.end = lambda number: None

    _plant(scheduler, plant)


def look_once(scheduler: Any) -> None:
    """The timer is not set again."""

    def plant(heartbeats: Any) -> None:
        look = heartbeats.look

        def once(name: str) -> None:
            look(name)
            scheduler.actions.pop()

        heartbeats.look = once

    _plant(scheduler, plant)


def watch_no_actors(scheduler: Any) -> None:
    """Workers of actors are forgotten."""

    def plant(heartbeats: Any) -> None:
        joined = heartbeats.joined
        heartbeats.joined = lambda worker: None if worker.actor else joined(worker)

    _plant(scheduler, plant)


PLANTED: tuple[Plant, ...] = (
    count_what_it_waited,
    count_waits_that_go_on_for_nothing,
    count_what_a_debugger_held,
    count_waits_for_disks,
    count_late_looks,
    find_nobody,
    end_nobody,
    look_once,
    watch_no_actors,
)
