"""What generators yield, as a worker that called them takes it.

A worker asks for one item at a time, by a ticket whose value the driver sends when it is there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, final

from snakepit.protocol import Runtime
from snakepit.wire import messages as wire

from .mailbox import Mailbox
from .wants import Wait, Wants

if TYPE_CHECKING:
    from .client import WorkerRuntime

Make = Callable[[Runtime, int], None]


@final
class Consumer:
    """Takes the items of streams whose consumer is this worker.

    A lock guards the table of tickets: that of the runtime, which orders what is sent.
    """

    __slots__ = ("_mailbox", "_runtime", "_tickets", "_wants")

    def __init__(self, runtime: WorkerRuntime, mailbox: Mailbox, wants: Wants) -> None:
        self._runtime = runtime
        self._mailbox = mailbox
        self._wants = wants
        self._tickets: dict[int, Wait] = {}

    def take(self, stream: int, make: Make) -> bool:
        """See `Runtime.take`; here nothing is there that was not asked for."""
        return False

    def expect(self, stream: int, make: Make) -> None:
        """See `Runtime.expect`."""
        runtime = self._runtime
        with runtime.lock:
            runtime.report_added()
            ticket = runtime.own_id()
            self._tickets[ticket], _ = self._wants.values((ticket,))
            self._mailbox.send(wire.Expect(stream, ticket))
            # The news comes with the value: nobody needs to ask for either.
            self._wants.asked((ticket,), values=True)
            self._wants.asked((ticket,), values=False)
        make(runtime, ticket)

    def redeem(self, ticket: int, make: Make) -> None:
        """See `Runtime.redeem`."""
        with self._runtime.lock:
            wait = self._tickets.pop(ticket)
        _, payload = self._wants.take(wait, (ticket,))[ticket]
        item = int.from_bytes(payload, "little")
        if item:
            self._runtime.hold(item)
        make(self._runtime, item)

    def forget(self, dropped: Iterable[int]) -> None:
        """Handles are gone: what was expected by them is not waited for."""
        if self._tickets:
            for ticket in dropped:
                wait = self._tickets.pop(ticket, None)
                if wait is not None:
                    self._wants.take(wait, (ticket,))
