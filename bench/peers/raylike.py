"""snakepit and Ray: one API, so one adapter, told apart only by how they start."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable
from typing import Any, final

from ..tasks import Counter, echo
from .base import WORKERS, Peer, Script
from .programs import Programs, programs

STORE = 3_000_000_000
DEFINITIONS = """
import os, time
def first():
    return 1
def busy():
    time.sleep(0.05)
    return os.getpid()
"""


def script(module: str, options: str) -> Script:
    """The same program for either."""
    return Script(
        load=f"import {module} as api\n{DEFINITIONS}",
        first=f"api.init(num_cpus={WORKERS}{options})\napi.get(api.remote(first).remote())\n",
        fill="remote = api.remote(busy).remote\n"
        f"while len(set(api.get([remote() for _ in range({WORKERS})]))) < {WORKERS}:\n    pass\n",
    )


class RayLike(Peer):
    """Tasks, actors and objects by the API that Ray made known."""

    module: str
    options: dict[str, Any]

    def start(self, workers: int = WORKERS) -> None:
        """Start the runtime and declare what will be called."""
        self.api: Any = importlib.import_module(self.module)
        self.api.init(num_cpus=workers, **self.options)
        self.echo = self.api.remote(echo)
        self.declared: dict[Callable[[Any], Any], Any] = {echo: self.echo}
        self.counter = self.api.remote(Counter)
        self.own = programs(self.api)
        self.pools: dict[str, Any] = {}

    def stop(self) -> None:
        """Shut the runtime down."""
        self.pools.clear()
        self.api.shutdown()

    def call(self, value: int) -> int:
        """`get(f.remote(x))`."""
        result: int = self.api.get(self.echo.remote(value))
        return result

    def submit_all(self, task: Callable[[Any], Any], arguments: Iterable[Any]) -> Any:
        """References."""
        if task not in self.declared:
            self.declared[task] = self.api.remote(task)
        remote = self.declared[task].remote
        return [remote(argument) for argument in arguments]

    def gather(self, handles: Any) -> list[Any]:
        """`get` of a list."""
        results: list[Any] = self.api.get(handles)
        return results

    def wait_each(self, handles: Any) -> int:
        """`wait` of a list that gets shorter."""
        count, pending = len(handles), handles
        while pending:
            _, pending = self.api.wait(pending, num_returns=1)
        return count

    def actor(self) -> Any:
        """A handle."""
        return self.counter.remote()

    def actor_call(self, actor: Any, value: int) -> int:
        """`get(actor.add.remote(x))`."""
        result: int = self.api.get(actor.add.remote(value))
        return result

    def actor_burst(self, actor: Any, count: int) -> int:
        """Call all, then `get` the list."""
        remote = actor.add.remote
        result: int = self.api.get([remote(1) for _ in range(count)])[-1]
        return result

    def touch_all(self, actors: list[Any]) -> list[int]:
        """One call to each."""
        return self.gather([actor.add.remote(1) for actor in actors])

    def pool_map(
        self, function: Callable[[int], int], items: Iterable[int], chunk: int | None
    ) -> list[int]:
        """`map` of the Pool in `util.multiprocessing`."""
        if "pool" not in self.pools:
            module: Any = importlib.import_module(f"{self.module}.util.multiprocessing")
            self.pools["pool"] = module.Pool(WORKERS)
        results: list[int] = self.pools["pool"].map(function, items, chunk)
        return results

    def actor_pool_map(self, items: Iterable[int]) -> int:
        """`map` of the ActorPool in `util`."""
        if "actors" not in self.pools:
            module: Any = importlib.import_module(f"{self.module}.util")
            free = self.api.remote(num_cpus=0)(Counter)
            self.pools["actors"] = module.ActorPool([free.remote() for _ in range(WORKERS)])
        results = self.pools["actors"].map(lambda actor, item: actor.add.remote(item), items)
        return sum(1 for _ in results)

    def placement_groups(self, count: int) -> None:
        """`placement_group`, `wait`, `remove_placement_group`."""
        module: Any = importlib.import_module(f"{self.module}.util")
        groups = [module.placement_group([{"CPU": 0.01}]) for _ in range(count)]
        if not all(group.wait(30) for group in groups):
            raise AssertionError("a placement group was not reserved")
        for group in groups:
            module.remove_placement_group(group)

    def joblib_backend(self) -> str:
        """The one that registers under the module's name."""
        module: Any = importlib.import_module(f"{self.module}.util.joblib")
        getattr(module, "register_ray" if self.module == "ray" else "register")()
        return self.module

    def kill(self, actor: Any) -> None:
        """`kill(actor)`."""
        self.api.kill(actor)

    @property
    def programs(self) -> Programs:
        """Declared when the runtime starts."""
        return self.own

    @property
    def put(self) -> Callable[[Any], Any]:
        """`put`."""
        function: Callable[[Any], Any] = self.api.put
        return function

    @property
    def get(self) -> Callable[[Any], Any]:
        """`get`."""
        function: Callable[[Any], Any] = self.api.get
        return function


@final
class Snakepit(RayLike):
    """What this repository builds."""

    name = "snakepit"
    distribution = "snakepit"
    title = "snakepit"
    packages = ("snakepit", "snakepit.workers", "cloudpickle", "msgpack", "numpy", "psutil")
    import_line = "import snakepit"
    module = "snakepit"
    options = {"object_store_memory": STORE}  # noqa: RUF012
    heavy_rounds = 3
    most_queued = 1_000_000
    most_workers = 1000
    script = script(module, "")


@final
class Ray(RayLike):
    """Ray itself, without its dashboard, its workers at the driver's own priority."""

    name = "ray"
    distribution = "ray"
    title = "Ray"
    packages = ("ray", "cloudpickle", "msgpack", "numpy", "psutil", "google", "grpc")
    import_line = "import ray"
    module = "ray"
    options = {  # noqa: RUF012
        "object_store_memory": STORE,
        "include_dashboard": False,
        "log_to_driver": False,
    }
    script = script(module, ", include_dashboard=False, log_to_driver=False")
