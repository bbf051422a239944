"""A pytest plugin: the `snakepit_runtime` fixture, and the mark and setting that configure it.

It is loaded in every run of pytest where snakepit is installed, so that it loads nothing itself.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from .api.context import Context

MARK = "snakepit"
SETTING = "snakepit_num_cpus"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the setting."""
    parser.addini(SETTING, "CPUs of the snakepit_runtime fixture (default: 2)", default="2")


def pytest_configure(config: pytest.Config) -> None:
    """Add the mark."""
    config.addinivalue_line(
        "markers", f"{MARK}(**options): what snakepit.init() is given by snakepit_runtime"
    )


@pytest.fixture
def snakepit_runtime(request: pytest.FixtureRequest) -> Iterator[Context]:
    """A runtime of the test's own; the test fails if it leaves anything behind.

    It has two CPUs, or what the setting `snakepit_num_cpus` or the mark `snakepit(num_cpus=4)`
    say; the mark takes all options of `snakepit.init`. After the test the runtime is shut down,
    and there may be no more child processes and open descriptors than before, and no new name in
    /dev/shm but those that processes of others use.
    """
    import snakepit

    from .leftovers import Census

    census = Census()
    context = snakepit.init(**_options(request))
    try:
        yield context
    finally:
        snakepit.shutdown()
    left = census.left()
    if left:
        pytest.fail(f"the test left behind: {left}", pytrace=False)


def _options(request: pytest.FixtureRequest) -> dict[str, Any]:
    cpus: str = request.config.getini(SETTING)
    if not cpus.isdecimal():
        raise pytest.UsageError(f"{SETTING} must be a number of CPUs, not {cpus!r}")
    options: dict[str, Any] = {"num_cpus": int(cpus)}
    for mark in reversed(list(request.node.iter_markers(MARK))):
        if mark.args:
            raise pytest.UsageError(
                f"the mark {MARK} takes options of snakepit.init by name: {MARK}(num_cpus=4)"
            )
        options |= mark.kwargs
    return options
