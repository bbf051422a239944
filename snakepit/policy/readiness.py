"""Gates: calls that nobody runs. They end when a pool has its workers, or fails to have them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, final

from ..wire.messages import EMPTY, NONE
from .calls import DONE, Call
from .completion import Completion
from .draining import Draining
from .pools import Pool


@final
class Readiness:
    """Who waits for which pool."""

    __slots__ = ("_completion", "_draining", "_waiting")

    def __init__(self, completion: Completion, draining: Draining) -> None:
        self._completion = completion
        self._draining = draining
        self._waiting: dict[str, list[Call]] = {}

    def wait(self, call: Call) -> None:
        """Let a gate wait for its pool, to be whole or to be empty."""
        pool: Pool = call.shape.klass.pool
        if self._draining.starts_in(pool, call.caller):
            within = {"pool": pool.name, "within": "initializer"}
            self._completion.fail_with(call, "pool_deadlock", **within)
            return
        if call.shape.template.method == EMPTY:
            self._draining.wait(call)
            return
        # Who looks again and again gives up each time.
        others = [each for each in self._waiting.get(pool.name, ()) if each.state is not DONE]
        self._waiting[pool.name] = [*others, call]
        self.look(pool)

    def look(self, pool: Pool) -> None:
        """End the gates of a pool if it is whole."""
        if self._waiting and pool.whole:
            for call in self._waiting.pop(pool.name, ()):
                if call.state is not DONE:
                    self._completion.succeed(call, (NONE,), ())

    def fail(self, pool: Pool, kind: str, fields: Mapping[str, Any]) -> None:
        """End the gates of a pool that has failed."""
        for call in self._waiting.pop(pool.name, ()):
            if call.state is not DONE:
                self._completion.fail_with(call, kind, **fields)
