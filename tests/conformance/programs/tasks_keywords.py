"""Tasks: defaults, names, stars."""

from __future__ import annotations

from typing import Any

EXPECTED = ["a-b", "a+x=1+y=2"]


def main(ray: Any) -> Any:
    @ray.remote
    def describe(first, *rest, sep="-", **named):
        return sep.join([first, *rest, *(f"{k}={v}" for k, v in sorted(named.items()))])

    return ray.get([describe.remote("a", "b"), describe.remote("a", sep="+", x=1, y=ray.put(2))])
