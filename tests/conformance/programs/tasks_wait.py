"""Tasks: take results as they come."""

from __future__ import annotations

from typing import Any

EXPECTED = [0, 10, 20, 30, 40, 50]


def main(ray: Any) -> Any:
    @ray.remote
    def work(i):
        return i * 10

    pending, done = [work.remote(i) for i in range(6)], []
    while pending:
        ready, pending = ray.wait(pending)
        done.extend(ray.get(ready))
    return sorted(done)
