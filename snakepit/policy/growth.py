"""More workers for calls that wait, and where there can be none the stacks of those that wait."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import final

from .calls import READY, Call
from .pools import Klass
from .resources import Resources
from .staff import Staff
from .workers import Worker


@final
class Growth:
    """Starts workers as far as resources and the pools' limits go.

    Attributes:
        send: gives a call to a worker, to run on the stack of a call that waits there.
        find_waiter: finds a blocked worker that waits for a call; with one given, that one.
        edition: a number that changes when somebody may have come to wait for a queued call, or to
            be able to run it: a queue that was searched in vain is not searched again before that.
    """

    def __init__(self, resources: Resources, staff: Staff) -> None:
        self._resources = resources
        self._staff = staff
        self.edition = 0
        self.send: Callable[[Worker, Call, bool], None] = lambda worker, call, nested: None
        self.find_waiter: Callable[[Call, Worker | None], Worker | None] = lambda call, only: None

    def can_start(self, klass: Klass) -> bool:
        """Tell whether there is what one more process for the class needs."""
        return self._resources.fits(klass.needs) and (
            not klass.gpus or self._staff.devices.choose(klass.gpus) is not None
        )

    def grow(self, klass: Klass) -> int:
        """Nobody can take the next call of the class: have more workers, if there may be more.

        Returns:
            How many calls there are resources for that can only run on the stacks of others.
        """
        if not self.can_start(klass):
            return 0
        pool = klass.pool
        room = self._resources.room(klass.needs, len(klass.queue))
        while pool.starting * pool.width < room and not pool.full and self.can_start(klass):
            self._staff.add(pool, pool.name)
        return 0 if pool.starting or not pool.full or klass.gpus else room

    def joined(self, klass: Klass, call: Call, waits: int) -> None:
        """A call has joined a queue, and nobody could take those before it; `waits` calls wait.

        All that more of them can do is start workers, and run on the stacks of those that wait for
        them.
        """
        if not (self.grow(klass) and waits):
            klass.searched = -1
            return
        queue = klass.queue
        (queue.popleft if call.hastened else queue.pop)()
        if not self.nest_one(call):
            (queue.appendleft if call.hastened else queue.append)(call)

    def beside(self, worker: Worker) -> None:
        """A call was sent to this worker: if it runs beside another, have one worker more."""
        pool = worker.pool
        if len(worker.inflight) - worker.nested > 1 and not pool.idle and not pool.full:
            self._staff.add(pool, pool.name)

    def nest(self, klass: Klass, room: int) -> None:
        """Send up to `room` calls of the class to workers that wait for them."""
        if klass.searched == self.edition:
            return
        most = room
        kept: deque[Call] = deque()
        while klass.queue and room:
            call = klass.queue.popleft()
            if call.state is not READY:
                continue
            if self.nest_one(call):
                room -= 1
            else:
                kept.append(call)
        klass.queue.extendleft(reversed(kept))
        klass.searched = self.edition if room == most else -1

    def nest_one(self, call: Call) -> bool:
        """Send a call to a worker that waits for it, if there is one."""
        worker = self.find_waiter(call, None)
        if worker is None:
            return False
        self.send(worker, call, True)
        return True
