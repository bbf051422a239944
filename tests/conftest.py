"""What every test shares: nothing may stay behind, and one runtime to try things on."""

from __future__ import annotations

import gc
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import hypothesis
import pytest

from snakepit.leftovers import Census

# On a busy machine the making of examples is slow, and says nothing about what is tested.
hypothesis.settings.register_profile(
    "busy", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("busy")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Here because pytest asks no conftest further down for options."""
    parser.addoption(
        "--backend",
        choices=("snakepit", "inline", "threads", "ray"),
        default="snakepit",
        help="what tests/conformance runs on",
    )


@pytest.fixture(autouse=True, scope="session")
def register_of_its_own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Keep the runs of this process's tests out of the user's register, and those of others."""
    folder = tmp_path_factory.mktemp("register")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_RUNTIME_DIR", str(folder))
        yield folder / "snakepit"


@pytest.fixture(autouse=True, scope="module")
def collections_look_at_what_tests_made() -> None:
    """Put what was there before a module out of the collector's sight.

    Thousands of collected tests and what they import make a collection last a third of a second,
    and many tests ask for one, to see that nothing holds what they made. What is frozen still goes
    when its last reference does, but no function without the GIL, which only a collection frees: a
    test that drops one to see it go must have made it itself.
    """
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def nothing_left_behind(request: pytest.FixtureRequest) -> Iterator[None]:
    """Fail a test that ends with more processes, descriptors or names than it began with."""
    if request.node.get_closest_marker("shares_runtime"):
        yield
    else:
        yield from _leaving_nothing()


@pytest.fixture(autouse=True, scope="module")
def nothing_left_behind_at_last(request: pytest.FixtureRequest) -> Iterator[None]:
    """Look at the end of a module whose tests share a runtime."""
    if request.node.get_closest_marker("shares_runtime"):
        yield from _leaving_nothing()
    else:
        yield


def _leaving_nothing() -> Iterator[None]:
    census = Census()
    pid = os.getpid()
    yield
    if os.getpid() == pid and (left := census.left()):
        pytest.fail(f"left behind: {left}")


@pytest.fixture
def signals_as_at_a_terminal() -> Iterator[dict[int, Any]]:
    """Hear signals that nohup, or a shell that starts jobs in the background, has had ignored.

    For the processes that a test starts too. Yields the handlers, which must be there at the end.
    """
    handlers = {
        signal.SIGINT: signal.default_int_handler,
        signal.SIGTERM: signal.SIG_DFL,
        signal.SIGHUP: signal.SIG_DFL,
    }
    before = {number: signal.signal(number, handlers[number]) for number in handlers}
    try:
        yield dict(handlers)
        left = {number: signal.getsignal(number) for number in handlers}
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    assert left == handlers


@pytest.fixture
def runtime() -> Iterator[Any]:
    """A runtime with two CPUs, shut down after the test."""
    import snakepit

    context = snakepit.init(num_cpus=2)
    try:
        yield context
    finally:
        snakepit.shutdown()
