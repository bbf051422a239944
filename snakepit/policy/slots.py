"""Workers that run several calls at once, each in a slot of its own: those of thread pools.

Such a worker may have calls of several classes. Its *plain* calls are those that are not nested:

* As many as it has slots run at once, and a call that waits keeps its slot, since its thread waits
  with it. Each that does not wait holds what it needs.
* More are sent ahead of time only while all plain ones are of one class and none waits; then what
  is held is as much as its slots can use, whichever of the calls it is that run.
* A pool may be narrower than its workers: each is given `width` of them at one time, and none ahead
  of time, because there is a thread that would begin it.
* What a call waits for runs beyond the slots if nobody else can take it: nested, in a thread of its
  own. Unlike on a stack, nobody else in that worker is held up by it.
"""

from __future__ import annotations

from typing import final

from .calls import Call
from .pools import Klass, Pool
from .resources import Resources
from .workers import LIVE, Worker


@final
class Slots:
    """Accounts for such workers, and knows which have a free slot."""

    __slots__ = ("_resources",)

    def __init__(self, resources: Resources) -> None:
        self._resources = resources

    def spare(self, pool: Pool) -> Worker | None:
        """Return a worker that runs calls and has a free slot, the least recently given one."""
        if _has_too_many(pool):
            return None  # One that has calls in turn for ever would never end.
        part = pool.part
        while part:
            worker = part[0]
            if worker.inflight and has_free(worker):
                part.rotate(-1)
                return worker
            part.popleft()
            worker.part = False
        return None

    def enters(self, worker: Worker, call: Call, klass: Klass) -> bool:
        """A plain call was sent; return whether it is ahead of time."""
        plain = len(worker.inflight) - worker.nested
        ahead = plain > worker.slots
        if not ahead:
            self._resources.change(klass.uses, 1)
        if call.actor or klass.creates:
            # Its class says nothing of the worker, whose pool it may not even be of.
            worker.unlist()
            worker.klass = None
        elif plain == 1:
            worker.unlist()
            worker.klass = klass
        elif worker.klass is not klass:
            worker.unlist()
            worker.klass = None
        if worker.klass is not None and not worker.open:
            worker.open = True
            klass.open.append(worker)
        self._list(worker)
        return ahead

    def leaves(self, worker: Worker, call: Call, blocked: bool) -> None:
        """A plain call has left, which waited if it was `blocked`."""
        needs = call.shape.klass.uses
        if len(worker.inflight) - worker.nested >= worker.slots:
            # Another of its class takes its slot, and over what it held; if it did not wait.
            self._resources.change(needs, int(blocked))
        elif not blocked:
            self._resources.change(needs, -1)
        self._list(worker)

    @staticmethod
    def _list(worker: Worker) -> None:
        if not worker.part and worker.inflight and has_free(worker):
            worker.part = True
            worker.pool.part.append(worker)


def _has_too_many(pool: Pool) -> bool:
    return pool.over and pool.staffed > pool.limit


def is_to_end(worker: Worker) -> bool:
    """Tell whether a worker is to get no call beside those that it has: perhaps it ends then."""
    return bool(worker.inflight) and _has_too_many(worker.pool)


def has_free(worker: Worker) -> bool:
    """Tell whether a call that is sent now would begin at once."""
    held = len(worker.inflight)
    return held - worker.nested < worker.pool.width and held < worker.room and worker.state is LIVE


def is_full(worker: Worker) -> bool:
    """Tell whether a call that is sent now would wait until another has ended."""
    return worker.pool.width == worker.slots and not has_free(worker)


def running(worker: Worker) -> int:
    """Return how many of its calls a worker may have begun, those that wait among them."""
    if worker.slots > 1:
        return worker.nested + min(worker.slots, len(worker.inflight) - worker.nested)
    # Those that wait, and one above them.
    waiting = len(worker.blocked)
    return waiting + min(1, len(worker.inflight) - waiting)
