"""Schedulers with one bug each in what concerns actors that live in workers among other calls."""

from __future__ import annotations

from typing import Any

from snakepit.policy import hosting as module
from snakepit.policy.actors import Actor
from snakepit.policy.calls import Call
from snakepit.policy.workers import Worker

from .planted import Plant


class _Hosting(module.Hosting):  # type: ignore[misc]  # final, but for what is planted
    """Stands in the place of a scheduler's `Hosting`, of which each plant changes something."""

    __slots__ = ()


def _plant(scheduler: Any, kind: type[_Hosting]) -> None:
    placement = scheduler.placement
    made = kind(placement, scheduler.actions)
    made.keep = scheduler.timeouts.keep
    placement.hosting = scheduler.actors.hosting = made


def run_two_calls_of_a_plain_actor(scheduler: Any) -> None:
    """An actor that runs one call at a time is sent two."""

    class Planted(_Hosting):
        __slots__ = ()

        def move_in(self, actor: Actor, worker: Worker) -> None:
            actor.alone.limit = 2
            super().move_in(actor, worker)

    _plant(scheduler, Planted)


def forget_a_claim(scheduler: Any) -> None:
    """A method that finds no slot is not sent when there is one."""

    class Planted(_Hosting):
        __slots__ = ()

        def _claim(self, worker: Worker, actor: Actor) -> None:
            return None

    _plant(scheduler, Planted)


def leave_ghosts_unanswered(scheduler: Any) -> None:
    """What runs of an actor that ends is told to nobody."""

    class Planted(_Hosting):
        __slots__ = ()

        def move_out(self, actor: Actor) -> list[Call]:
            super().move_out(actor)
            return []

    _plant(scheduler, Planted)


def outlive_the_worker(scheduler: Any) -> None:
    """Not all actors are lost with the worker that they lived in."""

    class Planted(_Hosting):
        __slots__ = ()

        def lost(self, worker: Worker) -> list[Actor]:
            tenants = [*(worker.tenants or {}).values()]
            for actor in tenants[1:]:
                del worker.tenants[actor.id]  # type: ignore[index]
            return super().lost(worker)

    _plant(scheduler, Planted)


def let_a_worker_with_actors_go(scheduler: Any) -> None:
    """Nothing keeps a worker in which actors live."""

    class Planted(_Hosting):
        __slots__ = ()

        def move_in(self, actor: Actor, worker: Worker) -> None:
            super().move_in(actor, worker)
            worker.pins -= 1

        def _leave(self, actor: Actor, worker: Worker) -> None:
            worker.pins += 1
            super()._leave(actor, worker)

    _plant(scheduler, Planted)


PLANTED: tuple[Plant, ...] = (
    run_two_calls_of_a_plain_actor,
    forget_a_claim,
    leave_ghosts_unanswered,
    outlive_the_worker,
    let_a_worker_with_actors_go,
)
