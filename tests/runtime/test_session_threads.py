"""Sessions in a pool of threads, where a call may outlive its session."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

import snakepit
from snakepit import errors
from tests.runtime.helpers import PATIENCE, Gate, Tally, wait_until

pytestmark = [
    pytest.mark.usefixtures("runtime"),
    pytest.mark.filterwarnings("ignore:pool threads.* has a global interpreter lock"),
]


@pytest.fixture(scope="module")
def runtime() -> Iterator[Any]:
    """A runtime with a pool of one process, which runs four calls at once."""
    pool = snakepit.Pool("threads", profile="thread", size=1, threads_per_worker=4)
    with snakepit.init(num_cpus=2, pools=[pool]) as context:
        snakepit.pool("threads").await_ready(PATIENCE)
        yield context


def get(refs: Any) -> Any:
    return snakepit.get(refs, timeout=PATIENCE)


def test_a_call_that_outlives_its_session_finds_none(gate: Gate, tally: Tally) -> None:
    @snakepit.remote(pool="threads")
    def company() -> None:
        tally.add()
        wait_until(lambda: tally.count == 2)

    @snakepit.remote(timeout=0.05, max_retries=0)
    def late() -> None:
        gate.wait()
        if snakepit.get_runtime_context().session is None:
            tally.add()

    beside = company.remote()
    assert wait_until(lambda: tally.count == 1)
    session = snakepit.Session("s", pool="threads")
    with pytest.raises(errors.TaskTimeoutError, match="may still run"):
        get(session.remote(late))
    session.close()
    gate.open()
    assert get(beside) is None and tally.count == 2
