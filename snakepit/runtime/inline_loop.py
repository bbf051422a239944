"""Coroutines of an inline runtime: each runs to its end before the call that started it returns."""

from __future__ import annotations

import asyncio
import contextvars
import selectors
import threading
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from typing import Any, final

from ..errors import NotSupportedError


class _Selector(selectors.DefaultSelector):
    """Says so where the loop would sleep for ever."""

    def select(self, timeout: float | None = None) -> Any:
        # The loop watches a socket of its own, by which other threads wake it.
        if timeout is None and len(self.get_map()) <= 1 and threading.active_count() <= 1:
            raise NotSupportedError(
                "in inline mode a coroutine waits for what nobody will do: calls run one after "
                "the other, each to its end, so that no other call of the actor can wake it. "
                "Leave mode='inline' out for actors whose calls wait for one another"
            )
        return super().select(timeout)


@final
class InlineLoop:
    """The event loop of one actor with coroutine methods."""

    def __init__(self) -> None:
        self._loop = asyncio.SelectorEventLoop(_Selector())

    def run(self, call: Callable[[], Any], *, awaits: bool) -> Any:
        """Run a call on the loop and return its result.

        Args:
            call: the call; with `awaits` it returns a coroutine.
            awaits: whether what it returns is awaited.
        """

        async def body() -> Any:
            value = call()
            if awaits and hasattr(value, "__anext__"):
                return await _listed(value)
            return await value if awaits else value

        if self._loop.is_running():
            # A method that calls its own actor: its loop is busy with the caller.
            other = InlineLoop()
            try:
                return other.run(call, awaits=awaits)
            finally:
                other.close()
        if not _in_a_loop():
            return self._complete(body())
        return _elsewhere(lambda: self._complete(body()))

    def _complete(self, body: Coroutine[Any, Any, Any]) -> Any:
        loop = self._loop
        task = loop.create_task(body)
        try:
            return loop.run_until_complete(task)
        except BaseException:
            if not task.done():
                task.cancel()
                loop.run_until_complete(asyncio.wait([task]))
            raise

    def close(self) -> None:
        """Cancel what methods left running, and close the loop."""
        loop = self._loop
        if loop.is_closed() or loop.is_running():
            return
        left = asyncio.all_tasks(loop)
        for task in left:
            task.cancel()
        if left and not _in_a_loop():
            loop.run_until_complete(asyncio.wait(left))
        loop.close()


async def _listed(items: AsyncIterator[Any]) -> Iterator[Any]:
    """Return what an asynchronous generator yields, and its error, as a plain generator."""
    listed: list[Any] = []
    ended: Exception | None = None
    try:
        async for item in items:
            listed.append(item)
    except Exception as error:
        ended = error

    def again() -> Iterator[Any]:
        yield from listed
        if ended is not None:
            raise ended

    return again()


def _in_a_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


def _elsewhere(work: Callable[[], Any]) -> Any:
    """Run `work` in a thread and wait for it: a thread can run but one event loop at a time."""
    found: list[Any] = []
    context = contextvars.copy_context()

    def run() -> None:
        try:
            found.append((True, context.run(work)))
        except BaseException as error:
            found.append((False, error))

    thread = threading.Thread(target=run, name="snakepit-inline")
    thread.start()
    thread.join()
    good, value = found[0]
    if not good:
        raise value
    return value
