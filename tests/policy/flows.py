"""The world's own books on streams: what generator calls yielded, and who was given it."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any, final

from snakepit.ids import DRIVER
from snakepit.policy import actions as do
from snakepit.policy.calls import Call
from snakepit.policy.streams import END, UNLIMITED
from snakepit.wire.messages import OK

if TYPE_CHECKING:
    from .books import Task
    from .dice import Dice
    from .world import World


@final
class Flow:
    """One stream."""

    __slots__ = ("call", "deserted", "ended", "items", "received", "taken", "tickets")

    def __init__(self, call: Call) -> None:
        self.call = call
        self.items: deque[int] = deque()
        self.tickets: deque[int] = deque()
        self.received = 0
        self.taken = 0
        self.ended = False
        self.deserted = False


@final
class Flows:
    """All streams of a world, and its tickets: those that wait, and what the others resolved to."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.table: dict[int, Flow] = {}
        self.waiting: set[int] = set()
        self.tickets: dict[int, int] = {}  # of the driver, with their streams

    def submitted(self, call: Call) -> None:
        if call.shape.template.returns < 0:
            self.table[call.id] = Flow(call)

    # --- what happens ---------------------------------------------------------------------

    def yielded(self, task: Task | None, identifier: int, place: int, item: int) -> None:
        """A worker's item reaches the scheduler."""
        flow = self.table.get(identifier)
        if flow is None or flow.deserted or place != flow.received or task is None:
            return
        flow.received += 1
        if flow.tickets:
            flow.taken += 1
            self._resolve(flow.tickets.popleft(), item)
        else:
            self.world.refer(item)
            flow.items.append(item)

    def _resolve(self, ticket: int, item: int) -> None:
        world = self.world
        self.waiting.discard(ticket)
        if item:
            world.refer(item)
            world.contents[ticket] = (item,)
        world.unrefer(ticket)

    def resolved(self, task: Task) -> None:
        """A call has ended."""
        flow = self.table.get(task.call.id)
        if flow is None:
            return
        flow.ended = True
        entry = self.world.scheduler.objects.entries.get(task.call.id)
        if entry is not None and entry.outcome != OK:
            if flow.tickets:
                self._resolve(flow.tickets.popleft(), task.call.id)
            else:
                flow.items.append(task.call.id)
        while flow.tickets:
            self._resolve(flow.tickets.popleft(), END)

    def deserted(self) -> None:
        """After each event: what nobody can take any more is not kept."""
        world = self.world
        for identifier, flow in list(self.table.items()):
            real = world.scheduler.objects.streams.get(identifier)
            if real is not None and not real.deserted:
                continue
            entry = world.scheduler.objects.entries.get(identifier)
            if not flow.deserted:
                flow.deserted = True
                world.require(
                    entry is None or not (entry.local or entry.holders),
                    f"the stream {identifier:x} is deserted, and somebody holds it",
                )
                for item in flow.items:
                    if item != identifier:
                        world.unrefer(item)
                flow.items.clear()
            if entry is None:
                del self.table[identifier]

    def check(self, action: do.Taken) -> None:
        """A producer is told how many were taken."""
        flow = self.table[action.call]
        right = UNLIMITED if flow.deserted else flow.taken
        self.world.require(action.total in (right, UNLIMITED), f"{action!r}: it is {right}")

    # --- what the driver does -------------------------------------------------------------

    def drive(self, held: list[int], dice: Dice) -> None:
        """Take an item, leave a ticket, or redeem one."""
        done = [ticket for ticket in self.tickets if ticket not in self.waiting]
        streams = [i for i in held if i in self.table]
        kind = dice.below(4)
        if kind == 0 and done:
            ticket = dice.pick(done)
            self.world.event("redeem", ticket)
            del self.tickets[ticket]
            self.world.drop(ticket)
        elif kind == 1 and streams:
            self.world.event("expect", dice.pick(streams))
        elif streams:
            self.world.event("take", dice.pick(streams))

    def take(self, identifier: int) -> Any:
        flow = self.table[identifier]
        expected = flow.items[0] if flow.items else (END if flow.ended else None)
        item = self.world.scheduler.streams.take(identifier)
        self.world.require(item == expected, f"took {item!r} of {identifier:x}, not {expected!r}")
        if item:
            flow.items.popleft()
            flow.taken += 1
            self.world.driver.own((item,))
            if item != identifier:
                self.world.unrefer(item)
        return item

    def expect(self, identifier: int) -> None:
        world = self.world
        flow = self.table[identifier]
        ticket = world.driver.new_ids(1)
        world.driver.own((ticket,))
        world.alive.add(ticket)
        world.refer(ticket)
        self.tickets[ticket] = identifier
        if flow.items:
            item = flow.items.popleft()
            flow.taken += 1
            self._resolve(ticket, item)
            if item != identifier:
                world.unrefer(item)
        elif flow.ended:
            self._resolve(ticket, END)
        else:
            self.waiting.add(ticket)
            flow.tickets.append(ticket)
        world.scheduler.streams.expect(identifier, ticket, DRIVER)

    def redeem(self, ticket: int) -> None:
        item = self.world.scheduler.streams.redeem(ticket)
        right = (*self.world.contents.get(ticket, ()), END)[0]
        self.world.require(item == right, f"ticket {ticket:x} gave {item:x}, not {right:x}")
        if item:
            self.world.driver.own((item,))
