"""What a Pool's asynchronous methods return: results that come later, one or many.

A job settles its tasks in whichever thread hears of them, which is the runtime's own more often
than not. User callbacks therefore run in a thread of the pool's: they may take their time.
"""

from __future__ import annotations

import multiprocessing
import threading
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Generic, TypeVar, cast, final

from ...checks import check_timeout
from ...errors import GetTimeoutError, SnakepitError, TaskError
from .crew import AHEAD_S, Crew

T = TypeVar("T")


class TimeoutError(GetTimeoutError, multiprocessing.TimeoutError):
    """No result within the time; the standard library's `multiprocessing.TimeoutError` too."""


class PoolTerminatedError(SnakepitError):
    """The pool was terminated before this was done."""


@final
class RemoteTraceback(Exception):
    """The cause of an exception that a pool's process raised: the traceback there, as text."""

    def __str__(self) -> str:
        return f"\n{self.args[0]}"


def own_error(error: BaseException) -> BaseException:
    """Return the user's exception, as the standard library raises it; other errors as they are."""
    cause = error.cause if isinstance(error, TaskError) else None
    if not isinstance(error, TaskError) or cause is None:
        return error
    cause.__cause__ = RemoteTraceback(error.remote_traceback)
    return cause


@final
class Callbacks:
    """Runs user callbacks one after the other, in a thread that starts with the first."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._executor: ThreadPoolExecutor | None = None

    def run(self, callback: Callable[[], None]) -> None:
        """Call `callback` soon."""
        with self._lock:
            if self._executor is None:
                self._executor = ThreadPoolExecutor(1, "snakepit-pool-callbacks")
            self._executor.submit(callback)

    def end(self) -> None:
        """Wait for the callbacks; more may come, which start another thread."""
        with self._lock:
            executor, self._executor = self._executor, None
        if executor is not None:
            executor.shutdown()


class AsyncResult(Generic[T]):
    """The result of one call or of a whole map, when it is there. Made by a Pool."""

    def __init__(
        self,
        crew: Crew,
        function: Callable[..., Any],
        callbacks: Callbacks,
        callback: Callable[[T], object] | None,
        error_callback: Callable[[BaseException], object] | None,
    ) -> None:
        self.key = 0
        self.each = AHEAD_S
        self.open = 0
        self.needs_all = True
        self.function = function
        self._crew = crew
        self._callbacks = callbacks
        self._callback = callback
        self._error_callback = error_callback
        self._lock = threading.Lock()
        self._over = False
        self._ready = threading.Event()
        self._good = False
        self._value: Any = None
        crew.enter(self)

    def ready(self) -> bool:
        """Return whether the result is there, or the error."""
        return self._ready.is_set()

    def successful(self) -> bool:
        """Return whether it ended without an error.

        Raises:
            ValueError: it has not ended.
        """
        if not self.ready():
            raise ValueError(f"{self!r} is not ready: wait() or get() first")
        return self._good

    def wait(self, timeout: float | None = None) -> None:
        """Wait until the result is there, `timeout` seconds at the most."""
        limit = check_timeout(timeout)
        if not self._ready.is_set():
            self._crew.serve(self, self._ready.is_set, limit)

    def get(self, timeout: float | None = None) -> T:
        """Wait for the result and return it.

        Raises:
            TimeoutError: it is not there after `timeout` seconds.
            PoolTerminatedError: the pool was terminated before.
            ActorError: the process that ran it died; it has `exit_code` and `signal`.
            Exception: whatever the function raised.
        """
        self.wait(timeout)
        if not self.ready():
            raise TimeoutError(f"no result within {timeout} s", timeout=timeout)
        if self._good:
            return cast(T, self._value)
        raise self._value

    def __repr__(self) -> str:
        state = "ready" if self.ready() else "pending"
        return f"<{type(self).__name__} of {getattr(self.function, '__name__', '?')}, {state}>"

    def settle(self, index: int, good: bool, value: Any) -> None:
        """Take the outcome of the call."""
        self._end(good, value)

    def abandon(self, error: Exception) -> None:
        """Fail, whatever is still to come."""
        self._end(False, error)

    def _end(self, good: bool, value: Any) -> None:
        with self._lock:
            if self._over:
                return
            self._over = True
        self._good, self._value = good, value if good else own_error(value)
        called: Callable[[Any], object] | None = self._callback if good else self._error_callback
        if called is None:
            self._announce()
            return

        def run() -> None:
            # Before the result is announced, as in the standard library; also if it raises, which
            # is the callback's own affair.
            try:
                called(self._value)
            except BaseException:
                threading.excepthook(threading.ExceptHookArgs((*_raised(), None)))
            finally:
                self._announce()

        self._callbacks.run(run)

    def _announce(self) -> None:
        self._callback = self._error_callback = None
        self._ready.set()
        self._crew.leave(self)


def _raised() -> Any:
    import sys

    return sys.exc_info()


@final
class MapResult(AsyncResult[list[T]]):
    """The results of a map, in order; the first error that came, once everything has ended."""

    def expect(self, count: int) -> None:
        """Say of how many chunks it consists."""
        self._chunks: list[list[T]] = [[]] * count
        self._left = count
        self._failed: BaseException | None = None
        if not count:
            self._end(True, [])

    def settle(self, index: int, good: bool, value: Any) -> None:
        """Take the outcome of a chunk."""
        with self._lock:
            self._left -= 1
            if good:
                self._chunks[index] = value
            elif self._failed is None:
                self._failed = value
            if self._left:
                return
        if self._failed is not None:
            self._end(False, self._failed)
        else:
            self._end(True, [item for chunk in self._chunks for item in chunk])


@final
class IMapIterator(Iterator[T], Generic[T]):
    """The results of `imap` and `imap_unordered`, as they come."""

    def __init__(self, crew: Crew, function: Callable[..., Any], ordered: bool) -> None:
        self.key = 0
        self.each = AHEAD_S
        self.open = 0
        self.needs_all = False
        self.function = function
        self._crew = crew
        self._ordered = ordered
        self._changed = crew.changed
        self._come: dict[int, tuple[bool, Any]] = {}
        self._order: deque[int] = deque()  # in which they came
        self._items: deque[T] = deque()  # of the chunk that is being taken
        self._taken = 0
        self._settled = 0
        self._total: int | None = None
        self._failure: BaseException | None = None
        crew.enter(self)

    def __iter__(self) -> IMapIterator[T]:
        return self

    def __next__(self) -> T:
        return self.next()

    def next(self, timeout: float | None = None) -> T:
        """Return the next result.

        Raises:
            StopIteration: there are no more.
            TimeoutError: it is not there after `timeout` seconds.
            PoolTerminatedError: the pool was terminated before.
            Exception: whatever the function raised, or the iterable; then the next one follows.
        """
        limit = check_timeout(timeout)
        while not self._items:
            good, value = self._next_chunk(timeout, limit)
            if not good:
                raise own_error(value)
            self._items.extend(value)
        return self._items.popleft()

    def _next_chunk(self, timeout: float | None, limit: float | None) -> tuple[bool, Any]:
        told = self._crew.serve(self, self._can_tell, limit)
        with self._changed:
            if not told:
                raise TimeoutError(f"no result within {timeout} s", timeout=timeout)
            if self._come and (not self._ordered or self._taken in self._come):
                index = self._taken if self._ordered else self._order.popleft()
                self._taken += 1
                return self._come.pop(index)
            failure, self._failure = self._failure, None
            if failure is not None:
                return False, failure
            raise StopIteration

    def _can_tell(self) -> bool:
        if self._taken in self._come or (self._come and not self._ordered):
            return True
        return self._taken == self._total or isinstance(self._failure, PoolTerminatedError)

    def settle(self, index: int, good: bool, value: Any) -> None:
        """Take the outcome of a chunk."""
        with self._changed:
            self._come[index] = (good, value)
            if not self._ordered:
                self._order.append(index)
            self._settled += 1
            self._changed.notify_all()
        self._leave_at_last()

    def expect(self, total: int, error: BaseException | None = None) -> None:
        """Say how many chunks there are, and what ended the iterable, if it failed."""
        with self._changed:
            self._total = total
            self._failure = self._failure or error
            self._changed.notify_all()
        self._leave_at_last()

    def abandon(self, error: Exception) -> None:
        """Fail, whatever is still to come."""
        with self._changed:
            self._failure = error
            self._total = self._total or 0
            self._changed.notify_all()
        self._crew.leave(self)

    def _leave_at_last(self) -> None:
        if self._settled == self._total:
            self._crew.leave(self)
