"""Actors: a coroutine that awaits tasks."""

from __future__ import annotations

import asyncio
from typing import Any

EXPECTED = [0, 1, 4, 9]


def main(ray: Any) -> Any:
    @ray.remote
    def square(x):
        return x * x

    @ray.remote
    class Front:
        async def all(self, n):
            return await asyncio.gather(*[square.remote(i) for i in range(n)])

    return ray.get(Front.remote().all.remote(4))
