"""Actors: coroutines that wait for one another."""

from __future__ import annotations

import asyncio
from typing import Any

EXPECTED = {"go"}


def main(ray: Any) -> Any:
    @ray.remote
    class Signal:
        def __init__(self):
            self.event = asyncio.Event()

        async def wait(self):
            await self.event.wait()
            return "go"

        async def send(self):
            self.event.set()

    signal = Signal.remote()
    waiting = [signal.wait.remote() for _ in range(20)]
    ray.get(signal.send.remote())
    return set(ray.get(waiting))
