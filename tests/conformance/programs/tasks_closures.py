"""Tasks: functions made by functions."""

from __future__ import annotations

from typing import Any

EXPECTED = [1, 2, 4, 8, 16]


def main(ray: Any) -> Any:
    def power(n):
        @ray.remote
        def raised(x):
            return x**n

        return raised

    return ray.get([power(n).remote(2) for n in range(5)])
