"""Generators: an error comes after what was yielded before it."""

from __future__ import annotations

from typing import Any

EXPECTED = [1, 2, "broken"]


def main(ray: Any) -> Any:
    @ray.remote
    def breaks() -> Any:
        yield 1
        yield 2
        raise ValueError("broken")

    found: list[Any] = []
    for ref in breaks.remote():
        try:
            found.append(ray.get(ref))
        except ValueError:
            found.append("broken")
    return found
