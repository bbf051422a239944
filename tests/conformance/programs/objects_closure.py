"""Objects: a reference that a function closes over."""

from __future__ import annotations

from typing import Any

EXPECTED = [2, 1]


def main(ray: Any) -> Any:
    table = ray.put({"one": 1, "two": 2})

    @ray.remote
    def look(word):
        return ray.get(table)[word]

    return ray.get([look.remote("two"), look.remote("one")])
