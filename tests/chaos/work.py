"""What the storm strikes: tasks and actors whose values are known beforehand.

Imported by each worker anew, so it imports nothing else of the tests.
"""

from __future__ import annotations

import os
import time
import zlib
from typing import Any

import snakepit

LARGE = 100_000
"""Bytes of a large value, which lies in the store."""

NESTED = 3
"""Calls that a nested call makes."""


def spin(seconds: float) -> None:
    """Be busy, so that there is something to strike."""
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        pass


def mixed(x: int) -> int:
    """Return a number that only `x` gives."""
    return x * 2_654_435_761 % (1 << 32)


def pattern(x: int) -> bytes:
    """Return a large value that only `x` gives."""
    return mixed(x).to_bytes(4, "little") * (LARGE // 4)


def nested_sum(x: int) -> int:
    """Return what `nested(x)` does."""
    return sum(mixed(x + i) for i in range(NESTED))


@snakepit.remote(max_retries=-1)
def mix(x: int, seconds: float) -> int:
    spin(seconds)
    return mixed(x)


@snakepit.remote(max_retries=-1)
def sit(x: int, seconds: float) -> tuple[int, int, int]:
    """Return the value, the process, and which call of the session this was there."""
    session = snakepit.get_runtime_context().session
    assert session is not None
    session["calls"] = nth = session.get("calls", 0) + 1
    spin(seconds)
    return mixed(x), os.getpid(), nth


@snakepit.remote(max_retries=-1)
def add(one: int, other: int) -> int:
    return one + other


@snakepit.remote(max_retries=-1)
def store(x: int) -> bytes:
    return pattern(x)


@snakepit.remote(max_retries=-1)
def digest(data: bytes) -> int:
    return zlib.crc32(data)


@snakepit.remote(max_retries=-1)
def nested(x: int, seconds: float) -> int:
    return sum(snakepit.get([mix.remote(x + i, seconds) for i in range(NESTED)]))


@snakepit.remote(max_restarts=-1, max_task_retries=-1)
class Cell:
    """Counts its calls, from zero in each of its lives."""

    def __init__(self) -> None:
        self.calls = 0
        self.kept: Any = None

    def mix(self, x: int, seconds: float) -> tuple[int, int, int]:
        """Return the value, and which life and which call of it this was."""
        self.calls += 1
        spin(seconds)
        return mixed(x), os.getpid(), self.calls

    def keep(self, data: bytes) -> int:
        """Hold on to a value until the next call, or until death."""
        self.kept = data
        return zlib.crc32(data)
