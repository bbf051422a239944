"""Fault tolerance: what succeeded is kept."""

from __future__ import annotations

from typing import Any

EXPECTED = ([1, 2, 4, 5], 3)


def main(ray: Any) -> Any:
    @ray.remote
    def maybe(i):
        if i % 3 == 0:
            raise ValueError(i)
        return i

    kept, failed = [], 0
    for ref in [maybe.remote(i) for i in range(7)]:
        try:
            kept.append(ray.get(ref))
        except ValueError:
            failed += 1
    return kept, failed
