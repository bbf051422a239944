"""The crash barrier: what the end of a worker that broke means for the others of its pool."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from typing import Any, final

from ..wire.messages import CANCELLED
from .actions import Action, Arm
from .calls import DONE, Call
from .completion import Completion
from .deaths import BROKEN
from .placement import Placement
from .pools import FAILED, Pool, Refusal
from .workers import Worker


@final
class CrashBarrier:
    """Circuits and tainted slots, of the pools that asked for them."""

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
        self._placement.sessions.due()

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
                waiting += self._placement.take_waiting(each) if refusal else ()
        return waiting

    # --- tainted slots ------------------------------------------------------------------------

    def broke(self, worker: Worker, kind: str) -> None:
        """A pool's worker has ended: its slot is held back if it broke, and one is free."""
        pool = worker.pool
        taint = pool.taint
        if taint is None or kind not in BROKEN or pool.staffed + pool.held >= pool.limit:
            return
        worker.tainted = True
        slot, delay = taint.hold(1 if worker.results else worker.strikes + 1)
        pool.held = len(taint.slots)
        self._actions.append(Arm(delay, f"taint:{slot}:{pool.name}"))

    @staticmethod
    def untaint(pool: Pool, slot: int) -> None:
        """A slot was held back for long enough."""
        assert pool.taint is not None
        pool.taint.free(slot)
        pool.held = len(pool.taint.slots)

    @staticmethod
    def resized(pool: Pool, most: int) -> None:
        """A pool has another limit: slots that are held back are the first that it loses."""
        assert pool.taint is not None
        pool.taint.keep(most - pool.staffed)
        pool.held = len(pool.taint.slots)
