"""What every test shares: nothing may stay behind, and one runtime to try things on."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import hypothesis
import psutil
import pytest

# On a busy machine the making of examples is slow, and says nothing about what is tested.
hypothesis.settings.register_profile(
    "busy", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("busy")

# What a killed process leaves is gone when the kernel and its parent got round to it.
GRACE_S = 5.0
DESCRIPTORS = Path("/proc/self/fd")
SHARED_MEMORY = Path("/dev/shm")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Here because pytest asks no conftest further down for options."""
    parser.addoption(
        "--backend",
        choices=("snakepit", "ray"),
        default="snakepit",
        help="what tests/conformance runs on",
    )


def wait_until(condition: Callable[[], Any], *, timeout: float = GRACE_S) -> bool:
    """Wait for a condition; polling, because what is waited for lies outside this process.

    Args:
        condition: called until it returns something true.
        timeout: seconds.

    Returns:
        Whether the condition came true in time.
    """
    end = time.monotonic() + timeout
    pause = 0.0005
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(pause)
        pause = min(pause * 2, 0.05)
    return True


def _processes() -> dict[str, str]:
    found = {}
    for child in psutil.Process().children(recursive=True):
        try:
            name = " ".join(child.cmdline()) or child.name()
            found[f"pid {child.pid}"] = f"{child.status()}: {name[:120]}"
        except psutil.NoSuchProcess:
            continue
    return found


def _descriptors() -> dict[str, str]:
    found = {}
    for entry in DESCRIPTORS.iterdir() if DESCRIPTORS.exists() else ():
        try:
            target = str(entry.readlink())
        except FileNotFoundError:  # the descriptor of the listing itself
            continue
        found[f"fd {entry.name}"] = target
    return found


def _names() -> dict[str, str]:
    if not SHARED_MEMORY.exists():
        return {}
    return {str(path): f"{SHARED_MEMORY} name" for path in SHARED_MEMORY.iterdir()}


CENSUS = {"processes": _processes, "descriptors": _descriptors, "shared memory": _names}


def _surplus(before: dict[str, dict[str, str]]) -> list[str]:
    lines = []
    for kind, count in CENSUS.items():
        now = count()
        # By number, not by name: a library may close one descriptor and open another.
        if len(now) > len(before[kind]):
            new = [f"{key} ({now[key]})" for key in now if now[key] != before[kind].get(key)]
            lines.append(f"{kind}: {', '.join(new)}")
    return lines


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
    before = {kind: count() for kind, count in CENSUS.items()}
    pid = os.getpid()
    yield
    if os.getpid() == pid and not wait_until(lambda: not _surplus(before)):
        pytest.fail("left behind: " + "; ".join(_surplus(before)))


@pytest.fixture
def runtime() -> Iterator[Any]:
    """A runtime with two CPUs, shut down after the test."""
    import snakepit

    context = snakepit.init(num_cpus=2)
    try:
        yield context
    finally:
        snakepit.shutdown()
