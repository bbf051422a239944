"""Who waits for a call, and what for, through whatever lies between (design.md §4, *Nesting*).

When no process may be added and all are blocked, a queued call runs on the stack of a blocked
worker that waits for it: directly, through a call that needs its result as an argument, or through
an actor that is itself blocked. Without this rule nested calls would deadlock at the limit.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Mapping

from .actors import Actor
from .calls import READY, Call
from .objects import Entry, ObjectTable
from .pools import Klass
from .workers import LIVE, Worker


def hasten(ids: Iterable[int], objects: ObjectTable) -> dict[Klass, None]:
    """Have what makes `ids`, and its arguments, run before calls that nobody waits for.

    Who waits keeps a process, and loses its work when that dies: children first, or some hundred
    parents begin before the first of them can end. In their old places in the queue they are
    passed over, since to take them out would cost a look at all others (see `Session.waits`).

    Returns:
        The classes in whose queues they stand.
    """
    found: dict[int, Call] = {}
    waiting = deque([ids])
    while waiting:
        for identifier in waiting.popleft():
            entry = objects.entries.get(identifier)
            call = entry.call if entry is not None else None
            if call is not None and not call.hastened and call.id not in found:
                found[call.id] = call
                if call.missing:
                    waiting.append([identifier for _, identifier in call.deps])
    classes: dict[Klass, None] = {}
    for call in reversed(found.values()):
        call.hastened = True
        # Those of a strict session keep to their order.
        if call.state is READY and not (call.session is not None and call.session.strict):
            klass: Klass = call.shape.klass
            klass.queue.appendleft(call)
            classes[klass] = None
    return classes


def find_waiter(
    call: Call, only: Worker | None, objects: ObjectTable, workers: Mapping[int, Worker]
) -> Worker | None:
    """Return a blocked worker of the call's pool that waits for it and can run it, or None.

    With `only`, it is that one or None.

    Where calls have slots, any that waits will do. Elsewhere what counts is the call on top of a
    stack: a call that is run above one that does not wait for
    it might itself wait for that one, for ever.
    """
    seen = {call.id}
    waiting = deque([call])
    while waiting:
        current = waiting.popleft()
        stream = objects.streams.get(current.id)
        for identifier in (*current.returns, *(stream.tickets if stream is not None else ())):
            entry = objects.entries.get(identifier)
            if entry is None:
                continue
            for number, _ in entry.wanted or ():
                worker = workers.get(number)
                if worker is None:
                    continue
                below = _waits_below(worker, identifier)
                if below and only in (None, worker) and _can_nest(worker, call, below):
                    return worker
                _follow(_held_up(worker, below), seen, waiting)
            _follow_dependents(entry, objects, seen, waiting)
        if current.session is not None:
            _follow(current.session.behind(current), seen, waiting)
            end = objects.entries.get(current.session.end)
            if end is not None:
                _follow_dependents(end, objects, seen, waiting)
    return None


def _can_nest(worker: Worker, call: Call, below: list[Call]) -> bool:
    return (
        worker.state is LIVE
        and worker.actor is None
        and (worker.slots > 1 or len(below) == len(worker.inflight))
        and worker.pool is call.shape.klass.pool
    )


def _waits_below(worker: Worker, identifier: int) -> list[Call]:
    """Return the blocked calls that wait for the object, themselves or for one above them.

    Calls block from the bottom of a stack to its top, which is the order of `blocked`. In slots
    none is above another.
    """
    if worker.slots > 1:
        return [worker.inflight[i] for i, (ids, _) in worker.blocked.items() if identifier in ids]
    calls: list[Call] = []
    last = 0
    for blocked, (ids, _) in worker.blocked.items():
        calls.append(worker.inflight[blocked])
        if identifier in ids:
            last = len(calls)
    return calls[:last]


def _held_up(worker: Worker, below: list[Call]) -> list[Call]:
    """Return all calls that cannot go on while those in `below` wait."""
    if not below:
        return below
    if worker.actor is None:
        return below if not worker.tenants else [*below, *_behind(worker.tenants, below)]
    if worker.actor.groups is not None:
        return below  # The others go on beside them.
    return [*worker.inflight.values(), *worker.actor.queued()]


def _behind(tenants: Mapping[int, Actor], below: list[Call]) -> Iterator[Call]:
    """Yield the calls of tenants that wait till one that waits has ended."""
    for call in below:
        actor = tenants.get(call.actor)
        if actor is not None and actor.groups is None:
            yield from actor.queued()


def _follow_dependents(
    entry: Entry, objects: ObjectTable, seen: set[int], waiting: deque[Call]
) -> None:
    for call in entry.dependents or ():
        _follow((call,), seen, waiting)
        # Later calls of its lane, or all calls of an actor that is not made yet, wait with it.
        made = objects.entries.get(call.actor or call.id)
        if made is not None and made.actor is not None:
            _follow(made.actor.queued(), seen, waiting)


def _follow(calls: Iterable[Call], seen: set[int], waiting: deque[Call]) -> None:
    for call in calls:
        if call.id not in seen:
            seen.add(call.id)
            waiting.append(call)
