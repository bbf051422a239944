"""Generator calls in a worker: each item that they yield becomes an object and goes to the driver.

Guarantees:
* Items leave in order, each before the generator goes on; the result of the call comes after them.
* With a limit, at most so many are ahead of the consumer. Meanwhile the call waits as in `get`:
  others use its slot, and a cancel strikes.
* However the call ends, the generator is closed, so that its `finally` clauses run here and now.

Assumptions: `taken` is called by whoever reads the mailbox. Nothing relies on the GIL.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, final

from snakepit.deadline import NEVER
from snakepit.payload import Packed, pack
from snakepit.protocol import TaskInterrupt
from snakepit.wire import messages as wire
from snakepit.wire.codec import YIELD

from .client import WorkerRuntime
from .current import CALL
from .interruption import Interruption
from .mailbox import Mailbox
from .waiting import Bell

if TYPE_CHECKING:
    from .execution import Known

NOTHING: Final = pickle.dumps(None, 5)
"""The value of a generator call that has ended."""


@final
class Producer:
    """Runs the generators of one worker.

    Args:
        runtime: the worker's client of the driver.
        mailbox: where the items go.
        interruption: what of it was cancelled.
        encode: turns what was packed into the payload of the object of that id.
    """

    def __init__(
        self,
        runtime: WorkerRuntime,
        mailbox: Mailbox,
        interruption: Interruption,
        encode: Callable[[Packed, int], wire.Payload],
    ) -> None:
        self._runtime = runtime
        self._mailbox = mailbox
        self._interruption = interruption
        self._encode = encode
        self._taken: dict[int, int] = {}
        self._bells: dict[int, Bell] = {}

    def taken(self, message: wire.Taken) -> None:
        """The consumer has taken some."""
        if message.call in self._taken:
            self._taken[message.call] = message.total
            bell = self._bells.get(message.call)
            if bell is not None:
                bell.ring()

    def run(self, value: Any, execute: wire.Execute, known: Known) -> wire.Payload:
        """Send all that an iterator yields; return the payload of the call's own object.

        Raises:
            TypeError: it is no iterator.
            SerializationError: an item cannot be sent.
        """
        if not hasattr(value, "__next__"):
            raise _no_generator(value, known)
        call = execute.call
        # Above a consumer that waits there is nobody to take anything before the end.
        limit = 0 if execute.flags & wire.NESTED else known.template.backpressure
        interruption = self._interruption
        self._taken[call] = index = 0
        try:
            while True:
                interruption.open = True
                try:
                    item = next(value)
                except StopIteration:
                    return NOTHING
                finally:
                    interruption.open = False
                self._emit(call, index, item, known)
                index += 1
                if limit and not self._has_room(call, index, limit):
                    self._wait_for_room(call, index, limit)
                if interruption.cancelled(call):
                    raise TaskInterrupt("this call was cancelled")
        finally:
            del self._taken[call]
            _close(value)

    async def run_async(self, value: Any, execute: wire.Execute, known: Known) -> wire.Payload:
        """Do the same in a coroutine, for an iterator or an asynchronous one."""
        import asyncio

        if not hasattr(value, "__anext__"):
            value = _Steps(value, known)
        call, limit, index = execute.call, known.template.backpressure, 0
        self._taken[call] = 0
        try:
            async for item in value:
                self._emit(call, index, item, known)
                index += 1
                while limit and not self._has_room(call, index, limit):
                    await self._room(call, index, limit)
                # Others get their turn, and a cancel its chance, also if it awaits nothing itself.
                await asyncio.sleep(0)
            return NOTHING
        finally:
            del self._taken[call]
            close = getattr(value, "aclose", None)
            if close is not None:
                await close()

    def _emit(self, call: int, index: int, item: Any, known: Known) -> None:
        packed = pack(item, what=known.item, root="item")
        runtime = self._runtime
        identifier = runtime.new_ids(1)
        payload = self._encode(packed, identifier)
        with runtime.lock:
            runtime.report_added()
            self._mailbox.send_fields((YIELD, call, index, identifier, payload, packed.refs))

    def _has_room(self, call: int, index: int, limit: int) -> bool:
        return index - self._taken[call] < limit

    def _wait_for_room(self, call: int, index: int, limit: int) -> None:
        runtime, cancelled = self._runtime, self._interruption.cancelled
        blocked = wire.Blocked(call, [call], True, [])

        def ready() -> bool:
            return self._has_room(call, index, limit) or cancelled(call)

        if call == CALL.get():
            runtime.waiting.beside(self._mailbox.send, blocked, ready, NEVER)
        else:
            runtime.waiting.on_stack(
                self._mailbox.send, blocked, ready, NEVER, keeps=bool(runtime.actor)
            )

    async def _room(self, call: int, index: int, limit: int) -> None:
        assert self._runtime.loop is not None
        self._bells[call] = bell = self._runtime.loop.bell()
        try:
            if not self._has_room(call, index, limit):
                await bell.rung
        finally:
            del self._bells[call]


@final
class _Steps:
    """An iterator as an asynchronous one, whose steps block."""

    def __init__(self, value: Any, known: Known) -> None:
        if not hasattr(value, "__next__"):
            raise _no_generator(value, known)
        self._value = value

    def __aiter__(self) -> _Steps:
        return self

    async def __anext__(self) -> Any:
        try:
            return next(self._value)
        except StopIteration:
            raise StopAsyncIteration from None

    async def aclose(self) -> None:
        _close(self._value)


def _close(value: Any) -> None:
    close = getattr(value, "close", None)
    if close is not None:
        close()


def _no_generator(value: Any, known: Known) -> TypeError:
    return TypeError(
        f'{known.template.name} has num_returns="streaming" and must be a generator function or '
        f"return an iterator; it returned {type(value).__name__}"
    )
