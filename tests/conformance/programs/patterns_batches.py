"""Patterns: tiny work in batches."""

from __future__ import annotations

from typing import Any

EXPECTED = 5050


def main(ray: Any) -> Any:
    @ray.remote
    def batch(items):
        return [x + 1 for x in items]

    items = list(range(100))
    refs = [batch.remote(items[i : i + 25]) for i in range(0, 100, 25)]
    return sum(sum(part) for part in ray.get(refs))
