"""Actors: a lock that tasks take in turn."""

from __future__ import annotations

import asyncio
from typing import Any

EXPECTED = [0, 1, 2, 3]


def main(ray: Any) -> Any:
    @ray.remote
    class Lock:
        def __init__(self):
            self.lock = asyncio.Lock()
            self.order = []

        async def acquire(self, name):
            await self.lock.acquire()
            self.order.append(name)

        async def release(self):
            self.lock.release()

        async def seen(self):
            return sorted(self.order)

    @ray.remote
    def critical(lock, name):
        ray.get(lock.acquire.remote(name))
        ray.get(lock.release.remote())

    lock = Lock.remote()
    ray.get([critical.remote(lock, i) for i in range(4)])
    return ray.get(lock.seen.remote())
