"""Actors: a handle in the hands of tasks."""

from __future__ import annotations

from typing import Any

EXPECTED = 45


def main(ray: Any) -> Any:
    @ray.remote
    class Total:
        def __init__(self):
            self.sum = 0

        def add(self, x):
            self.sum += x

        def get(self):
            return self.sum

    @ray.remote
    def feed(total, x):
        ray.get(total.add.remote(x))

    total = Total.remote()
    ray.get([feed.remote(total, i) for i in range(10)])
    return ray.get(total.get.remote())
