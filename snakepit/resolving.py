"""Waiting in asyncio for what a runtime makes, by its callbacks."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from .protocol import Runtime


async def resolved(runtime: Runtime, ids: Sequence[int]) -> None:
    """Wait in an asyncio task until all of `ids` have resolved; the loop runs on."""
    import asyncio  # here, for most programs use none

    loop = asyncio.get_running_loop()
    for identifier in ids:
        done = loop.create_future()

        def settle(done: asyncio.Future[None] = done) -> None:
            if not done.done():
                done.set_result(None)

        def arrived(settle: Callable[[], None] = settle) -> None:
            try:
                loop.call_soon_threadsafe(settle)
            except RuntimeError:
                return  # The loop was closed meanwhile: nobody awaits any more.

        runtime.when_done(identifier, arrived)
        await done
