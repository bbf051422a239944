"""Schedulers whose recycling has one bug each, which the simulator must find."""

from __future__ import annotations

from typing import Any

from snakepit.policy.lifespans import Lifespan
from snakepit.policy.workers import MOST_AHEAD, Worker


def go_before_the_next_is_ready(scheduler: Any) -> None:
    """Who has had enough goes at once."""
    recycling = scheduler.placement.recycling
    turn = recycling.turn

    def hasty(pool: Any) -> None:
        for worker in [*pool.turnover.due.values()]:
            recycling._let_go(worker)
        turn(pool)

    recycling.turn = hasty


def never_go(scheduler: Any) -> None:
    """Another starts, and who was to go stays."""
    recycling = scheduler.placement.recycling
    recycling._let_go = lambda worker: worker.pool.turnover.forget(worker.number)


def forget_who_is_outgoing(scheduler: Any) -> None:
    """A worker that had calls when it was to go stays when they have ended."""
    recycling = scheduler.placement.recycling
    rested = recycling.rested

    def forgetful(worker: Worker) -> None:
        if not worker.results:
            rested(worker)

    recycling.rested = forgetful


def go_with_its_calls(scheduler: Any) -> None:
    """A worker that is to go does so in the middle of a call."""
    recycling = scheduler.placement.recycling
    let_go = recycling._let_go

    def brutal(worker: Worker) -> None:
        let_go(worker)
        if worker.state == "live":
            worker.to("retire")

    recycling._let_go = brutal


def call_who_is_outgoing(scheduler: Any) -> None:
    """A worker that is to go gets calls as ever."""
    recycling = scheduler.placement.recycling
    let_go = recycling._let_go

    def busy(worker: Worker) -> None:
        let_go(worker)
        worker.room = MOST_AHEAD

    recycling._let_go = busy


def count_late(scheduler: Any) -> None:
    """What is on its way to a worker does not count."""
    recycling = scheduler.placement.recycling
    served = recycling.served

    def late(worker: Worker) -> None:
        served(worker)
        if worker.room:
            worker.room = MOST_AHEAD

    recycling.served = late


def let_workers_serve_one_more(scheduler: Any) -> None:
    """The limit of calls is one too high."""
    for pool in scheduler.placement.pools.values():
        span = pool.turnover.lifespan
        if span.requests is not None:
            pool.turnover.lifespan = Lifespan(span.ttl, span.requests + 1, span.memory)


def count_replaced_ones_twice(scheduler: Any) -> None:
    """A worker that is replaced and dies is still held to be there."""
    staff = scheduler.placement.staff
    remove = staff.remove

    def careless(worker: Worker) -> None:
        turnover = worker.pool.turnover
        replaced = worker.number in turnover.replaced
        remove(worker)
        if replaced:
            turnover.replaced[worker.number] = worker

    staff.remove = careless


PLANTED = (
    go_before_the_next_is_ready,
    never_go,
    forget_who_is_outgoing,
    go_with_its_calls,
    call_who_is_outgoing,
    count_late,
    let_workers_serve_one_more,
    count_replaced_ones_twice,
)
