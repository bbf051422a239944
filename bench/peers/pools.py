"""The pools that people have at hand: the standard library's two, and loky and joblib."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import FIRST_COMPLETED, Executor, wait
from importlib import import_module
from typing import Any, final

from ..tasks import echo
from .base import WORKERS, Peer, Script

DEFINITIONS = """
import os, time
def first(_):
    return 1
def busy(_):
    time.sleep(0.05)
    return os.getpid()
"""


def script(load: str, make: str) -> Script:
    """The same program for every pool that has `map`."""
    return Script(
        load=load + "\n" + DEFINITIONS,
        first=f"pool = {make}({WORKERS})\nlist(pool.map(first, [0]))\n",
        fill=f"while len(set(pool.map(busy, range({WORKERS})))) < {WORKERS}:\n    pass\n",
    )


@final
class Pool(Peer):
    """multiprocessing.Pool with its default start method."""

    name = "pool"
    title = "mp.Pool"
    packages = ("multiprocessing",)
    import_line = "import multiprocessing.pool"
    script = script("import multiprocessing", "multiprocessing.Pool")
    most_queued = 100_000
    most_workers = 500

    def start(self, workers: int = WORKERS) -> None:
        """Start workers."""
        import multiprocessing

        self.pool = multiprocessing.Pool(workers)

    def stop(self) -> None:
        """End them in order, as a program that cares would."""
        self.pool.close()
        self.pool.join()

    def call(self, value: int) -> int:
        """`apply`."""
        return self.pool.apply(echo, (value,))

    def submit_all(self, task: Callable[[Any], Any], arguments: Iterable[Any]) -> Any:
        """`apply_async` each."""
        submit = self.pool.apply_async
        return [submit(task, (argument,)) for argument in arguments]

    def gather(self, handles: Any) -> list[Any]:
        """`get` each."""
        return [handle.get() for handle in handles]

    def pool_map(
        self, function: Callable[[int], int], items: Iterable[int], chunk: int | None
    ) -> list[int]:
        """`map`."""
        return self.pool.map(function, items, chunk)


class ExecutorPeer(Peer):
    """Whatever follows concurrent.futures."""

    def make(self, workers: int) -> Executor:
        """A new executor."""
        raise NotImplementedError

    def start(self, workers: int = WORKERS) -> None:
        """Start workers (most executors wait for the first call)."""
        self.executor = self.make(workers)

    def stop(self) -> None:
        """End them."""
        self.executor.shutdown()

    def call(self, value: int) -> int:
        """`submit` and `result`."""
        return self.executor.submit(echo, value).result()

    def submit_all(self, task: Callable[[Any], Any], arguments: Iterable[Any]) -> Any:
        """`submit` each."""
        submit = self.executor.submit
        return [submit(task, argument) for argument in arguments]

    def gather(self, handles: Any) -> list[Any]:
        """`result` of each."""
        return [handle.result() for handle in handles]

    def wait_each(self, handles: Any) -> int:
        """`wait` for the first of a set that gets smaller."""
        count, pending = 0, set(handles)
        while pending:
            done, pending = wait(pending, return_when=FIRST_COMPLETED)
            count += len(done)
        return count


@final
class ProcessPool(ExecutorPeer):
    """concurrent.futures.ProcessPoolExecutor with its default start method."""

    name = "executor"
    title = "ProcessPoolExecutor"
    packages = ("concurrent", "multiprocessing")
    import_line = "import concurrent.futures.process"
    script = script("from concurrent.futures import ProcessPoolExecutor", "ProcessPoolExecutor")
    rounds = 3

    def make(self, workers: int) -> Executor:
        """The standard library's."""
        from concurrent.futures import ProcessPoolExecutor

        return ProcessPoolExecutor(workers)


@final
class Loky(ExecutorPeer):
    """loky's executor, which stands below joblib."""

    name = "loky"
    distribution = "loky"
    title = "loky"
    packages = ("loky", "cloudpickle")
    import_line = "import loky"
    script = script("import loky", "loky.ProcessPoolExecutor")
    rounds = 3

    def make(self, workers: int) -> Executor:
        """One of its own, not the shared one."""
        executor: Executor = import_module("loky").ProcessPoolExecutor(workers)
        return executor


@final
class Joblib(Peer):
    """joblib, whose one verb is a parallel loop; it batches calls by itself."""

    name = "joblib"
    distribution = "joblib"
    title = "joblib"
    packages = ("joblib", "cloudpickle", "loky")
    import_line = "import joblib"
    rounds = 3

    def start(self, workers: int = WORKERS) -> None:
        """Keep one set of workers for all loops."""
        joblib: Any = import_module("joblib")
        self.parallel = joblib.Parallel(n_jobs=workers).__enter__()
        self.delayed = joblib.delayed

    def stop(self) -> None:
        """End them."""
        self.parallel.__exit__(None, None, None)
        shared: Any = import_module("joblib.externals.loky").get_reusable_executor()
        shared.shutdown(wait=True)

    def call(self, value: int) -> int:
        """A loop of one."""
        result: int = self.parallel([self.delayed(echo)(value)])[0]
        return result

    def burst(self, count: int) -> int:
        """One loop."""
        return sum(self.parallel(self.delayed(echo)(i) for i in range(count)))

    def joblib_backend(self) -> str:
        """Its own."""
        return "loky"
