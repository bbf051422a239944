"""A `concurrent.futures.Executor` whose calls are tasks."""

from __future__ import annotations

import atexit
import itertools
import weakref
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import BrokenExecutor, Future
from concurrent.futures import Executor as Interface
from functools import lru_cache
from types import FunctionType, TracebackType
from typing import Any, Final, ParamSpec, TypeVar, final
from uuid import uuid4

import snakepit

from ..api.context import running
from ..api.functions import RemoteFunction, TaskCall
from ..api.signature import flavour_of
from ..checks import check_bool, check_int, wrong_type
from ..config import UNITS
from ..deadline import NEVER, Deadline
from ..errors import OptionError, SnakepitError
from ..protocol import current
from .flow import BrokenWorkerError, Flow, Waiting

__all__ = ["BrokenWorkerError", "Executor", "InitializerError"]

P = ParamSpec("P")
T = TypeVar("T")

MAX_FUNCTIONS: Final = 64
"""How many functions an executor remembers as tasks, so that each is pickled once."""

MAX_WORKERS: Final = 10_000


@final
class InitializerError(SnakepitError, BrokenExecutor):
    """An executor's initializer failed in a worker process, so that the call was not begun."""


@final
class _Setup:
    """An initializer with its arguments, equal to itself alone wherever it was sent."""

    def __init__(self, initializer: Callable[..., object], initargs: Iterable[Any]) -> None:
        self.token = uuid4()
        self.initializer = initializer
        self.initargs = tuple(initargs)

    def __hash__(self) -> int:
        return hash(self.token)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Setup) and self.token == other.token


@final
class Executor(Interface):
    """Runs calls as snakepit tasks: `ProcessPoolExecutor` with shared arrays and nested calls.

    It has no processes of its own: its calls share the runtime's workers with all other tasks, and
    the runtime stays when it is shut down. References among a call's arguments are resolved.

    A function that is defined at a module's level, or in `__main__` without a closure, is pickled
    once; what else can be called is pickled with each call.

    Args:
        max_workers: how many calls run at one time; default: as many as there are CPUs. More than
            that share the CPUs: each call takes a part of one.
        initializer: called in each worker process before it runs its first call of this executor.
            If it fails, the call fails with `InitializerError`, and the next one tries again.
        initargs: its arguments.
        max_retries: how often a call is run again after the death of its worker; -1: without end.
        ahead: whether calls are sent to busy workers: some 10 ms of work, which can no longer be
            cancelled. False: no more calls are on their way than run, which costs brief ones time.

    Raises:
        TypeError: an argument has a wrong type.
        OptionError: an argument has a value that is not allowed.
    """

    def __init__(
        self,
        max_workers: int | None = None,
        *,
        initializer: Callable[..., object] | None = None,
        initargs: tuple[Any, ...] = (),
        max_retries: int = 0,
        ahead: bool = True,
    ) -> None:
        if initializer is not None and not callable(initializer):
            raise wrong_type("initializer", initializer, "a callable or None")
        if max_workers is not None:
            check_int("max_workers", max_workers, 1, MAX_WORKERS)
        check_bool("ahead", ahead)
        runtime = current() or running()
        cpus = runtime.describe()["resources"].get("CPU", 0.0)
        if cpus < 1:
            raise OptionError(
                f"an executor needs a CPU for its calls, and the runtime has {cpus:g}: "
                "give it more by init(num_cpus=...)"
            )
        width = max_workers or int(cpus)
        share = min(UNITS, int(cpus * UNITS) // width) / UNITS
        self._max_workers = width  # by this name Dask asks how many calls to keep going
        self._options: dict[str, Any] = {"num_cpus": share, "max_retries": max_retries}
        self._flow = Flow(
            width, strict=width < int(cpus) or not ahead, inside=not hasattr(runtime, "shutdown")
        )
        self._functions: dict[Any, TaskCall[..., Any]] = {}
        self._setup = None if initializer is None else snakepit.put(_Setup(initializer, initargs))
        self._any: TaskCall[..., Any] = RemoteFunction(_call, self._options)
        self._any_after: TaskCall[..., Any] = RemoteFunction(_call_after, self._options)
        # As with the standard library, the calls of a script that ends without shutdown() run.
        atexit.register(self._flow.drain)
        weakref.finalize(self, atexit.unregister, self._flow.drain).atexit = False

    @property
    def max_workers(self) -> int:
        """How many calls run at one time."""
        return self._max_workers

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Have `fn(*args, **kwargs)` called in a worker process.

        Returns:
            A future, which can be cancelled until the call is sent to a worker. It has the
            function's exception as a `TaskError` that is also of the exception's type, and
            `BrokenWorkerError` when the worker died.

        Raises:
            RuntimeError: the executor was shut down.
        """
        return self._submit(fn, args, kwargs)

    def _submit(
        self, fn: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]
    ) -> Waiting[Any]:
        setup = self._setup
        if setup is not None:
            after = self._any_after
            return self._flow.submit(lambda: after.remote(setup, fn, *args, **kwargs))
        task = self._task(fn)
        if task is None:
            anything = self._any
            return self._flow.submit(lambda: anything.remote(fn, *args, **kwargs))
        return self._flow.submit(lambda: task.remote(*args, **kwargs))

    def _task(self, fn: Callable[..., Any]) -> TaskCall[..., Any] | None:
        """Return the function as a task of its own, if each pickle of it is the same."""
        if type(fn) is not FunctionType or fn.__closure__ or flavour_of(fn) != "plain":
            return None
        known = self._functions.get(fn)
        if known is not None:
            return known
        if len(self._functions) >= MAX_FUNCTIONS:
            self._functions.clear()
        return self._functions.setdefault(fn, RemoteFunction(fn, self._options))

    def map(
        self,
        fn: Callable[..., T],
        *iterables: Iterable[Any],
        timeout: float | None = None,
        chunksize: int = 1,
        buffersize: int | None = None,
    ) -> Iterator[T]:
        """Return an iterator of what `fn` returns for the items of `iterables`, in their order.

        Args:
            fn: called with one item of each iterable.
            iterables: read at once, or as results are taken if there is a `buffersize`.
            timeout: seconds from now within which each result must be there.
            chunksize: how many items one task takes.
            buffersize: how many tasks are begun whose results have not been taken; None: all.

        Raises:
            TypeError: `buffersize` or `chunksize` is no integer.
            ValueError: one of them is less than 1.
            TimeoutError: a result is not there in time; raised by the iterator.
        """
        check_int("chunksize", chunksize, 1, 1 << 31)
        if buffersize is not None:
            check_int("buffersize", buffersize, 1, 1 << 31)
        deadline = NEVER if timeout is None else Deadline.after(timeout)
        items = zip(*iterables)
        begun: deque[Waiting[Any]] = deque()
        if chunksize == 1:
            calls = (self._submit(fn, item, {}) for item in items)
        else:
            chunks = iter(lambda: list(itertools.islice(items, chunksize)), [])
            calls = (self._submit(_call_chunk, (fn, chunk), {}) for chunk in chunks)
        begun.extend(itertools.islice(calls, buffersize))
        results = _results(begun, calls, deadline)
        return results if chunksize == 1 else itertools.chain.from_iterable(results)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Take no more calls; the runtime and its workers stay.

        Args:
            wait: return when all calls have ended.
            cancel_futures: cancel the calls that have not been sent to a worker.
        """
        self._flow.close()
        if cancel_futures:
            self._flow.cancel_queued()
        if wait:
            self._flow.drain()
            atexit.unregister(self._flow.drain)

    def cancel_all(self) -> None:
        """Cancel each call that has not ended; running ones get a KeyboardInterrupt.

        The futures of those have `TaskCancelledError`. The executor takes further calls.
        """
        self._flow.cancel_queued()
        self._flow.interrupt()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.shutdown()


def _results(
    begun: deque[Waiting[T]], calls: Iterator[Waiting[T]], deadline: Deadline
) -> Iterator[T]:
    """Yield results in order, one call begun for each that is taken; cancel what is left over."""
    try:
        while begun:
            begun.extend(itertools.islice(calls, 1))
            future = begun.popleft()
            try:
                yield future.result(deadline.remaining())
            finally:
                future.cancel()
                del future  # An error's traceback has this frame.
    finally:
        for future in begun:
            future.cancel()


def _call(fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
    return fn(*args, **kwargs)


def _call_after(setup: _Setup, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
    _set_up(setup)
    return fn(*args, **kwargs)


@lru_cache(maxsize=1024)
def _set_up(setup: _Setup) -> None:
    """Run an initializer, once in this process: what raises is not remembered."""
    try:
        setup.initializer(*setup.initargs)
    except Exception as error:
        raise InitializerError(
            f"the executor's initializer failed in a worker process, and the call was not begun: "
            f"{type(error).__name__}: {error}"
        ) from error


def _call_chunk(fn: Callable[..., T], chunk: list[tuple[Any, ...]]) -> list[T]:
    return [fn(*item) for item in chunk]
