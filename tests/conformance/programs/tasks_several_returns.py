"""Tasks: several values, a reference each."""

from __future__ import annotations

from typing import Any

EXPECTED = ["t", "s"]


def main(ray: Any) -> Any:
    @ray.remote(num_returns=3)
    def split(text):
        return text[0], text[1:-1], text[-1]

    first, _, last = split.remote("snakepit")
    return ray.get([last, first])
