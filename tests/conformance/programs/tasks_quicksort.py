"""Tasks: a divide-and-conquer sort."""

from __future__ import annotations

from typing import Any

EXPECTED = True


def main(ray: Any) -> Any:
    @ray.remote
    def sort(items):
        if len(items) < 8:
            return sorted(items)
        pivot, rest = items[0], items[1:]
        low = sort.remote([x for x in rest if x < pivot])
        high = sort.remote([x for x in rest if x >= pivot])
        return [*ray.get(low), pivot, *ray.get(high)]

    numbers = [(i * 37) % 31 for i in range(31)]
    return ray.get(sort.remote(numbers)) == sorted(numbers)
