"""Sessions and the end of their runtime."""

from __future__ import annotations

import pytest

import snakepit
from snakepit import errors


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
