"""snakepit and Ray: one API, so one adapter, told apart only by how they start."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any, final

from ..tasks import Counter, echo, nap
from .base import WORKERS, Peer, Script

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

    def start(self) -> None:
        """Start the runtime and declare what will be called."""
        self.api: Any = importlib.import_module(self.module)
        self.api.init(**self.options)
        self.echo = self.api.remote(echo)
        self.nap = self.api.remote(nap)
        self.counter = self.api.remote(Counter)

    def stop(self) -> None:
        """Shut the runtime down."""
        self.api.shutdown()

    def call(self, value: int) -> int:
        """`get(f.remote(x))`."""
        result: int = self.api.get(self.echo.remote(value))
        return result

    def burst(self, count: int) -> int:
        """Submit all, then `get` the list."""
        remote = self.echo.remote
        return sum(self.api.get([remote(i) for i in range(count)]))

    def naps(self, count: int) -> Any:
        """References to tasks of one millisecond."""
        return [self.nap.remote() for _ in range(count)]

    def gather(self, handles: Any) -> list[Any]:
        """`get` of a list."""
        results: list[Any] = self.api.get(handles)
        return results

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

    def kill(self, actor: Any) -> None:
        """`kill(actor)`."""
        self.api.kill(actor)

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
    options = {"num_cpus": WORKERS, "object_store_memory": 3_000_000_000}  # noqa: RUF012
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
        "num_cpus": WORKERS,
        "object_store_memory": 3_000_000_000,
        "include_dashboard": False,
        "log_to_driver": False,
    }
    script = script(module, ", include_dashboard=False, log_to_driver=False")
