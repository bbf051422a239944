"""Tasks: a tree of calls."""

from __future__ import annotations

from typing import Any

EXPECTED = 15


def main(ray: Any) -> Any:
    @ray.remote
    def count(depth):
        if depth == 0:
            return 1
        return 1 + sum(ray.get([count.remote(depth - 1) for _ in range(2)]))

    return ray.get(count.remote(3))
