"""Patterns: a tree of actors."""

from __future__ import annotations

from typing import Any

EXPECTED = [3, 7]


def main(ray: Any) -> Any:
    @ray.remote
    class Leaf:
        def __init__(self, n):
            self.n = n

        def work(self):
            return self.n

    @ray.remote
    class Boss:
        def __init__(self, numbers):
            self.leaves = [Leaf.remote(n) for n in numbers]

        def work(self):
            return sum(ray.get([leaf.work.remote() for leaf in self.leaves]))

    bosses = [Boss.remote([1, 2]), Boss.remote([3, 4])]
    return ray.get([boss.work.remote() for boss in bosses])
