"""Schedulers with one bug each in their streams, which the simulator must find."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

Plant = Callable[[Any], None]


def give_again(scheduler: Any) -> None:
    """A second try gives its items once more."""
    item = scheduler.streams.item

    def anew(call: Any, place: int, identifier: int, payload: Any, refs: Any) -> None:
        stream = scheduler.objects.streams.get(call.id)
        item(call, stream.received if stream is not None else place, identifier, payload, refs)

    scheduler.streams.item = anew


def keep_for_nobody(scheduler: Any) -> None:
    """What nobody can take any more is kept."""
    scheduler.objects.abandoned = lambda identifier: None


def end_without_the_error(scheduler: Any) -> None:
    """A failure is not the last item."""
    streams = scheduler.streams

    def ended(call: Any) -> None:
        stream = scheduler.objects.streams.get(call.id)
        if stream is not None:
            stream.ended = True
            while stream.tickets:
                streams._settle(stream.tickets.popleft(), 0)

    scheduler.completion.stream_ended = ended


def forget_a_ticket(scheduler: Any) -> None:
    """Who waits for the end of a stream is not told."""
    scheduler.streams._settle = lambda ticket, item: None


def keep_a_taken_item(scheduler: Any) -> None:
    """The stream's own count of an item stays when a ticket takes it."""
    streams = scheduler.streams

    def redeem(stream: Any, item: int, call: Any) -> None:
        streams._settle(stream.tickets.popleft(), item)
        stream.taken += 1

    streams._redeem = redeem


PLANTED: tuple[Plant, ...] = (
    give_again,
    keep_for_nobody,
    end_without_the_error,
    forget_a_ticket,
    keep_a_taken_item,
)
