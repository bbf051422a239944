"""What generators yield: given once, in order, kept as long as somebody may take it."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from snakepit.ids import DRIVER
from snakepit.policy import actions as do
from snakepit.policy.calls import Call
from snakepit.policy.scheduler import UnknownCall
from snakepit.policy.streams import UNLIMITED
from snakepit.wire.messages import ERROR, OK, STREAMING

from .rig import Rig, only

EXTENT = 1


class StreamRig(Rig):
    """A rig with one generator call that runs in a worker."""

    def __init__(self, **fields: Any) -> None:
        super().__init__()
        self.workers(2)
        self.generator: Call = self.submit(returns=STREAMING, **fields)
        self.take()
        self.place = 0

    def items(self, count: int = 1) -> list[int]:
        """Have it yield items whose values lie in the store."""
        made = []
        for _ in range(count):
            item = self.ids()
            payload = [item, self.generator.worker, 64 * item, [10]]
            self.scheduler.item(
                self.generator.worker, self.generator.id, self.place, item, payload, ()
            )
            self.place += 1
            made.append(item)
        return made

    def next(self) -> int | None:
        return self.scheduler.streams.take(self.generator.id)

    def expect(self, holder: int = DRIVER) -> int:
        ticket = self.ids()
        self.scheduler.streams.expect(self.generator.id, ticket, holder)
        return ticket

    def end(self, outcome: int = OK) -> list[do.Action]:
        return self.result(self.generator, outcome, [b"end"])


def test_items_are_given_in_order_and_then_the_end() -> None:
    rig = StreamRig()
    first, second = rig.items(2)
    assert rig.next() == first
    (third,) = rig.items()
    assert [rig.next(), rig.next(), rig.next()] == [second, third, None]
    rig.end()
    assert rig.next() == 0
    assert rig.next() == 0


def test_an_error_is_the_last_item() -> None:
    rig = StreamRig()
    (item,) = rig.items()
    rig.end(ERROR)
    assert [rig.next(), rig.next(), rig.next()] == [item, rig.generator.id, 0]
    rig.drop(item, rig.generator.id, rig.generator.id)
    assert not rig.entries
    assert not rig.scheduler.objects.streams


def test_a_ticket_resolves_to_the_next_item() -> None:
    rig = StreamRig()
    ticket = rig.expect()
    assert rig.scheduler.pending(ticket)
    (item,) = rig.items()
    assert not rig.scheduler.pending(ticket)
    assert rig.scheduler.streams.redeem(ticket) == item
    rig.drop(ticket)
    assert item in rig.entries
    assert [type(action) for action in rig.drop(item)] == [do.Free]


def test_a_ticket_that_nobody_redeemed_lets_its_item_go() -> None:
    rig = StreamRig()
    ticket = rig.expect()
    (item,) = rig.items()
    assert only(rig.drop(ticket), do.Free).id == item


@pytest.mark.parametrize("outcome", [OK, ERROR])
def test_tickets_resolve_at_the_end(outcome: int) -> None:
    rig = StreamRig()
    tickets = [rig.expect(), rig.expect()]
    rig.end(outcome)
    got = [rig.scheduler.streams.redeem(ticket) for ticket in tickets]
    assert got == [0 if outcome == OK else rig.generator.id, 0]
    assert rig.scheduler.streams.redeem(rig.expect()) == 0


def test_a_worker_is_told_what_its_ticket_resolves_to() -> None:
    rig = StreamRig()
    ticket = rig.expect(holder=2)
    rig.scheduler.want(2, (ticket,), values=True)
    rig.items()
    assert only(rig.take(), do.Tell) == do.Tell(2, ticket, True)


def test_what_nobody_can_take_any_more_goes_at_once() -> None:
    rig = StreamRig()
    items = rig.items(2)
    freed = rig.drop(rig.generator.id)
    assert [action.id for action in freed if type(action) is do.Free] == items
    (late,) = rig.items()
    assert only(rig.take(), do.Free).id == late
    rig.end()
    assert not rig.entries
    assert not rig.scheduler.objects.streams


def test_a_second_try_repeats_nothing() -> None:
    rig = StreamRig(max_retries=1)
    first, second = rig.items(2)
    assert rig.next() == first
    rig.die(rig.generator.worker, rig.generator.sequence)
    rig.place = 0
    again = rig.items(3)
    freed = [action.id for action in rig.take() if type(action) is do.Free]
    assert freed == again[:2]
    assert [rig.next(), rig.next()] == [second, again[2]]


def test_a_limited_producer_hears_of_what_is_taken() -> None:
    rig = StreamRig(backpressure=2, max_retries=1)
    rig.items(2)
    assert rig.take() == []
    rig.next()
    call = rig.generator
    assert rig.take() == [do.Taken(call.worker, call.id, 1)]
    # In another worker it begins at zero, and hears at each item that is known already.
    rig.die(call.worker, call.sequence)
    rig.place = 0
    rig.items()
    assert do.Taken(call.worker, call.id, 1) in rig.take()
    # Nobody to wait for.
    assert do.Taken(call.worker, call.id, UNLIMITED) in rig.drop(call.id)


def test_only_a_generator_yields() -> None:
    rig = Rig()
    rig.workers(1)
    call = rig.submit()
    with pytest.raises(UnknownCall):
        rig.scheduler.item(call.worker, call.id, 0, 99, b"", ())
    with pytest.raises(UnknownCall):
        rig.scheduler.item(call.worker, 12345, 0, 99, b"", ())


def test_the_shutdown_ends_every_stream() -> None:
    rig = StreamRig()
    ticket = rig.expect()
    rig.scheduler.close("shutdown", {})
    assert rig.scheduler.streams.redeem(ticket) == rig.generator.id


@given(seed=st.integers(0, 1 << 32))
def test_whatever_happens_each_item_comes_once_in_order_and_nothing_stays(seed: int) -> None:
    dice = Random(seed)
    rig = StreamRig(max_retries=3, backpressure=dice.choice((0, 2)))
    call = rig.generator
    yielded: list[int] = []  # the place of each item by the first id that carried it
    got: list[int] = []
    tickets: list[int] = []
    known: dict[int, int] = {}
    ended = dropped = False
    for _ in range(dice.randrange(5, 60)):
        event = dice.choice(("item", "item", "take", "expect", "redeem", "die", "end", "drop"))
        if event == "item" and not ended and call.worker in rig.scheduler.placement.workers:
            place = rig.place
            (item,) = rig.items()
            if place == len(yielded):
                yielded.append(item)
                known[item] = place
        elif event == "take" and not dropped and not tickets:
            item = rig.next()
            if item:
                got.append(item)
        elif event == "expect" and not dropped and len(tickets) < 2:
            tickets.append(rig.expect())
        elif event == "redeem" and tickets and not rig.scheduler.pending(tickets[0]):
            item = rig.scheduler.streams.redeem(tickets[0])
            rig.drop(tickets.pop(0))
            if item:
                got.append(item)
        elif event == "die" and not ended and dice.random() < 0.3 and call.deaths < 1:
            rig.die(call.worker, call.sequence, signal="SIGTERM")
            rig.workers(2)
            rig.place = 0
        elif event == "end" and not ended and dice.random() < 0.2 and call.worker:
            ended = True
            rig.end(dice.choice((OK, ERROR)))
        elif event == "drop" and not dropped and dice.random() < 0.1:
            dropped = True
            rig.drop(call.id)
        rig.take()
    items = [item for item in got if item != call.id]
    assert [known[item] for item in items] == list(range(len(items)))
    assert call.id not in got[:-1]
    if not ended and call.state == "sent":
        rig.end()
    rig.drop(*tickets, *got, *(() if dropped else (call.id,)))
    assert not rig.entries
    assert not rig.scheduler.objects.streams
    assert not rig.scheduler.objects.extents
