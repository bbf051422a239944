"""Patterns: no more than so many calls in flight."""

from __future__ import annotations

from typing import Any

EXPECTED = 190


def main(ray: Any) -> Any:
    @ray.remote
    def work(i):
        return i

    most, pending, total = 4, [], 0
    for i in range(20):
        if len(pending) == most:
            ready, pending = ray.wait(pending)
            total += sum(ray.get(ready))
        pending.append(work.remote(i))
    return total + sum(ray.get(pending))
