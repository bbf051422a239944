"""Actors: methods with several values."""

from __future__ import annotations

from typing import Any

EXPECTED = (1, 3)


def main(ray: Any) -> Any:
    @ray.remote
    class Stats:
        def __init__(self, numbers):
            self.numbers = numbers

        @ray.method(num_returns=2)
        def extremes(self):
            return min(self.numbers), max(self.numbers)

    low, high = Stats.remote([3, 1, 2]).extremes.remote()
    return ray.get(low), ray.get(high)
