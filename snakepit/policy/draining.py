"""Draining: a pool takes no new calls, and somebody wants to know when it has none left.

Calls that its own calls make are taken, or those could not come to their end. What it has is
counted (see `Tally`) and looked at now and then while somebody waits for it: to tell each end of a
call of a pool that drains would cost all calls a look.
"""

from __future__ import annotations

from collections import deque
from typing import Final, final

from ..wire.messages import NONE, TASK
from .actions import Action, Arm
from .calls import DONE, Call
from .completion import Completion
from .pools import Klass, Pool
from .workers import STARTING, Worker

LOOKED_AT: Final = 0.02
"""Seconds between looks whether a pool is empty by now."""


@final
class Draining:
    """The pools that take no new calls.

    Attributes:
        active: whether there is any, or another reason to look at each new call: `closed`.
        pools: their names.
    """

    def __init__(
        self, workers: dict[int, Worker], completion: Completion, actions: deque[Action]
    ) -> None:
        self._workers = workers
        self._completion = completion
        self._actions = actions
        self._waiting: dict[str, list[Call]] = {}
        self.active = self.closed = False
        self.pools: set[str] = set()

    def drain(self, pool: Pool) -> None:
        """Refuse the pool's new calls from now on."""
        self.pools.add(pool.name)
        self.active = True

    def resume(self, pool: Pool) -> None:
        """Take them again; nobody waits for its end any more."""
        self.pools.discard(pool.name)
        self.active = self.closed or bool(self.pools)
        for gate in self._waiting.pop(pool.name, ()):
            if gate.state is not DONE:
                self._completion.fail_with(gate, "cancelled")

    def refuses(self, call: Call) -> bool:
        """Tell whether a new call is for such a pool, and not made by one of its own.

        Its actors are of its own too: a call that is to come to its end may wait for theirs. A
        method is for its actor, which lives on, and an actor that has a place has it.
        """
        klass: Klass = call.shape.klass
        pool = klass.pool
        runs = call.shape.template.kind == TASK or klass.pooled
        if not runs or pool.root not in self.pools:
            return False
        caller = self._workers.get(call.caller)
        return caller is None or not caller.staffs or caller.pool.root != pool.root

    def starts_in(self, pool: Pool, number: int) -> bool:
        """Tell whether a process is a worker of the pool that runs its initializer."""
        worker = self._workers.get(number)
        return worker is not None and worker.state is STARTING and worker.pool.root == pool.name

    def within(self, pool: Pool, number: int, identifier: int) -> str:
        """Say what of the pool's own would wait for its own end if it waited for the pool's.

        Args:
            pool: that is to be empty.
            number: the process that asks.
            identifier: the call there that does; it may be made by one of the pool's, and so on.

        Returns:
            What it is, or "" if it is nothing of the pool's, as far as can be known.
        """
        if self.starts_in(pool, number):
            return "initializer"
        worker = self._workers.get(number)
        while worker is not None:
            call = worker.inflight.get(identifier)
            if call is None:
                break
            if call.shape.tally is pool.tally:
                return f"call {call.name}"
            worker, identifier = self._workers.get(call.caller), call.parent
        return ""

    def wait(self, gate: Call) -> None:
        """Let a gate wait until its pool is empty."""
        pool: Pool = gate.shape.klass.pool
        looked_at = pool.name in self._waiting
        self._waiting.setdefault(pool.name, []).append(gate)
        if not looked_at:
            self.look(pool)

    def look(self, pool: Pool) -> None:
        """End the gates of a pool if it has no calls left."""
        gates = [gate for gate in self._waiting.pop(pool.name, ()) if gate.state is not DONE]
        if not gates:
            return
        if pool.tally.pending:
            self._waiting[pool.name] = gates
            self._actions.append(Arm(LOOKED_AT, f"drain:{pool.name}"))
            return
        for gate in gates:
            self._completion.succeed(gate, (NONE,), ())
