"""`get`, `wait` and `as_completed` for coroutines: the event loop runs on while they wait.

They work in the driver, in tasks that run a loop, and in the coroutines of actors. To cancel one
leaves the tasks alone that it waits for; `snakepit.cancel` ends those. A single reference can be
awaited by itself (`await ref`), and is an asyncio future by `asyncio.wrap_future(ref.future())`.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any, TypeVar, overload

from .api import calls
from .api.refs import ObjectRef, runtime_of
from .checks import check_int
from .config import check_timeout
from .errors import GetTimeoutError

__all__ = ["as_completed", "get", "wait"]

T = TypeVar("T")


@overload
async def get(refs: ObjectRef[T], *, timeout: float | None = None) -> T: ...


@overload
async def get(refs: list[ObjectRef[T]], *, timeout: float | None = None) -> list[T]: ...


@overload
async def get(refs: list[Any], *, timeout: float | None = None) -> list[Any]: ...


async def get(refs: Any, *, timeout: float | None = None) -> Any:
    """Do as `snakepit.get`, without blocking the event loop.

    Args:
        refs: a reference, or a list of references.
        timeout: seconds to wait; 0 looks once; None waits for ever.

    Returns:
        The value, or the list of values in the order of their references.

    Raises:
        TaskError: a task failed; of several errors the first that comes.
        GetTimeoutError: a value was not there in time.
        ValueError: `refs` is neither of the two, or `timeout` is negative.
        TypeError: the list holds something else than references.
    """
    seconds = check_timeout(timeout)
    if seconds == 0 or not isinstance(refs, (ObjectRef, list)):
        return calls.get(refs, timeout=timeout)
    if isinstance(refs, ObjectRef):
        return (await _values([refs], seconds))[refs]
    _check("get", refs)
    values = await _values(refs, seconds)
    return [values[ref] for ref in refs]


async def _values(
    refs: Sequence[ObjectRef[Any]], seconds: float | None
) -> dict[ObjectRef[Any], Any]:
    """Return values by reference; the first error ends it, whatever else is still to come."""
    # Each in an asyncio task of its own: an awaited list tells of an error only when all is there.
    waiting = {ref: asyncio.ensure_future(_value(ref)) for ref in dict.fromkeys(refs)}
    limit = asyncio.timeout(seconds)
    try:
        async with limit:
            found = await asyncio.gather(*waiting.values())
    except TimeoutError:
        if not limit.expired():
            raise  # It is what a task raised.
        missing = sum(task.cancelled() or not task.done() for task in waiting.values())
        raise GetTimeoutError(
            f"{missing} of {len(waiting)} results are not there after {seconds} s; "
            "wait longer, or look with wait() which ones are",
            timeout=seconds,
        ) from None
    finally:
        for task in waiting.values():
            task.cancel()
    return dict(zip(waiting, found))


async def _value(ref: ObjectRef[T]) -> T:
    return await ref


async def wait(
    refs: list[ObjectRef[T]], *, num_returns: int = 1, timeout: float | None = None
) -> tuple[list[ObjectRef[T]], list[ObjectRef[T]]]:
    """Do as `snakepit.wait`, without blocking the event loop.

    Args:
        refs: different references.
        num_returns: how many to wait for.
        timeout: seconds to wait; 0 looks once; None waits for ever.

    Returns:
        At most `num_returns` references whose values are there, and all others, both in the
        order in which they were given.

    Raises:
        TypeError: `refs` is no list of references.
        ValueError: a reference is there twice; `num_returns` is less than 1 or more than there
            are references; `timeout` is negative.
    """
    seconds = check_timeout(timeout)
    _check("wait", refs)
    if not refs or seconds == 0:
        return calls.wait(refs, num_returns=num_returns, timeout=0)
    _distinct(refs)
    count = check_int("num_returns", num_returns, 1, len(refs), ", the number of references")
    arrivals = _Arrivals(refs)
    try:
        async with asyncio.timeout(seconds):
            for _ in range(count):
                await arrivals.get()
    except TimeoutError:
        pass  # What has come by then is the answer.
    ready = arrivals.first(count)
    first = [ref for ref in refs if ref in ready]
    return first, [ref for ref in refs if ref not in ready]


def as_completed(
    refs: Sequence[ObjectRef[T]], *, timeout: float | None = None
) -> AsyncIterator[ObjectRef[T]]:
    """Yield references as their values come, for `async for`; await each for its value.

    Args:
        refs: different references.
        timeout: seconds within which all must have come; None: for ever.

    Raises:
        TypeError: `refs` holds something else than references.
        ValueError: a reference is there twice, or `timeout` is negative.
        GetTimeoutError: some were not there in time; raised by the iterator.
    """
    listed = list(refs)
    _check("as_completed", listed)
    _distinct(listed)
    return _arriving(listed, check_timeout(timeout))


async def _arriving(refs: list[ObjectRef[T]], seconds: float | None) -> AsyncIterator[ObjectRef[T]]:
    loop = asyncio.get_running_loop()
    end = None if seconds is None else loop.time() + seconds
    arrivals = _Arrivals(refs)
    for taken in range(len(refs)):
        try:
            async with asyncio.timeout_at(end):
                ref = await arrivals.get()
        except TimeoutError:
            raise GetTimeoutError(
                f"{len(refs) - taken} of {len(refs)} results are not there after {seconds} s",
                timeout=seconds,
            ) from None
        yield ref


class _Arrivals(asyncio.Queue[ObjectRef[Any]]):
    """References in the order in which they resolve. Belongs to the running loop."""

    def __init__(self, refs: list[ObjectRef[Any]]) -> None:
        super().__init__()
        self._seen: dict[ObjectRef[Any], None] = {}
        loop = asyncio.get_running_loop()
        for ref in refs:

            def arrived(ref: ObjectRef[Any] = ref) -> None:
                try:
                    loop.call_soon_threadsafe(self._note, ref)
                except RuntimeError:
                    return  # The loop was closed meanwhile: nobody waits any more.

            runtime_of(ref).when_done(ref._id, arrived)

    def _note(self, ref: ObjectRef[Any]) -> None:
        self._seen[ref] = None
        self.put_nowait(ref)

    def first(self, count: int) -> set[ObjectRef[Any]]:
        """Return the first that have come, `count` at the most."""
        return set(list(self._seen)[:count])


def _check(function: str, refs: object) -> None:
    if not isinstance(refs, list):
        raise TypeError(f"{function}() takes a list of references, not {type(refs).__name__}")
    for place, ref in enumerate(refs):
        if not isinstance(ref, ObjectRef):
            raise TypeError(
                f"{function}() takes references; item {place} of the list is of type "
                f"{type(ref).__name__}"
            )


def _distinct(refs: list[ObjectRef[Any]]) -> None:
    if len(set(refs)) != len(refs):
        raise ValueError("different references are needed; one of these is there twice")
