"""Calls of one actor that run side by side, as coroutines on one event loop.

The loop runs in the main thread and reads the mailbox itself, so that a call goes from the socket
to its coroutine and back without a change of threads. While it has nothing to do it spins for a
moment, as a plain worker does.

Guarantees:
* At most `limit` coroutines of a group run at a time; the others wait in the order they came.
* A coroutine has a context of its own, in which `CALL` names its call.
* A cancelled call gets `asyncio.CancelledError` where it awaits.

Assumptions: everything but `take` and `cancel` runs in the loop's thread; those two hand over by
`call_soon_threadsafe`. Nothing relies on the GIL.
"""

from __future__ import annotations

import asyncio
import contextvars
import selectors
import threading
from collections import deque
from collections.abc import Awaitable, Callable, Iterable
from os import sched_yield
from time import perf_counter
from typing import Any, Final, final

from snakepit.wire.messages import Execute

from .current import CALL
from .mailbox import SPIN, DriverGone, Mailbox

SLOW: Final = 0.5
"""Seconds that one step may block the loop, and all other calls with it, without a warning."""

MOST_POSTED: Final = 16
"""Replies that wait for the end of a round of the loop; the driver works on them meanwhile."""

_MISSES: Final = 3
"""Spins in vain, one after the other, until the loop blocks at once."""


@final
class _Selector(selectors.DefaultSelector):
    """A selector that spins before it blocks, while the driver says that a core is free for it.

    `stepped` is told how long the loop ran since the last time, if that was long.
    """

    def __init__(self, mailbox: Mailbox, stepped: Callable[[float], None]) -> None:
        super().__init__()
        self._mailbox = mailbox
        self._stepped = stepped
        self._misses = 0
        self._left = perf_counter()

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """Return what is ready, after `timeout` seconds at the latest."""
        taken = perf_counter() - self._left
        if taken > SLOW:
            self._stepped(taken)
        try:
            return self._select(timeout)
        finally:
            self._left = perf_counter()

    def forgive(self) -> None:
        """Count the present step from now on."""
        self._left = perf_counter()

    def _select(self, timeout: float | None) -> list[tuple[selectors.SelectorKey, int]]:
        if self._mailbox.spin and self._misses < _MISSES and (timeout is None or timeout > SPIN):
            end = perf_counter() + SPIN
            while perf_counter() < end:
                ready = super().select(0)
                if ready:
                    self._misses = 0
                    return ready
                sched_yield()
            self._misses += 1
        if timeout is not None and timeout <= 0:
            return super().select(timeout)
        started = perf_counter()
        ready = super().select(timeout)
        if perf_counter() - started < 2 * SPIN:
            self._misses = 0  # A spin would have caught it.
        return ready


@final
class Bell:
    """Wakes one coroutine, from whichever thread."""

    __slots__ = ("_loop", "rung")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self.rung: asyncio.Future[None] = loop.create_future()

    def ring(self) -> None:
        """Wake it."""
        self._loop.call_soon_threadsafe(self._settle)

    def _settle(self) -> None:
        if not self.rung.done():
            self.rung.set_result(None)


@final
class _Group:
    """The coroutines of one group."""

    __slots__ = ("limit", "running", "waiting")

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.running = 0
        self.waiting: deque[Execute] = deque()


@final
class Coroutines:
    """The event loop of an actor and the calls on it. Implements `Beside`.

    Args:
        groups: names, and how many calls of each run at once.
        mailbox: what the loop reads.
        run: runs a call, and replies.
        read: called after each look at the mailbox, and when no call is left: reports handles, and
            tells when to end.
        name_of: what people call a call.
    """

    def __init__(
        self,
        groups: Iterable[tuple[str, int]],
        mailbox: Mailbox,
        run: Callable[[Execute], Awaitable[None]],
        read: Callable[[], bool],
        name_of: Callable[[Execute], str],
    ) -> None:
        self._groups = {name: _Group(limit) for name, limit in groups}
        self._mailbox = mailbox
        self._run = run
        self._read = read
        self._name_of = name_of
        self._creation = 0
        self._ended: Execute | None = None  # the call that ended last
        self._warned = False
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self._begun: set[int] = set()
        self._left = 0
        self._flushing = False
        self._thread = threading.get_ident()
        self._selector = _Selector(mailbox, self._blocked)
        self._loop = asyncio.SelectorEventLoop(self._selector)
        self._over: asyncio.Future[None] = self._loop.create_future()

    def serve(self, creation: Execute) -> None:
        """Run the constructor and then what comes, until the worker is to end.

        Raises:
            DriverGone: there is nobody left to work for.
        """
        loop = self._loop
        asyncio.set_event_loop(loop)
        for fd in self._mailbox.descriptors:
            loop.add_reader(fd, self._readable)
        try:
            self._creation = creation.call
            self._start(creation, None)
            loop.call_soon(self._readable)
            loop.run_until_complete(self._over)
        finally:
            for fd in self._mailbox.descriptors:
                loop.remove_reader(fd)
            asyncio.set_event_loop(None)

    def take(self, execute: Execute, group: str) -> None:
        """See `Beside.take`."""
        self._soon(self._begin, execute, group)

    def posted(self, count: int) -> None:
        """See `Beside.posted`: replies of one round of the loop are written together."""
        if count >= MOST_POSTED or self._left <= 1:
            self._mailbox.flush()
        elif not self._flushing:
            self._flushing = True
            self._loop.call_soon(self._flush)

    def cancel(self, call: int, force: bool) -> None:
        """See `Beside.cancel`."""
        self._soon(self._cancel, call)

    @property
    def busy(self) -> bool:
        """See `Beside.busy`."""
        return self._left > 0

    @property
    def here(self) -> bool:
        """Whether the present thread is the loop's."""
        return threading.get_ident() == self._thread

    def bell(self) -> Bell:
        """Return a bell for the coroutine that runs."""
        return Bell(self._loop)

    def _soon(self, step: Callable[..., None], *arguments: Any) -> None:
        if self.here:
            step(*arguments)
        else:
            self._loop.call_soon_threadsafe(step, *arguments)

    def _flush(self) -> None:
        self._flushing = False
        try:
            self._mailbox.flush()
        except DriverGone as gone:
            self._gone(gone)

    def _gone(self, gone: DriverGone) -> None:
        if not self._over.done():
            self._over.set_exception(gone)

    def _readable(self) -> None:
        try:
            self._mailbox.read_waiting()
        except DriverGone as gone:
            self._gone(gone)
        else:
            self._look()

    def _look(self) -> None:
        """Report handles, and end if that is wanted."""
        try:
            over = self._read()
        except DriverGone as gone:
            self._gone(gone)
            return
        if over and not self._over.done():
            self._over.set_result(None)

    def _begin(self, execute: Execute, name: str) -> None:
        group = self._groups[name]
        if group.running < group.limit:
            self._start(execute, group)
        else:
            self._left += 1
            group.waiting.append(execute)

    def _start(self, execute: Execute, group: _Group | None) -> None:
        context = contextvars.copy_context()
        context.run(CALL.set, execute.call)
        self._left += 1
        if group is not None:
            group.running += 1
        task = self._loop.create_task(self._call(execute, group), context=context)
        self._tasks[execute.call] = task

    async def _call(self, execute: Execute, group: _Group | None) -> None:
        self._begun.add(execute.call)
        try:
            await self._run(execute)
        except DriverGone as gone:
            self._gone(gone)
        finally:
            self._ended = execute
            if execute.call == self._creation:
                self._selector.forgive()  # A constructor may take its time.
            del self._tasks[execute.call]
            self._begun.remove(execute.call)
            self._left -= 1
            if group is not None:
                group.running -= 1
                if group.waiting:
                    self._left -= 1
                    self._start(group.waiting.popleft(), group)
            if not self._left:
                self._look()

    def _blocked(self, seconds: float) -> None:
        """One step of the loop took that long: say so once."""
        if self._warned:
            return
        self._warned = True
        import logging

        logging.getLogger("snakepit").warning(
            "the event loop of this actor was blocked for %.1f s, and with it all its other calls; "
            "%s ended last. Await what takes long, or run it in a thread: "
            "await asyncio.to_thread(...)",
            seconds,
            self._name_of(self._ended) if self._ended is not None else "none of its calls",
        )

    def _cancel(self, call: int) -> None:
        task = self._tasks.get(call)
        if task is not None:
            # One that has not begun finds its mark when it does, and is answered all the same.
            if call in self._begun:
                task.cancel()
            return
        for group in self._groups.values():
            for execute in group.waiting:
                if execute.call == call:
                    # Marked as cancelled, it is answered without being run.
                    group.waiting.remove(execute)
                    self._left -= 1
                    self._start(execute, None)
                    return
