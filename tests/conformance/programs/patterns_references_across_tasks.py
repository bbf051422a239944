"""Patterns: a task that starts work and returns the references."""

from __future__ import annotations

from typing import Any

EXPECTED = [0, 1, 4, 9]


def main(ray: Any) -> Any:
    @ray.remote
    def leaf(i):
        return i * i

    @ray.remote
    def start(n):
        return [leaf.remote(i) for i in range(n)]

    return ray.get(ray.get(start.remote(4)))
