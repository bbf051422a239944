"""Schedulers whose limits of time have one bug each, which the simulator must find."""

from __future__ import annotations

from typing import Any

from snakepit.policy.actions import Kill
from snakepit.policy.calls import Call
from snakepit.policy.workers import Worker


def interrupt_early(scheduler: Any) -> None:
    """The time is counted from before the beginning."""
    began = scheduler.timeouts.began
    scheduler.timeouts.began = lambda number, call, at, now: began(number, call, at - 0.01, now)


def grant_no_grace(scheduler: Any) -> None:
    """A worker is ended as soon as its call is interrupted."""
    interrupt = scheduler.timeouts._interrupt

    def both(call: Call) -> None:
        interrupt(call)
        scheduler.actions.append(Kill(call.worker))

    scheduler.timeouts._interrupt = both


def retry_whatever_took_too_long(scheduler: Any) -> None:
    """A call is tried again though its options do not name the error."""
    answers = scheduler._answers

    def again(call: Call) -> None:
        call.attempts += 1
        answers._again(call)

    answers._too_late = again


def never_end_a_worker(scheduler: Any) -> None:
    """Who does not end when interrupted goes on for ever."""
    timeouts = scheduler.timeouts
    step = timeouts._step
    timeouts._step = lambda worker, call, number: 0.0 if number else step(worker, call, number)


def end_workers_with_others(scheduler: Any) -> None:
    """A worker is ended though calls of others run there."""
    timeouts = scheduler.timeouts

    def end(worker: Worker, call: Call) -> None:
        scheduler.actions.append(Kill(worker.number))

    timeouts._give_up = end


def kill_at_once(scheduler: Any) -> None:
    """A worker is killed, and perhaps the call after the one that is meant, where it may obey."""
    timeouts = scheduler.timeouts
    step = timeouts._step
    timeouts._step = lambda worker, call, number: step(worker, call, 2 * number)


def take_arguments_away(scheduler: Any) -> None:
    """What a call that is given up may still use goes with its answer."""
    scheduler.timeouts.keep = lambda call: None


def keep_arguments_for_good(scheduler: Any) -> None:
    """What a call that was given up used stays when it has ended."""
    scheduler.timeouts.left = lambda call, *answer: None
    scheduler.timeouts.forget = lambda number: None


def listen_for_no_time(scheduler: Any) -> None:
    """A worker in which a call was given up is ended with the others at once, if it is busy."""
    timeouts = scheduler.timeouts
    listen = timeouts.listen
    timeouts.listen = lambda number, probe, call, due, now: listen(number, probe, call, now, now)


PLANTED = (
    interrupt_early,
    grant_no_grace,
    retry_whatever_took_too_long,
    never_end_a_worker,
    end_workers_with_others,
    kill_at_once,
    take_arguments_away,
    keep_arguments_for_good,
    listen_for_no_time,
)
