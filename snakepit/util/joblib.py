"""joblib's loops as tasks: `register()`, then `joblib.parallel_config(backend="snakepit")`.

A batch of joblib's is one task. What is large among the arguments of its calls is put into the
store once in a `Parallel` call, however many batches take it, and each worker reads it there.

Guarantees: a `Parallel` inside a task of another neither deadlocks nor multiplies the processes
that run: a task that waits for its batches gives its CPU to them.

Assumptions: joblib submits with its own lock held, so that nothing here needs one.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Any, Final, final

import joblib
from joblib._parallel_backends import FallbackToBackend, SequentialBackend
from joblib.parallel import AutoBatchingMixin, ParallelBackendBase

import snakepit

from ..api.context import running
from ..errors import OptionError
from ..protocol import current

LARGE: Final = 64 * 1024
"""Bytes from which on an argument is put into the store, unless joblib's `max_nbytes` is None."""

_LIBRARIES: Final = frozenset(("numpy", "scipy", "pandas", "pyarrow"))


def register() -> None:
    """Make the backend known to joblib, by the name "snakepit"."""
    joblib.register_parallel_backend("snakepit", SnakepitBackend)


@final
class SnakepitBackend(AutoBatchingMixin, ParallelBackendBase):  # type: ignore[misc]
    """A backend of joblib whose batches are snakepit tasks.

    As with joblib's own, arrays arrive read-only, and an array that is changed while a `Parallel`
    call runs may arrive as it was before.
    """

    default_n_jobs = -1
    supports_inner_max_num_threads = False

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._executor: snakepit.Executor | None = None
        self._shared = _Shared(LARGE)

    @property
    def supports_retrieve_callback(self) -> bool:
        """Whether joblib polls for what callbacks brought: not in a task, which has to block."""
        return _in_driver()

    # joblib has no types; what a checker infers from its bodies is narrower than it means.
    def effective_n_jobs(  # pyright: ignore[reportIncompatibleMethodOverride]
        self, n_jobs: int | None
    ) -> int:
        """Return how many calls run at one time.

        Args:
            n_jobs: as joblib has it: -1 stands for all CPUs of the runtime, -2 for all but one.

        Raises:
            OptionError: it is 0.
        """
        if n_jobs == 0:
            raise OptionError("n_jobs must be at least 1, or negative to count from the CPUs; is 0")
        if n_jobs is None:
            return 1
        if n_jobs > 0:
            return n_jobs
        cpus = int((current() or running()).describe()["resources"].get("CPU", 0))
        return max(1, cpus + 1 + n_jobs)

    def configure(  # pyright: ignore[reportIncompatibleMethodOverride]
        self, n_jobs: int = 1, parallel: Any = None, **options: Any
    ) -> int:
        """Prepare for calls of one `joblib.Parallel`; see joblib."""
        jobs = self.effective_n_jobs(n_jobs)
        if jobs == 1:
            raise FallbackToBackend(SequentialBackend(nesting_level=self.nesting_level))
        self.parallel = parallel
        self._shared = _Shared(None if options.get("max_nbytes", LARGE) is None else LARGE)
        # Not ahead: batches are long, and loops in loops would begin more than they can run.
        self._executor = snakepit.Executor(jobs, ahead=False)
        return jobs

    def submit(
        self, func: Callable[[], Any], callback: Callable[[Any], None] | None = None
    ) -> Future[Any]:
        """Send a batch; see joblib."""
        executor = self._executor
        if executor is None:  # A callback is late: the loop has ended, by an error.
            late: Future[Any] = Future()
            late.cancel()
            return late
        batch, refs = self._shared.ship(func)
        future: Future[Any] = executor.submit(_run, batch, *refs)
        if callback is not None:
            future.add_done_callback(callback)
        if getattr(self.parallel, "_aborting", False):
            # Sent by a callback, and too late for abort_everything() to have seen it.
            executor.cancel_all()
        return future

    # Its name before joblib 1.5.
    apply_async = submit

    def retrieve_result_callback(self, out: Future[Any]) -> Any:
        """Return the results of a batch that has ended."""
        return out.result()

    def retrieve_result(self, out: Future[Any], timeout: float | None = None) -> Any:
        """Wait for the results of a batch, and give the task's CPU away meanwhile."""
        return out.result(timeout)

    def get_nested_backend(  # pyright: ignore[reportIncompatibleMethodOverride]
        self,
    ) -> tuple[SnakepitBackend, int]:
        """Return what a `Parallel` inside a batch uses; without an n_jobs of its own, no tasks."""
        return SnakepitBackend(nesting_level=(self.nesting_level or 0) + 1), 1

    def stop_call(self) -> None:
        """Let go what the call shared: the caller may change it before the next one."""
        self._shared.clear()

    def abort_everything(self, ensure_ready: bool = True) -> None:
        """Cancel all batches, running ones too."""
        if self._executor is not None:
            self._executor.cancel_all()
        if not ensure_ready:
            self.terminate()

    def terminate(self) -> None:
        """End the use by one `joblib.Parallel`; the runtime stays."""
        self._shared.clear()
        self.reset_batch_stats()
        if self._executor is not None:
            self._executor.shutdown(wait=False, cancel_futures=True)
            self._executor = None


def _in_driver() -> bool:
    return hasattr(current() or running(), "shutdown")


@final
class _Place:
    """Stands for an argument that travels beside its batch."""

    __slots__ = ("number",)

    def __init__(self, number: int) -> None:
        self.number = number


@final
class _Shared:
    """What is large among the arguments of calls, put once.

    Args:
        least: bytes from which on something is large; None: nothing is.
    """

    def __init__(self, least: int | None) -> None:
        self._least = least
        # The value is kept along, or another could come to have its id.
        self._put: dict[int, tuple[Any, snakepit.ObjectRef[Any]]] = {}

    def clear(self) -> None:
        """Forget everything."""
        self._put.clear()

    def ship(self, batch: Any) -> tuple[Any, list[snakepit.ObjectRef[Any]]]:
        """Return a batch with places for what is large, and the references for those."""
        items = getattr(batch, "items", None)
        if not isinstance(items, list):
            return batch, []
        refs: list[snakepit.ObjectRef[Any]] = []
        places: dict[snakepit.ObjectRef[Any], _Place] = {}

        def swap(value: Any) -> Any:
            ref = self._ref_of(value)
            if ref is None:
                return value
            if ref not in places:
                places[ref] = _Place(len(refs))
                refs.append(ref)
            return places[ref]

        swapped = [
            (function, tuple(map(swap, args)), {name: swap(kwargs[name]) for name in kwargs})
            for function, args, kwargs in items
        ]
        if not refs:
            return batch, []
        shipped = copy.copy(batch)
        shipped.items = swapped
        return shipped, refs

    def _ref_of(self, value: Any) -> snakepit.ObjectRef[Any] | None:
        if isinstance(value, snakepit.ObjectRef):
            return value
        known = self._put.get(id(value))
        if known is not None:
            return known[1]
        if self._least is None or _bytes_of(value) < self._least:
            return None
        ref: snakepit.ObjectRef[Any] = snakepit.put(value)
        self._put[id(value)] = (value, ref)
        return ref


def _bytes_of(value: Any) -> int:
    """Return how large an array, table or sparse matrix is; 0 for anything else."""
    if type(value).__module__.partition(".")[0] not in _LIBRARIES:
        return 0
    size: Any = getattr(value, "nbytes", None)  # arrays, Series, Arrow's tables
    if size is None:
        usage = getattr(value, "memory_usage", None)  # data frames
        if usage is None:
            size = getattr(getattr(value, "data", None), "nbytes", 0)  # sparse matrices
        else:
            size = usage().sum()
    return int(size)


def _run(batch: Any, *shared: Any) -> Any:
    """Run a batch in a worker, what is shared put in its places again."""
    if shared:
        batch.items = [
            (
                function,
                tuple(_found(value, shared) for value in args),
                {name: _found(value, shared) for name, value in kwargs.items()},
            )
            for function, args, kwargs in batch.items
        ]
    return batch()


def _found(value: Any, shared: Sequence[Any]) -> Any:
    return shared[value.number] if isinstance(value, _Place) else value
