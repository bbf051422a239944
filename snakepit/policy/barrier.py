"""The crash barrier: what a call that crashes its worker means for the others of its pool."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from typing import Any, final

from ..wire.messages import CANCELLED
from .actions import Action, Arm
from .calls import DONE, Call
from .completion import Completion
from .placement import Placement
from .pools import FAILED, Pool, Refusal


@final
class CrashBarrier:
    """Opens and closes the circuits of all pools that have one."""

    def __init__(
        self, placement: Placement, completion: Completion, actions: deque[Action]
    ) -> None:
        self._placement = placement
        self._completion = completion
        self._actions = actions

    def crashed(self, pool: Pool, cause: Mapping[str, Any], now: float) -> None:
        """A worker of the pool has ended by a call that it ran."""
        circuit = pool.circuit
        if circuit is None or not circuit.crashed(now, {**cause, "pool": pool.root}):
            return
        self._actions.append(Arm(circuit.reset_after, f"circuit:{pool.root}"))
        for call in self._refuse(pool, circuit.refusal):
            # An earlier one's failure may have ended it already.
            if call.state is not DONE:
                self._placement.turn_away(call)

    @staticmethod
    def wait_is_over(pool: Pool) -> None:
        """Let one call through: an open circuit changes by its one timer alone."""
        assert pool.circuit is not None
        pool.circuit.to("wait")

    def answered(self, call: Call, outcome: int) -> None:
        """A call of a class that is refused has ended without a crash."""
        pool: Pool = call.shape.klass.pool
        circuit = pool.circuit
        # A call that was cancelled may not have begun.
        if circuit is not None and outcome != CANCELLED and circuit.answered(call):
            self._refuse(pool, None)

    def _refuse(self, pool: Pool, refusal: Refusal | None) -> list[Call]:
        """Have the pool and its variants refuse calls or take them; return those that wait."""
        waiting: list[Call] = []
        for each in self._placement.pools.values():
            if each.root == pool.root and each.state is not FAILED:
                self._placement.classes.refuse(each, refusal)
                waiting += self._placement.take_queued(each) if refusal else ()
        return waiting
