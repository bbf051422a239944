"""Schedulers whose circuit breakers have one bug each, which the simulator must find."""

from __future__ import annotations

from typing import Any

from snakepit.policy.circuit import Circuit

from .planted import Plant


def _circuits(scheduler: Any, kind: type[Circuit]) -> None:
    for pool in scheduler.placement.pools.values():
        if pool.circuit is not None:
            old = pool.circuit
            pool.circuit = kind(old.failures, old.window, old.reset_after)


class Open(Circuit):  # type: ignore[misc]
    """Lets everybody through once it is half open."""

    def passes(self, call: Any) -> bool:
        return bool(self.state == "half-open")


class Unforgiving(Circuit):  # type: ignore[misc]
    """Counts crashes of long ago."""

    def crashed(self, now: float, cause: Any) -> bool:
        return bool(super().crashed(len(self._times) * 1e-6, cause))


class Stubborn(Circuit):  # type: ignore[misc]
    """Does not close."""

    def answered(self, call: Any) -> bool:
        return False


class Jealous(Circuit):  # type: ignore[misc]
    """Lets nobody else through when the one that was tried has ended undecided."""

    def passes(self, call: Any) -> bool:
        return bool(self.trial in (None, call) and super().passes(call))


def let_everybody_through(scheduler: Any) -> None:
    """When one is to be tried all are."""
    _circuits(scheduler, Open)


def forget_no_crash(scheduler: Any) -> None:
    """However long ago it was."""
    _circuits(scheduler, Unforgiving)


def stay_half_open(scheduler: Any) -> None:
    """The call that was tried does not count."""
    _circuits(scheduler, Stubborn)


def wait_for_one_that_is_gone(scheduler: Any) -> None:
    """Nobody else is tried after a call that was cancelled."""
    _circuits(scheduler, Jealous)


def ignore_crashes(scheduler: Any) -> None:
    """No circuit ever opens."""
    scheduler.supervision.barrier.crashed = lambda pool, cause, now: None


def let_the_queue_wait(scheduler: Any) -> None:
    """What waits when a circuit opens goes on waiting."""
    barrier = scheduler.supervision.barrier
    refuse = barrier._refuse

    def lenient(pool: Any, refusal: Any) -> list[Any]:
        take_queued = scheduler.placement.take_waiting
        scheduler.placement.take_waiting = lambda pool: []
        refuse(pool, refusal)
        scheduler.placement.take_waiting = take_queued
        return []

    barrier._refuse = lenient


def forget_who_waits_for_the_circuit(scheduler: Any) -> None:
    """An actor whose restart waits for it is not made when it is tried."""
    scheduler.actors.restarts.released = lambda root: None


def end_who_has_lived(scheduler: Any) -> None:
    """An actor that is to be made anew is refused as a new one is."""
    scheduler.actors.restarts.put_off = lambda actor, kind, fields: False


PLANTED: tuple[Plant, ...] = (
    let_everybody_through,
    forget_no_crash,
    stay_half_open,
    wait_for_one_that_is_gone,
    ignore_crashes,
    let_the_queue_wait,
    forget_who_waits_for_the_circuit,
    end_who_has_lived,
)
