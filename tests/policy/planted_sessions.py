"""Bugs of sessions, which the simulator has to find."""

from __future__ import annotations

from typing import Any

from snakepit.policy.calls import Call
from snakepit.policy.session import Session


def run_strict_ones_anywhere(scheduler: Any) -> None:
    """Calls of strict sessions go to whoever is free."""
    scheduler.sessions.enqueue = scheduler.placement.enqueue_freely


def promote_nobody(scheduler: Any) -> None:
    """The place of a session in the queues stays empty when its call has got a worker."""
    scheduler.sessions._promote = lambda session: None


def forget_who_waits_for_the_dead(scheduler: Any) -> None:
    """Calls that wait for a worker wait on when it has died."""
    scheduler.sessions.lost = lambda worker: None


def let_the_last_go_first(scheduler: Any) -> None:
    """What waits for its worker is taken from the wrong end."""
    head = scheduler.sessions.pinned.head

    def last(session: Session) -> Call | None:
        session.waiting.rotate(1)
        found: Call | None = head(session)
        return found

    scheduler.sessions.pinned.head = last


def never_serve(scheduler: Any) -> None:
    """A worker that is free does not look who waits for it."""
    scheduler.sessions.pinned._serve = lambda worker: False


def tell_no_worker(scheduler: Any) -> None:
    """Workers keep what they have of sessions that are over."""
    forget = scheduler.sessions._forget

    def silent(session: Session) -> None:
        session.seen.clear()
        forget(session)

    scheduler.sessions._forget = silent


def keep_closed_ones(scheduler: Any) -> None:
    """A session that was closed stays."""
    scheduler.sessions._forget = lambda session: None


def count_pins_for_ever(scheduler: Any) -> None:
    """A worker is held to be needed by sessions that are over."""

    def careless(session: Session) -> None:
        session.worker = None

    scheduler.sessions._unpin = careless


PLANTED = (
    run_strict_ones_anywhere,
    promote_nobody,
    forget_who_waits_for_the_dead,
    let_the_last_go_first,
    never_serve,
    tell_no_worker,
    keep_closed_ones,
    count_pins_for_ever,
)
