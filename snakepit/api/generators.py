"""What a remote generator returns to its caller: references to its items, as they are made.

Threads and coroutines may share a generator; each item goes to one of them. That holds without the
GIL: whatever changes is guarded by a lock, which is never held while somebody waits.
"""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any, Generic, NoReturn, TypeVar, final

from ..ids import hex_id
from ..protocol import Runtime, current
from ..wire.messages import STREAMING
from .context import running
from .refs import ObjectRef, stale

T_co = TypeVar("T_co", covariant=True)


@final
class ObjectRefGenerator(Generic[T_co]):
    """The values that a remote generator yields, as references, each as soon as it is there.

    `next` waits for the next reference, `async for` awaits it. If the generator raises, or its
    worker dies, the last reference is that error. The call runs ahead of its consumer, unless
    `_generator_backpressure_num_objects` holds it back, and to its end also when nobody reads.
    It belongs to the process that made the call.
    """

    __slots__ = ("__weakref__", "_ahead", "_done", "_home", "_lock", "_stream", "_ticket")

    def __init__(self, runtime: Runtime, stream: int) -> None:
        """Take over one handle; users get generators from `.remote()`."""
        self._home = runtime
        self._lock = threading.RLock()  # A callback may come while the runtime looks.
        self._ahead: ObjectRef[Any] | None = None
        self._ticket: ObjectRef[Any] | None = None
        self._done = False
        self._stream = stream

    def __iter__(self) -> Iterator[ObjectRef[T_co]]:
        return self

    def __next__(self) -> ObjectRef[T_co]:
        while (came := self._next()) is None:
            ticket = self._ticket
            if ticket is not None:  # Another thread may just have used it.
                self._home.wait((ticket._id,), 1, None)
        if came is _END:
            raise StopIteration
        item: ObjectRef[T_co] = came
        return item

    def __aiter__(self) -> AsyncIterator[ObjectRef[T_co]]:
        return self

    async def __anext__(self) -> ObjectRef[T_co]:
        while (came := self._next()) is None:
            ticket = self._ticket
            if ticket is not None:
                await self._home.until_done((ticket._id,))
        if came is _END:
            raise StopAsyncIteration
        item: ObjectRef[T_co] = came
        return item

    def completed(self) -> ObjectRef[None]:
        """Return a reference that resolves when the generator has ended: to None, or its error."""
        runtime = self._runtime()
        runtime.hold(self._stream)
        return ObjectRef(runtime, self._stream)

    def next_ready(self) -> bool:
        """Tell whether `next` would return or raise at once."""
        return bool(self._home.wait((self.ticket(),), 1, 0))

    def is_finished(self) -> bool:
        """Tell whether the generator has ended and all its references were taken."""
        with self._lock:
            return not self._look() and self._done

    def ticket(self) -> int:
        """Return the id of an object that is there when `next` would not wait."""
        with self._lock:
            self._look()
            if self._done:
                return self._stream
            ahead = self._ahead or self._ticket
            assert ahead is not None
            return ahead._id

    def send(self, value: object) -> NoReturn:
        """Refuse: nothing can be sent into a generator in another process.

        Raises:
            NotImplementedError: always.
        """
        raise NotImplementedError("send() cannot reach a generator that runs in a worker")

    def throw(self, *error: object) -> NoReturn:
        """Refuse: see `send`.

        Raises:
            NotImplementedError: always.
        """
        raise NotImplementedError("throw() cannot reach a generator that runs in a worker")

    def close(self) -> NoReturn:
        """Refuse: see `send`; `cancel(generator)` ends it.

        Raises:
            NotImplementedError: always.
        """
        raise NotImplementedError("close() cannot reach a generator in a worker: use cancel()")

    def _runtime(self) -> Runtime:
        if self._home is not current():
            raise stale(repr(self))
        return self._home

    def _next(self) -> Any:
        """Return the next reference, `_END`, or None when `_ticket` must be waited for."""
        with self._lock:
            if self._look():
                ahead, self._ahead = self._ahead, None
                return ahead
            return _END if self._done else None

    def _look(self) -> bool:
        """Tell whether the next item is there, in `_ahead`; else there is a ticket, or the end."""
        runtime = self._runtime()
        if self._ahead is None and not self._done:
            ticket = self._ticket
            if ticket is None:
                if not runtime.take(self._stream, self._arrived):
                    runtime.expect(self._stream, self._expected)
            elif runtime.wait((ticket._id,), 1, 0) and self._ticket is ticket:
                runtime.redeem(ticket._id, self._arrived)
        return self._ahead is not None

    # Called by the runtime in the step that takes the item, so that none is lost by a Ctrl-C.

    def _arrived(self, runtime: Runtime, item: int) -> None:
        self._ticket = None
        if item:
            self._ahead = ObjectRef(runtime, item)
        else:
            self._done = True

    def _expected(self, runtime: Runtime, ticket: int) -> None:
        self._ticket = ObjectRef(runtime, ticket)

    def __repr__(self) -> str:
        return f"ObjectRefGenerator({hex_id(self._home.run, self._stream)})"

    def __reduce__(self) -> NoReturn:
        raise TypeError(
            "an ObjectRefGenerator cannot be sent to another process: send the references that it "
            "yields, or the list of them"
        )

    def __del__(self) -> None:
        try:
            self._home.drop(self._stream)
        except AttributeError:  # __init__ was given the wrong arguments and set nothing
            return


_END = object()


@final
class DynamicObjectRefGenerator(Generic[T_co]):
    """The references to all that a generator yielded, which is the value of its call.

    What a task with `num_returns="dynamic"` returns when it has ended.
    """

    __slots__ = ("_refs",)

    def __init__(self, refs: list[ObjectRef[T_co]]) -> None:
        """Made by the task itself."""
        self._refs = refs

    def __iter__(self) -> Iterator[ObjectRef[T_co]]:
        return iter(self._refs)

    def __len__(self) -> int:
        return len(self._refs)

    def __repr__(self) -> str:
        return f"DynamicObjectRefGenerator({self._refs})"


@final
class Dynamic:
    """A generator function as one that returns a `DynamicObjectRefGenerator`."""

    def __init__(self, function: Callable[..., Any]) -> None:
        """Wraps `function`, which may return any iterable."""
        self.function = function
        self.thread_safe = getattr(function, "thread_safe", True)

    def __call__(self, *args: Any, **kwargs: Any) -> DynamicObjectRefGenerator[Any]:
        runtime = current() or running()
        items = self.function(*args, **kwargs)
        return DynamicObjectRefGenerator([runtime.put(item, ObjectRef) for item in items])


def maker_of(returns: int) -> Callable[[Runtime, int], Any]:
    """Return what makes that which `.remote()` returns for a number of returns."""
    if returns == 1:
        return ObjectRef
    if returns == STREAMING:
        return ObjectRefGenerator
    if not returns:
        return _nothing

    def several(runtime: Runtime, first: int) -> list[ObjectRef[Any]]:
        return [ObjectRef(runtime, first + place) for place in range(returns)]

    return several


def _nothing(_: Runtime, __: int) -> None:
    return None
