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
    finally:
        snakepit.shutdown()
