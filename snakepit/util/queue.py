"""A first-in-first-out queue between tasks, actors and the driver.

The queue is an actor with an event loop, which holds the items; a `Queue` is a handle of it, and
may be sent anywhere. Calls that wait (for an item, or for room) wait in the actor, which costs
nobody anything. The actor answers "full" and "empty" by values, not by errors: what is
raised is raised here, without the traceback of a process that did nothing wrong.

Who stops waiting (a Ctrl-C, a cancelled task, a cancelled coroutine) takes its call back: an item
that comes later goes to somebody who still waits.
"""

from __future__ import annotations

import asyncio
import queue
from collections.abc import Coroutine, Iterable, Mapping
from typing import Any, Final, Generic, TypeVar, final

from ..api.calls import cancel, get, kill, wait
from ..api.handles import ActorHandle
from ..api.options import MAX_CONCURRENCY
from ..api.refs import ObjectRef
from ..api.remote import remote
from ..checks import check_bool, check_int, check_timeout, wrong_type
from ..errors import SnakepitError

__all__ = ["Empty", "Full", "Queue"]

T = TypeVar("T")

MOST_ITEMS: Final = (1 << 62) - 1


class Empty(SnakepitError, queue.Empty):
    """There was no item, or not as many as were asked for, or none came in time."""


class Full(SnakepitError, queue.Full):
    """There was no room for what was to be put, or none came in time."""


@final
class QueueActor:
    """Holds the items. Its methods run on one event loop, so each step of one is whole."""

    def __init__(self, maxsize: int) -> None:
        self._queue: asyncio.Queue[Any] = asyncio.Queue(maxsize)
        self._waiting = 0
        self._quiet = asyncio.Event()

    async def size(self) -> int:
        """Return how many items there are."""
        return self._queue.qsize()

    async def waiting(self) -> int:
        """Return how many calls wait for an item or for room."""
        return self._waiting

    async def put(self, item: Any, timeout: float | None) -> bool:
        """Put an item; return whether there was room in time."""
        if self._queue.full() and timeout != 0:
            return await self._within(self._queue.put(item), timeout) != ()
        return self._put_all([item])

    async def put_all(self, items: list[Any]) -> bool:
        """Put all of them, if there is room for all."""
        return self._put_all(items)

    def _put_all(self, items: list[Any]) -> bool:
        if 0 < self._queue.maxsize < self._queue.qsize() + len(items):
            return False
        for item in items:
            self._queue.put_nowait(item)
        return True

    async def get(self, timeout: float | None) -> tuple[Any, ...]:
        """Return an item in a tuple; () if none came in time."""
        if self._queue.empty() and timeout != 0:
            return await self._within(self._queue.get(), timeout)
        return self._get_all(1)

    async def get_all(self, count: int) -> tuple[Any, ...]:
        """Return so many items, if there are as many, and else none."""
        return self._get_all(count)

    def _get_all(self, count: int) -> tuple[Any, ...]:
        if self._queue.qsize() < count:
            return ()
        return tuple(self._queue.get_nowait() for _ in range(count))

    async def _within(
        self, step: Coroutine[Any, Any, Any], timeout: float | None
    ) -> tuple[Any, ...]:
        self._waiting += 1
        try:
            return (await asyncio.wait_for(step, timeout),)
        except TimeoutError:
            return ()
        finally:
            self._waiting -= 1
            if not self._waiting:
                self._quiet.set()

    async def quiet(self) -> None:
        """Wait until no call waits any more."""
        while self._waiting:
            self._quiet.clear()
            await self._quiet.wait()


_ACTOR: Final = remote(QueueActor)


@final
class Queue(Generic[T]):
    """A queue that any process may put into and take from, in the order of putting.

    It lives for as long as somebody holds it, or until `shutdown`; then calls that wait raise
    ActorDiedError. A reference that is put is replaced by its value, as in any call.

    Args:
        maxsize: how many items it holds at the most; 0 or less: any number.
        actor_options: options of the actor that holds the items, such as `name`.

    Raises:
        TypeError: `maxsize` is no integer; `actor_options` is no dictionary of options.
        OptionError: an option has a value that is not allowed.
    """

    def __init__(self, maxsize: int = 0, actor_options: Mapping[str, Any] | None = None) -> None:
        self.maxsize = max(0, check_int("maxsize", maxsize, -MOST_ITEMS, MOST_ITEMS))
        if not isinstance(actor_options, (Mapping, type(None))):
            raise wrong_type("actor_options", actor_options, "a dictionary of an actor's options")
        # Needs no CPU of its own, lest it wait for tasks that wait for it; and whoever waits for
        # an item is a call that runs: too few of them, and the one that brings it would wait too.
        options = {"num_cpus": 0, "max_concurrency": MAX_CONCURRENCY, **(actor_options or {})}
        self.actor: ActorHandle[QueueActor] = _ACTOR.options(**options).remote(self.maxsize)

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (self.maxsize, self.actor)

    def __len__(self) -> int:
        return self.qsize()

    def __repr__(self) -> str:
        return f"Queue(maxsize={self.maxsize}, {self.actor!r})"

    def qsize(self) -> int:
        """Return how many items there are; others may change that at any time."""
        size: int = get(self.actor.size.remote())
        return size

    def size(self) -> int:
        """Return how many items there are, as `qsize`."""
        return self.qsize()

    def empty(self) -> bool:
        """Return whether there is no item."""
        return self.qsize() == 0

    def full(self) -> bool:
        """Return whether there is no room; without `maxsize` there always is."""
        return 0 < self.maxsize <= self.qsize()

    # --- one item -------------------------------------------------------------------------

    def put(self, item: T, block: bool = True, timeout: float | None = None) -> None:
        """Put an item; wait for room.

        Args:
            item: anything that can be sent.
            block: False waits no time at all.
            timeout: seconds to wait; None waits for ever.

        Raises:
            Full: there was no room in time.
            ValueError: `timeout` is negative.
            SerializationError: the item cannot be sent.
            ActorDiedError: the queue was shut down.
        """
        limit = _limit(block, timeout)
        self._room(_answer(self.actor.put.remote(item, limit)), 1, limit)

    async def put_async(self, item: T, block: bool = True, timeout: float | None = None) -> None:
        """Do as `put`, without blocking the event loop."""
        limit = _limit(block, timeout)
        self._room(await _awaited(self.actor.put.remote(item, limit)), 1, limit)

    def get(self, block: bool = True, timeout: float | None = None) -> T:
        """Take the oldest item; wait for one.

        Args:
            block: False waits no time at all.
            timeout: seconds to wait; None waits for ever.

        Raises:
            Empty: there was none in time.
            ValueError: `timeout` is negative.
            ActorDiedError: the queue was shut down.
        """
        limit = _limit(block, timeout)
        items: list[T] = _taken(_answer(self.actor.get.remote(limit)), 1, limit)
        return items[0]

    async def get_async(self, block: bool = True, timeout: float | None = None) -> T:
        """Do as `get`, without blocking the event loop."""
        limit = _limit(block, timeout)
        items: list[T] = _taken(await _awaited(self.actor.get.remote(limit)), 1, limit)
        return items[0]

    def put_nowait(self, item: T) -> None:
        """Put an item if there is room now, and raise `Full` if not."""
        self.put(item, block=False)

    def get_nowait(self) -> T:
        """Take the oldest item if there is one now, and raise `Empty` if not."""
        return self.get(block=False)

    # --- several --------------------------------------------------------------------------

    def put_nowait_batch(self, items: Iterable[T]) -> None:
        """Put all of these items, in one call, with none of another between them.

        Raises:
            Full: there is no room for all; none was put.
            TypeError: `items` cannot be iterated over.
        """
        if not isinstance(items, Iterable):
            raise wrong_type("items", items, "something to iterate over")
        listed = list(items)
        self._room(_answer(self.actor.put_all.remote(listed)), len(listed), 0)

    def get_nowait_batch(self, num_items: int) -> list[T]:
        """Take the `num_items` oldest items, in one call.

        Raises:
            Empty: there are fewer; none was taken.
            ValueError: `num_items` is negative.
        """
        count = check_int("num_items", num_items, 0, MOST_ITEMS)
        return _taken(_answer(self.actor.get_all.remote(count)), count, 0)

    # --- the end --------------------------------------------------------------------------

    def shutdown(self, force: bool = False, grace_period_s: float = 5) -> None:
        """End the queue; the items in it are lost.

        Args:
            force: at once.
            grace_period_s: otherwise, how many seconds calls that wait have to come to their end.

        Raises:
            ValueError: `grace_period_s` is negative.
        """
        check_bool("force", force)
        grace = check_timeout(grace_period_s, "grace_period_s")
        if not force:
            wait([self.actor.quiet.remote()], timeout=grace)
        kill(self.actor)

    def _room(self, was_room: bool, count: int, limit: float | None) -> None:
        if not was_room:
            wanted = "" if count == 1 else f" for {count} items"
            raise Full(f"the queue (maxsize={self.maxsize}) has no room{wanted}{_when(limit)}")


def _taken(items: tuple[T, ...], count: int, limit: float | None) -> list[T]:
    if len(items) < count:
        wanted = "no item" if count == 1 else f"fewer than {count} items"
        raise Empty(f"the queue has {wanted}{_when(limit)}")
    return list(items)


def _when(limit: float | None) -> str:
    return f" after {limit} s" if limit else ""


def _limit(block: bool, timeout: float | None) -> float | None:
    check_bool("block", block)
    limit = check_timeout(timeout)
    return limit if block else 0


def _answer(ref: ObjectRef[Any]) -> Any:
    try:
        return get(ref)
    except KeyboardInterrupt:  # a task that is cancelled gets one too
        cancel(ref)
        raise


async def _awaited(ref: ObjectRef[Any]) -> Any:
    try:
        return await ref
    except asyncio.CancelledError:
        cancel(ref)
        raise


def _rebuild(maxsize: int, actor: ActorHandle[QueueActor]) -> Queue[Any]:
    made: Queue[Any] = Queue.__new__(Queue)
    made.maxsize, made.actor = maxsize, actor
    return made
