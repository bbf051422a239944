"""Anti-patterns: a global of the driver's is not shared; an actor is."""

from __future__ import annotations

from typing import Any

EXPECTED = (0, 3)


def main(ray: Any) -> Any:
    state = {"n": 0}

    @ray.remote
    def forgets():
        state["n"] += 1

    @ray.remote
    class Keeps:
        def __init__(self):
            self.n = 0

        def add(self):
            self.n += 1
            return self.n

    ray.get([forgets.remote() for _ in range(3)])
    keeps = Keeps.remote()
    return state["n"], ray.get([keeps.add.remote() for _ in range(3)])[-1]
