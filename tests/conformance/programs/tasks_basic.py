"""Tasks: a function that runs elsewhere."""

from __future__ import annotations

from typing import Any

EXPECTED = [0, 1, 4, 9, 16]


def main(ray: Any) -> Any:
    @ray.remote
    def square(x):
        return x * x

    return ray.get([square.remote(i) for i in range(5)])
