"""Tasks: the result of one is the argument of another."""

from __future__ import annotations

from typing import Any

EXPECTED = 45


def main(ray: Any) -> Any:
    @ray.remote
    def load(n):
        return list(range(n))

    @ray.remote
    def total(items):
        return sum(items)

    return ray.get(total.remote(load.remote(10)))
