"""What a runtime calls when it has made something, and waiting in asyncio by that."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

from .protocol import Runtime


def call_back(callback: Callable[[], None], *passes: type[Exception]) -> None:
    """Call what a user may have given; what it raises, be it SystemExit, ends no thread of ours.

    Raises:
        KeyboardInterrupt: in the main thread, in which it need not be the callback's.
        Exception: one of those that pass.
    """
    try:
        callback()
    except passes:
        raise
    except BaseException as error:
        main = threading.current_thread() is threading.main_thread()
        if main and isinstance(error, KeyboardInterrupt):
            raise
        import traceback

        traceback.print_exc()


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
