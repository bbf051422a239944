"""Schedulers with one bug each in what concerns actors that live in pools."""

from __future__ import annotations

from typing import Any

from snakepit.policy.workers import Worker

from .planted import Plant


def evict_sessions(scheduler: Any) -> None:
    """An actor takes any idle worker, though sessions rely on it."""
    staff = scheduler.placement.staff
    vacant = staff.vacant

    def anybody(pool: Any) -> Worker | None:
        pins = {worker: worker.pins for worker in pool.idle.values()}
        for worker in pins:
            worker.pins = 0
        found: Worker | None = vacant(pool)
        for worker, count in pins.items():
            worker.pins = count
        return found

    staff.vacant = anybody


def recycle_actors(scheduler: Any) -> None:
    """Workers that became actors' are replaced as any others."""
    recycling = scheduler.placement.recycling
    true = recycling._has_enough

    def blind(worker: Worker, reason: str) -> None:
        actor, worker.actor = worker.actor, None
        true(worker, reason)
        worker.actor = actor

    recycling._has_enough = blind


def take_actors_while_it_drains(scheduler: Any) -> None:
    """A pool that takes nothing new takes actors all the same."""
    answers = scheduler._answers
    turns_away = answers.turns_away

    def tasks_alone(call: Any) -> bool:
        return not call.shape.klass.pooled and bool(turns_away(call))

    answers.turns_away = tasks_alone


def live_beside_the_pool(scheduler: Any) -> None:
    """A worker that becomes an actor's has no place of the pool."""
    staff = scheduler.placement.staff
    vacant = staff.vacant

    def counted_out(pool: Any) -> Worker | None:
        found: Worker | None = vacant(pool)
        if found is not None:
            del pool.workers[found.number]
        return found

    staff.vacant = counted_out


def keep_the_place_of_the_dead(scheduler: Any) -> None:
    """Nobody starts where an actor's process has ended."""
    supervision = scheduler.supervision
    true = supervision._leaves_its_place

    def leave(worker: Worker, *rest: Any) -> None:
        if worker.actor is None:
            true(worker, *rest)

    supervision._leaves_its_place = leave


def count_the_dead(scheduler: Any) -> None:
    """An actor that has ended is still said to be in its pool."""
    actors = scheduler.actors
    end = actors.end

    def forget(actor: Any, fields: Any) -> None:
        end(actor, fields)
        if actor.pool is not None:
            actor.pool.actors[actor.id] = actor

    actors.end = forget


PLANTED: tuple[Plant, ...] = (
    evict_sessions,
    recycle_actors,
    take_actors_while_it_drains,
    live_beside_the_pool,
    keep_the_place_of_the_dead,
    count_the_dead,
)
