"""Who may wait before a declared pool, and who has waited for too long."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import final

from .actions import Action, Arm
from .calls import READY, Call
from .lines import PARTS, Line
from .pools import Klass, Pool


@final
class Admission:
    """Keeps the lines of all declared pools.

    Attributes:
        fail: ends a call with the kind and the fields of a failure record.
    """

    __slots__ = ("_actions", "_waiting", "fail")

    def __init__(self, actions: deque[Action], waiting: dict[Klass, None]) -> None:
        """`waiting` are the classes in whose queues calls are."""
        self._actions = actions
        self._waiting = waiting
        self.fail: Callable[..., None] = lambda call, kind, **fields: None

    def admits(self, line: Line, call: Call) -> bool:
        """Let a call that nobody can take yet wait, or fail it.

        The limit is for those that wait until a worker is done. Others wait for one that starts.
        """
        pool = call.shape.klass.pool
        coming = max(0, pool.limit - pool.held - pool.staffed + pool.starting) * pool.width
        if line.limit is not None and len(line) >= line.limit + coming and not call.tries:
            self.fail(call, "pool_saturated", pool=pool.root, limit=line.limit)
            return False
        self.line_up(line, call)
        return True

    def line_up(self, line: Line, call: Call) -> None:
        """Let a call wait, though the line be full: it was admitted before."""
        if line.join(call):
            self._arm(line, call.shape.klass.pool.root)

    def turn(self, pool: Pool) -> None:
        """Fail those of a pool's calls that have waited for too long."""
        line = pool.line
        assert line is not None
        overdue = line.turn()
        if line.turning:
            self._arm(line, pool.name)
        for call in overdue:
            # The end of another may have been its end too.
            if call.state is READY:
                self.fail(call, "queue_timeout", pool=pool.name, timeout=line.timeout)
        for klass in {call.shape.klass: None for call in overdue}:
            kept = [call for call in klass.queue if call.state is READY]
            klass.queue.clear()
            klass.queue.extend(kept)
            if not kept:
                self._waiting.pop(klass, None)

    def _arm(self, line: Line, pool: str) -> None:
        assert line.timeout is not None
        self._actions.append(Arm(line.timeout / PARTS, f"queue:{pool}"))
