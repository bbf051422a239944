"""Generators: a task that yields parts, which others take as they come."""

from __future__ import annotations

from typing import Any

EXPECTED = [0, 2, 4, 6]


def main(ray: Any) -> Any:
    @ray.remote
    def parts(n: int) -> Any:
        for i in range(n):  # noqa: UP028 - as a user of Ray has to
            yield i

    @ray.remote
    def double(x: int) -> int:
        return 2 * x

    return ray.get([double.remote(ref) for ref in parts.remote(4)])
