"""What generators yield, as the driver takes it.

What is made of an item is made in the step that takes it, so that no Ctrl-C loses one: see
`protocol.Runtime`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import final

from ..ids import DRIVER
from ..protocol import Runtime
from .core import Core

Make = Callable[[Runtime, int], None]


@final
class StreamReader:
    """Takes the items of streams whose consumer is the driver."""

    __slots__ = ("_core", "_runtime", "_streams")

    def __init__(self, core: Core, runtime: Runtime) -> None:
        self._core = core
        self._runtime = runtime
        self._streams = core.scheduler.streams

    def take(self, stream: int, make: Make) -> bool:
        """See `Runtime.take`."""
        return self._step(self._streams.take, stream, make)

    def expect(self, stream: int, make: Make) -> None:
        """See `Runtime.expect`."""
        self._step(self._expect, stream, make)

    def _expect(self, stream: int) -> int:
        ticket = self._core.new_ids(1)
        self._streams.expect(stream, ticket, DRIVER)
        return ticket

    def redeem(self, ticket: int, make: Make) -> None:
        """See `Runtime.redeem`."""
        self._step(self._streams.redeem, ticket, make)

    def _step(self, event: Callable[[int], int | None], identifier: int, make: Make) -> bool:
        core = self._core
        token = core.interrupts.enter()
        try:
            with core.lock:
                core.check_open()
                if core.handles.queue:
                    core.drain_handles()
                made = event(identifier)
                touched = core.perform()
            if made is not None:
                make(self._runtime, made)
            core.flush(touched)
            core.pump.called()
        finally:
            core.interrupts.leave(token)
        return made is not None
