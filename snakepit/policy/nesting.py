"""Who waits for a call, through whatever lies between (design.md §4, *Nesting*).

When no process may be added and all are blocked, a queued call runs on the stack of a blocked
worker that waits for it: directly, through a call that needs its result as an argument, or through
an actor that is itself blocked. Without this rule nested calls would deadlock at the limit.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping

from .calls import Call
from .objects import ObjectTable
from .workers import LIVE, Worker


def stack_is_blocked(worker: Worker) -> bool:
    """Tell whether nothing runs in the worker: each call on its stack waits."""
    return (
        worker.state is LIVE
        and worker.actor is None
        and worker.slots == 1
        and bool(worker.blocked)
        and len(worker.blocked) == worker.nested + 1
    )


def find_waiter(
    call: Call, objects: ObjectTable, workers: Mapping[int, Worker]
) -> Worker | None:
    """Return a blocked worker that waits for `call` and may run it on its stack, or None."""
    seen = {call.id}
    waiting = deque([call])
    while waiting:
        current = waiting.popleft()
        for identifier in current.returns:
            entry = objects.entries.get(identifier)
            if entry is None:
                continue
            for number, _ in entry.wanted or ():
                worker = workers.get(number)
                if worker is None:
                    continue
                if stack_is_blocked(worker):
                    return worker
                # An actor, or a worker in whose stack something still runs: whoever waits for
                # what is blocked there waits for this call too.
                _follow(worker.inflight.values(), seen, waiting)
                if worker.actor is not None:
                    for lane in worker.actor.lanes.values():
                        _follow(lane, seen, waiting)
            _follow(entry.dependents or (), seen, waiting)
    return None


def _follow(calls: Iterable[Call], seen: set[int], waiting: deque[Call]) -> None:
    for call in calls:
        if call.id not in seen:
            seen.add(call.id)
            waiting.append(call)
