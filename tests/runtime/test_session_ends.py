"""Sessions and the end of their runtime."""

from __future__ import annotations

import pytest

import snakepit
from snakepit import errors
from snakepit.policy.actions import Send
from tests.runtime.helpers import Gate, Tally, core, wait_until


def test_a_runtime_closes_its_sessions() -> None:
    snakepit.init(num_cpus=1)
    try:
        with snakepit.Session("s") as session:
            snakepit.shutdown()
            with pytest.raises(errors.RuntimeClosedError):
                session.describe()
            for _ in range(2):
                with pytest.raises(errors.RuntimeClosedError, match="runtime of session 's' was"):
                    session.remote(abs, 1)
                session.close()
                assert not snakepit.is_initialized()
            snakepit.init(num_cpus=1)
            with pytest.raises(errors.RuntimeClosedError):
                session.remote(abs, 1)
            snakepit.Session("s").close()
    finally:
        snakepit.shutdown()


def test_the_end_of_a_runtime_starts_no_teardown(gate: Gate, tally: Tally) -> None:
    @snakepit.remote
    def hold() -> None:
        tally.add()
        gate.wait()

    begun: list[Send] = []

    def close() -> None:
        scheduler = core().scheduler
        scheduler.close("shutdown", {})
        begun.extend(action for action in scheduler.actions if type(action) is Send)

    snakepit.init(num_cpus=2)
    try:
        session = snakepit.Session("s", teardown=hold)
        held = session.remote(hold)
        assert wait_until(lambda: tally.count == 1)
        closed = session.close()
        core().update(close)
        assert closed is not None
        for ref in (held, closed):
            with pytest.raises(errors.RuntimeClosedError):
                snakepit.get(ref)
    finally:
        snakepit.shutdown()
    assert not begun
