"""What the peers are asked to run; importable, so that every peer may send it by name."""

from __future__ import annotations

import os
import sys
import time

NAP_S = 0.001


def echo(value: int) -> int:
    """Return the argument: the least that a call can do.

    Args:
        value: any small integer.

    Returns:
        The same integer.
    """
    return value


def nap(_: int = 0) -> float:
    """Sleep for a millisecond, as a short task that waits would.

    It sleeps rather than computes: beside a busy driver, computing tasks on two cores would measure
    the operating system's sharing of the cores and not the runtime.

    Returns:
        The monotonic clock at the end, in seconds; one clock for all processes of the machine.
    """
    time.sleep(NAP_S)
    return time.monotonic()


def rest(seconds: float) -> None:
    """Sleep.

    Args:
        seconds: how long.
    """
    time.sleep(seconds)


def has_gil(_: int) -> bool:
    """Whether a global lock is on in the process that runs this."""
    asked = getattr(sys, "_is_gil_enabled", None)
    return bool(asked()) if asked else True


def hold(path: str) -> None:
    """Keep a worker busy until a file is there.

    Args:
        path: the file that lets go.
    """
    while not os.path.exists(path):
        time.sleep(0.01)


class Counter:
    """State to call."""

    def __init__(self) -> None:
        self.total = 0

    def add(self, amount: int) -> int:
        """Add to the total.

        Args:
            amount: what to add.

        Returns:
            The total.
        """
        self.total += amount
        return self.total
