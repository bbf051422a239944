"""Dask's distributed scheduler on one machine, workers as processes, without its dashboard."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from importlib import import_module
from typing import Any, final

from ..tasks import Counter, echo
from .base import WORKERS, Peer, Script

OPTIONS: dict[str, Any] = {
    "threads_per_worker": 1,
    "processes": True,
    "dashboard_address": None,
    "memory_limit": 0,
}
LOAD = """
import os, time
from distributed import Client, LocalCluster
def first():
    return 1
def busy(_):
    time.sleep(0.05)
    return os.getpid()
"""
FIRST = f"""
cluster = LocalCluster(n_workers={WORKERS}, **{OPTIONS!r})
client = Client(cluster)
client.submit(first).result()
"""
FILL = f"""
while len(set(client.gather(client.map(busy, range({WORKERS}), pure=False)))) < {WORKERS}:
    pass
"""


@final
class Dask(Peer):
    """Futures, scattered data and actors; each submission is told not to be the same as another."""

    name = "dask"
    distribution = "distributed"
    title = "Dask"
    packages = ("distributed", "dask", "tornado", "cloudpickle", "msgpack", "psutil")
    import_line = "import distributed"
    script = Script(LOAD, FIRST, FILL)
    rounds = 2
    most_queued = 1000

    def start(self, workers: int = WORKERS) -> None:
        """A scheduler in this process, and workers."""
        distributed: Any = import_module("distributed")
        self.cluster = distributed.LocalCluster(n_workers=workers, **OPTIONS)
        self.client = distributed.Client(self.cluster)
        self.as_completed = distributed.as_completed

    def stop(self) -> None:
        """Close the client, then the cluster."""
        self.client.close()
        self.cluster.close()

    def call(self, value: int) -> int:
        """`submit` and `result`."""
        result: int = self.client.submit(echo, value, pure=False).result()
        return result

    def submit_all(self, task: Callable[[Any], Any], arguments: Iterable[Any]) -> Any:
        """`submit` each."""
        submit = self.client.submit
        return [submit(task, argument, pure=False) for argument in arguments]

    def gather(self, handles: Any) -> list[Any]:
        """`gather` of a list."""
        results: list[Any] = self.client.gather(handles)
        return results

    def wait_each(self, handles: Any) -> int:
        """`as_completed`."""
        return sum(1 for _ in self.as_completed(handles))

    def actor(self) -> Any:
        """The future of an actor."""
        return self.client.submit(Counter, actor=True, pure=False)

    def actor_call(self, actor: Any, value: int) -> int:
        """`add` and `result`."""
        result: int = actor.result().add(value).result()
        return result

    def actor_burst(self, actor: Any, count: int) -> int:
        """`add` each, then `result` of each."""
        add = actor.result().add
        result: int = [future.result() for future in [add(1) for _ in range(count)]][-1]
        return result

    def touch_all(self, actors: list[Any]) -> list[int]:
        """One call to each."""
        calls = [actor.result().add(1) for actor in actors]
        return [call.result() for call in calls]

    def kill(self, actor: Any) -> None:
        """Let go of it, which is how Dask ends an actor."""
        actor.release()

    @property
    def put(self) -> Callable[[Any], Any]:
        """`scatter`, under a new key each time: by its content it would be sent once."""
        scatter = self.client.scatter

        def put(value: Any) -> Any:
            return scatter(value, hash=False)

        return put

    @property
    def get(self) -> Callable[[Any], Any]:
        """`result`."""

        def get(future: Any) -> Any:
            return future.result()

        return get
