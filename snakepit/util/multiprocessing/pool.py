"""The standard library's Pool: its methods, its arguments and its results."""

from __future__ import annotations

import multiprocessing.context
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import islice
from types import TracebackType
from typing import Any, Final, NoReturn, TypeVar, final

from ...api.cluster import cluster_resources
from ...api.remote import remote
from ...checks import check_int, wrong_type, wrong_value
from .crew import CALL, MAP, STAR, Crew, PoolProcess, Task
from .results import AsyncResult, Callbacks, IMapIterator, MapResult, PoolTerminatedError

S = TypeVar("S")
T = TypeVar("T")

MOST: Final = (1 << 31) - 1
MOST_PROCESSES: Final = 10_000
QUEUED_PER_PROCESS: Final = 4
"""Chunks of a lazy iterable that may wait for a process; it is asked for more when fewer do."""

_ACTOR: Final = remote(PoolProcess)
_RUN, _CLOSE, _TERMINATE = "running", "closed", "terminated"


@final
class Pool:
    """Processes that apply functions to items: `multiprocessing.Pool`, on actors.

    The functions need not be importable. A process that dies while it runs something makes that an
    error, and another takes its place. A context manager terminates the pool at its end.

    Args:
        processes: how many; default: as many as the runtime has CPUs.
        initializer: called first in each process; if it raises, so does whatever is to run there.
        initargs: its arguments.
        maxtasksperchild: how many calls or chunks a process takes before a fresh one follows it.
        context: for the standard library's programs; processes are forked from a warm one anyway.
        ray_address: for Ray's programs: None, "local" or "auto".
        ray_remote_args: options of the actors, by name.

    Raises:
        TypeError: an argument has a wrong type.
        ValueError: an argument has a value that is not allowed.
    """

    def __init__(
        self,
        processes: int | None = None,
        initializer: Callable[..., object] | None = None,
        initargs: Iterable[Any] | None = (),
        maxtasksperchild: int | None = None,
        context: Any = None,
        ray_address: str | None = None,
        ray_remote_args: Mapping[str, Any] | None = None,
    ) -> None:
        _check_callable("initializer", initializer)
        if not isinstance(initargs, (Iterable, type(None))):
            raise wrong_type("initargs", initargs, "a tuple of arguments")
        if not isinstance(context, (multiprocessing.context.BaseContext, type(None))):
            raise wrong_type("context", context, "None or a context of multiprocessing")
        if ray_address not in (None, "local", "auto"):
            raise wrong_value("ray_address", ray_address, 'None, "local" or "auto"')
        if not isinstance(ray_remote_args, (Mapping, type(None))):
            raise wrong_type("ray_remote_args", ray_remote_args, "a dictionary of options")
        if processes is None:
            processes = max(1, int(cluster_resources().get("CPU", 1)))
        count = check_int("processes", processes, 1, MOST_PROCESSES)
        if maxtasksperchild is not None:
            check_int("maxtasksperchild", maxtasksperchild, 1, MOST, ", or None")
        # No CPU of their own: a pool that is made in a task must not wait for that task's.
        options = {"num_cpus": 0, "max_restarts": -1, **(ray_remote_args or {})}
        actor, args = _ACTOR.options(**options), tuple(initargs or ())
        self._state = _RUN
        self._callbacks = Callbacks()
        self._crew = Crew(count, lambda: actor.remote(initializer, args), maxtasksperchild)

    # --- one call -------------------------------------------------------------------------

    def apply(
        self,
        func: Callable[..., T],
        args: Iterable[Any] = (),
        kwds: Mapping[str, Any] | None = None,
    ) -> T:
        """Call `func(*args, **kwds)` in a process and return what it returns."""
        return self.apply_async(func, args, kwds).get()

    def apply_async(
        self,
        func: Callable[..., T],
        args: Iterable[Any] = (),
        kwds: Mapping[str, Any] | None = None,
        callback: Callable[[T], object] | None = None,
        error_callback: Callable[[BaseException], object] | None = None,
    ) -> AsyncResult[T]:
        """Call `func(*args, **kwds)` in a process.

        Args:
            func: any function that can be sent.
            args: its arguments by position.
            kwds: its arguments by name.
            callback: called with the result, in a thread of the pool's, before `get` returns it.
            error_callback: called with the error likewise.

        Returns:
            The result to come.

        Raises:
            ValueError: the pool is closed.
            TypeError: an argument is no function, or cannot be unpacked.
        """
        self._check(func, callback, error_callback)
        body = (tuple(args), dict(kwds or {}))
        result: AsyncResult[T] = AsyncResult(
            self._crew, func, self._callbacks, callback, error_callback
        )
        self._crew.submit(result, [Task(result, 0, CALL, body)])
        return result

    # --- maps -----------------------------------------------------------------------------

    def map(
        self, func: Callable[[S], T], iterable: Iterable[S], chunksize: int | None = None
    ) -> list[T]:
        """Apply `func` to each item; return the results in order.

        Args:
            func: any function that can be sent.
            iterable: taken as a whole at once.
            chunksize: how many items go to a process together; default: a quarter of what each
                process would get.

        Raises:
            ActorError: a process died meanwhile; it has `exit_code` and `signal`.
            Exception: the first error that came, once everything has ended.
        """
        return self.map_async(func, iterable, chunksize).get()

    def map_async(
        self,
        func: Callable[[S], T],
        iterable: Iterable[S],
        chunksize: int | None = None,
        callback: Callable[[list[T]], object] | None = None,
        error_callback: Callable[[BaseException], object] | None = None,
    ) -> AsyncResult[list[T]]:
        """Do as `map`, without waiting; callbacks as for `apply_async`."""
        return self._map(MAP, func, iterable, chunksize, callback, error_callback)

    def starmap(
        self,
        func: Callable[..., T],
        iterable: Iterable[Iterable[Any]],
        chunksize: int | None = None,
    ) -> list[T]:
        """Do as `map`, each item being the arguments of a call."""
        return self.starmap_async(func, iterable, chunksize).get()

    def starmap_async(
        self,
        func: Callable[..., T],
        iterable: Iterable[Iterable[Any]],
        chunksize: int | None = None,
        callback: Callable[[list[T]], object] | None = None,
        error_callback: Callable[[BaseException], object] | None = None,
    ) -> AsyncResult[list[T]]:
        """Do as `starmap`, without waiting; callbacks as for `apply_async`."""
        return self._map(STAR, func, iterable, chunksize, callback, error_callback)

    def _map(
        self,
        kind: int,
        func: Callable[..., T],
        iterable: Iterable[Any],
        chunksize: int | None,
        callback: Callable[[list[T]], object] | None,
        error_callback: Callable[[BaseException], object] | None,
    ) -> AsyncResult[list[T]]:
        self._check(func, callback, error_callback)
        _check_iterable(iterable)
        items = iterable if isinstance(iterable, (list, tuple, range)) else list(iterable)
        size = -(-len(items) // (4 * self._crew.count)) or 1
        if chunksize is not None:
            size = check_int("chunksize", chunksize, 1, MOST, ", or None")
        result: MapResult[T] = MapResult(
            self._crew, func, self._callbacks, callback, error_callback
        )
        starts = range(0, len(items), size)
        result.expect(len(starts))
        tasks = [
            Task(result, index, kind, list(items[start : start + size]))
            for index, start in enumerate(starts)
        ]
        self._crew.submit(result, tasks)
        return result

    def imap(
        self, func: Callable[[S], T], iterable: Iterable[S], chunksize: int | None = 1
    ) -> IMapIterator[T]:
        """Apply `func` to each item of an iterable that may be long, lazy or without end.

        It is asked for items, by a thread, as processes come to need them.

        Args:
            func: any function that can be sent.
            iterable: what to apply it to.
            chunksize: how many items go to a process together.

        Returns:
            An iterator over the results in order, whose `next` also takes a timeout.
        """
        return self._imap(func, iterable, chunksize, ordered=True)

    def imap_unordered(
        self, func: Callable[[S], T], iterable: Iterable[S], chunksize: int | None = 1
    ) -> IMapIterator[T]:
        """Do as `imap`, with each result as soon as it is there."""
        return self._imap(func, iterable, chunksize, ordered=False)

    def _imap(
        self,
        func: Callable[[S], T],
        iterable: Iterable[S],
        chunksize: int | None,
        *,
        ordered: bool,
    ) -> IMapIterator[T]:
        self._check(func)
        _check_iterable(iterable)
        size = check_int("chunksize", 1 if chunksize is None else chunksize, 1, MOST)
        results: IMapIterator[T] = IMapIterator(self._crew, func, ordered)
        threading.Thread(
            target=_feed,
            args=(self._crew, results, _chunks(iterable, size)),
            name="snakepit-pool-feeder",
            daemon=True,
        ).start()
        return results

    # --- the end --------------------------------------------------------------------------

    def close(self) -> None:
        """Take no more work; what there is will be done."""
        if self._state == _RUN:
            self._state = _CLOSE

    def terminate(self) -> None:
        """End the processes at once; what was not done raises PoolTerminatedError."""
        self._state = _TERMINATE
        self._crew.end(PoolTerminatedError("the pool was terminated before this was done"))

    def join(self) -> None:
        """Wait until everything is done, and let the processes go.

        Raises:
            ValueError: the pool was neither closed nor terminated.
        """
        if self._state == _RUN:
            raise ValueError("the pool is running: close() or terminate() it before join()")
        self._crew.join()
        self._callbacks.end()

    def __enter__(self) -> Pool:
        self._check(len)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.terminate()

    def __repr__(self) -> str:
        return f"<snakepit Pool of {self._crew.count} processes, {self._state}>"

    def __reduce__(self) -> NoReturn:
        raise NotImplementedError(
            "a pool cannot be sent to another process: make one there, or send functions to it"
        )

    def _check(self, func: Any, *callbacks: Any) -> None:
        if self._state != _RUN:
            raise ValueError(f"the pool is not running, but {self._state}: make another one")
        if not callable(func):
            raise wrong_type("func", func, "a function")
        for name, each in zip(("callback", "error_callback"), callbacks):
            _check_callable(name, each)


def _check_callable(name: str, value: Any) -> None:
    if value is not None and not callable(value):
        raise wrong_type(name, value, "None or a function")


def _check_iterable(iterable: Any) -> None:
    if not isinstance(iterable, Iterable):
        raise wrong_type("iterable", iterable, "something to iterate over")


def _chunks(iterable: Iterable[S], size: int) -> Iterator[list[S]]:
    items = iter(iterable)
    while chunk := list(islice(items, size)):
        yield chunk


def _feed(crew: Crew, results: IMapIterator[Any], chunks: Iterator[list[Any]]) -> None:
    """Take chunks of the user's iterable as long as the crew has room for them."""
    count = 0
    try:
        for chunk in chunks:
            if not crew.wait_for_room(QUEUED_PER_PROCESS * crew.count):
                return  # the results were abandoned
            crew.submit(results, [Task(results, count, MAP, chunk)])
            count += 1
    except BaseException as error:
        results.expect(count, error)
    else:
        results.expect(count)
