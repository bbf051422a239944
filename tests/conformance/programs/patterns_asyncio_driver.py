"""Patterns: a driver that is a coroutine."""

from __future__ import annotations

import asyncio
from typing import Any

EXPECTED = [4, 6, 8]


def main(ray: Any) -> Any:
    @ray.remote
    def double(x):
        return 2 * x

    async def drive():
        first = await double.remote(1)
        return await asyncio.gather(*[double.remote(first + i) for i in range(3)])

    return asyncio.run(drive())
