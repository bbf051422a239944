"""Waiting in coroutines inside a worker.

On the event loop of an async actor, which reads the mailbox itself, a bell wakes the coroutine. On
any other loop a callback does.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, final

from snakepit.resolving import resolved
from snakepit.values import Values
from snakepit.wire import messages as wire

from .waiting import Loop
from .wants import Wait, Wants

if TYPE_CHECKING:
    from .client import WorkerRuntime


@final
class Awaiting:
    """The waits of coroutines; see `Runtime.until_done` and `Runtime.await_many`."""

    __slots__ = ("_runtime", "_values", "_wants")

    def __init__(self, runtime: WorkerRuntime, wants: Wants, values: Values) -> None:
        self._runtime = runtime
        self._wants = wants
        self._values = values

    async def until_done(self, ids: Sequence[int]) -> None:
        """See `Runtime.until_done`."""
        loop = self._runtime.loop
        if loop is None or not loop.here:
            await resolved(self._runtime, ids)
            return
        wanted = list(dict.fromkeys(ids))
        self._runtime.report_handles()
        wait, ask = self._wants.news(wanted, len(wanted))
        try:
            await self._over(loop, wait, wire.Want(ask, False))
        finally:
            self._wants.known(wait, wanted, len(wanted))

    async def await_many(self, ids: Sequence[int]) -> list[Any]:
        """See `Runtime.await_many`."""
        loop = self._runtime.loop
        if loop is None or not loop.here:
            await resolved(self._runtime, ids)
            return self._runtime.get(ids, 0)
        wanted = list(dict.fromkeys(ids))
        self._runtime.report_handles()
        wait, ask = self._wants.values(wanted)
        try:
            await self._over(loop, wait, wire.Want(ask, True))
        finally:
            arrived = self._wants.take(wait, wanted)
        for outcome, payload in arrived.values():
            if outcome != wire.OK:
                self._values.open(outcome, payload)
        return [self._values.open(*arrived[identifier]) for identifier in ids]

    async def _over(self, loop: Loop, wait: Wait, want: wire.Want) -> None:
        if not wait.over():
            wait.bell = bell = loop.bell()
            self._runtime.send_want(want)
            if not wait.over():
                await bell.rung
