"""The backend of the conformance suite: `--backend snakepit` (the default), or another.

`inline` is snakepit in its inline mode, and `threads` with tasks in a thread pool, of which the
same is expected where no test says why not; and there is `ray`.

What a test defines, it defines in its own body: functions and classes then travel by value on both
backends. What all tests of a module share is the runtime, since Ray takes seconds to start one; of
Ray all modules share one.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests import conftest as shared
from tests.runtime.helpers import Gate, Tally

ROOT = Path(__file__).parents[2]
CPUS = 4


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """What is not there yet must fail on snakepit, and must not on Ray."""
    ours = config.getoption("--backend") != "ray"
    inline = config.getoption("--backend") == "inline"
    for item in items:
        beside = item.get_closest_marker("not_inline")
        if beside is not None and inline:
            item.add_marker(pytest.mark.skip(reason=beside.kwargs["because"]))
        struck = item.get_closest_marker("not_in_threads")
        if config.getoption("--backend") == "threads":
            item.add_marker(pytest.mark.filterwarnings("ignore:pool default:RuntimeWarning"))
            if struck is not None:
                item.add_marker(pytest.mark.skip(reason=struck.kwargs["because"]))
        missing, deadly = map(item.get_closest_marker, ("not_yet", "crashes_ray"))
        if missing is not None and ours:
            item.add_marker(pytest.mark.xfail(strict=True, reason=missing.kwargs["reason"]))
        if deadly is not None and not ours:
            item.add_marker(pytest.mark.skip(reason=deadly.kwargs["how"]))


@pytest.fixture(scope="session")
def backend(request: pytest.FixtureRequest) -> str:
    """`snakepit` or `ray`; inline mode is snakepit too."""
    return "ray" if request.config.getoption("--backend") == "ray" else "snakepit"


@pytest.fixture(scope="session")
def module(backend: str) -> Iterator[Any]:
    """The module under test, in which nothing runs yet."""
    found: Any
    if backend == "ray":
        # Ray's workers import what the tests import by name from here.
        os.environ["PYTHONPATH"] = str(ROOT)
        os.environ["RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO"] = "0"
        os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
        found = pytest.importorskip("ray", reason="comes with the bench extra")
        importlib.import_module("ray.exceptions")
    else:
        found = importlib.import_module("snakepit")
    yield found
    if found.is_initialized():
        found.shutdown()


@pytest.fixture(scope="session")
def settings(backend: str, request: pytest.FixtureRequest) -> dict[str, Any]:
    """What every `init` of the suite gets."""
    if backend == "ray":
        return {
            "include_dashboard": False,
            "log_to_driver": False,
            "object_store_memory": 256 << 20,
        }
    kind = request.config.getoption("--backend")
    mode: dict[str, Any] = {"mode": "inline"} if kind == "inline" else {}
    if kind == "threads":
        from snakepit import Pool

        # As patient as the pool that is there without it.
        patient = {"max_queue_size": None, "queue_timeout": None}
        mode["pools"] = [Pool("default", profile="thread", size=2, threads_per_worker=4, **patient)]
    return {"log_to_driver": False, **mode}


@pytest.fixture(scope="module", autouse=True)
def nothing_left_behind(backend: str) -> Iterator[None]:
    """Processes and descriptors are counted around a module, and not those of Ray."""
    if backend == "ray":
        yield
    else:
        yield from shared._leaving_nothing()


@pytest.fixture(scope="module")
def ray(module: Any, backend: str, settings: dict[str, Any]) -> Iterator[Any]:
    """The module under test, with a runtime of four CPUs and one resource `widget: 2`."""
    if not module.is_initialized():
        module.init(num_cpus=CPUS, resources={"widget": 2}, **settings)
    yield module
    if backend == "snakepit":
        module.shutdown()


@pytest.fixture
def expect(backend: str, request: pytest.FixtureRequest) -> Callable[..., Any]:
    """Choose the outcome of the backend, in a test that is marked by `differs`."""
    assert request.node.get_closest_marker("differs") is not None, "say why: @differs(...)"

    def choose(**outcomes: Any) -> Any:
        assert set(outcomes) == {"snakepit", "ray"}
        return outcomes[backend]

    return choose


@pytest.fixture
def gate(tmp_path: Path, request: pytest.FixtureRequest) -> Gate:
    """A gate that is closed."""
    if request.config.getoption("--backend") == "inline":
        pytest.skip("a gate is opened while a call runs; inline a call is over when it was made")
    return Gate(str(tmp_path / "gate"))


@pytest.fixture
def tally(tmp_path: Path) -> Tally:
    """A count of zero."""
    return Tally(str(tmp_path / "tally"))


@pytest.fixture
def counter_class(ray: Any) -> Any:
    """A counter."""

    @ray.remote
    class Counter:
        """Counts."""

        def __init__(self, start: int = 0, *, step: int = 1) -> None:
            self.n = start
            self.step = step

        def add(self, k: int = 1) -> int:
            self.n += k * self.step
            return self.n

        def value(self) -> int:
            return self.n

        def pid(self) -> int:
            return os.getpid()

        def fails(self) -> None:
            self.n += 100
            raise KeyError("inside")

        @ray.method(num_returns=2)
        def pair(self) -> tuple[int, int]:
            return self.n, -self.n

        def me(self) -> Any:
            return ray.get_runtime_context().current_actor

    return Counter
