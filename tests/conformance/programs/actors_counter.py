"""Actors: a counter."""

from __future__ import annotations

from typing import Any

EXPECTED = [1, 2, 3, 1, 2, 3]


def main(ray: Any) -> Any:
    @ray.remote
    class Counter:
        def __init__(self):
            self.value = 0

        def increment(self):
            self.value += 1
            return self.value

    counters = [Counter.remote() for _ in range(2)]
    return ray.get([c.increment.remote() for c in counters for _ in range(3)])
