"""Calls that run side by side in one process; and those of an actor, in threads.

Each concurrency group has threads of its own, as many as it may run calls at once. They are started
when a call finds none idle, so that an actor which allows a thousand and gets two has two.

Guarantees:
* At most `limit` calls of a group run at a time; the others wait in the order they came.
* What waits or runs is counted until its reply is written: an actor that is told to end does so
  after the last.

Assumptions: one lock guards the counts of all groups, and is never held while a call runs. Nothing
relies on the GIL.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable
from typing import Protocol, final

from snakepit.wire.messages import Execute

from .mailbox import DriverGone


class Beside(Protocol):
    """What runs the calls of a process that has several at once."""

    def take(self, execute: Execute, group: str) -> None:
        """Run a call when its group has room; from any thread that reads the mailbox."""
        ...

    def cancel(self, call: int, force: bool) -> None:
        """A call that is marked as cancelled should end soon; from the control thread.

        With `force`, which no actor's call is cancelled with, the process may end for that.
        """
        ...

    def posted(self, count: int) -> None:
        """A reply was left with the mailbox, where `count` wait now to be written."""
        ...

    @property
    def busy(self) -> bool:
        """Whether calls run or wait."""
        ...


@final
class _Group:
    """The threads of one group."""

    __slots__ = ("arrived", "idle", "limit", "queue", "started", "waking")

    def __init__(self, limit: int, lock: threading.Lock) -> None:
        self.limit = limit
        self.queue: deque[Execute] = deque()
        self.arrived = threading.Condition(lock)
        self.started = 0
        self.idle = 0
        self.waking = False  # one of the idle has been told, and has not taken its call yet


@final
class Threads:
    """The threads of an actor's groups. Implements `Beside`.

    Args:
        groups: names, and how many calls of each run at once.
        run: runs a call and posts its reply; it must not raise anything but `DriverGone`.
        flush: has what was posted written, by this thread or by one that writes already.
        rested: called when no call is left.
    """

    __slots__ = ("_flush", "_groups", "_left", "_lock", "_rested", "_run")

    def __init__(
        self,
        groups: Iterable[tuple[str, int]],
        run: Callable[[Execute], None],
        flush: Callable[[], None],
        rested: Callable[[], None],
    ) -> None:
        self._lock = threading.Lock()
        self._groups = {name: _Group(limit, self._lock) for name, limit in groups}
        self._run = run
        self._flush = flush
        self._rested = rested
        self._left = 0

    def take(self, execute: Execute, group: str) -> None:
        """See `Beside.take`."""
        lane = self._groups[group]
        with self._lock:
            self._left += 1
            start = lane.idle <= len(lane.queue) and lane.started < lane.limit
            lane.queue.append(execute)
            if start:
                lane.started += 1
            else:
                self._wake(lane)
        if start:
            name = f"snakepit-{group or 'actor'}-{lane.started}"
            threading.Thread(target=self._work, args=(lane,), name=name, daemon=True).start()

    def cancel(self, call: int, force: bool) -> None:
        """See `Beside.cancel`: a thread cannot be interrupted, but what waits is answered here."""
        with self._lock:
            found = next(
                ((lane, e) for lane in self._groups.values() for e in lane.queue if e.call == call),
                None,
            )
            if found is not None:
                found[0].queue.remove(found[1])
        if found is not None:
            self._serve(found[1])

    def posted(self, count: int) -> None:
        """See `Beside.posted`."""
        self._flush()

    @property
    def busy(self) -> bool:
        """See `Beside.busy`."""
        return self._left > 0

    def _work(self, lane: _Group) -> None:
        while True:
            with self._lock:
                lane.idle += 1
                while not lane.queue:
                    lane.arrived.wait()
                    lane.waking = False
                lane.idle -= 1
                execute = lane.queue.popleft()
                self._wake(lane)
            try:
                self._serve(execute)
            except DriverGone:
                return  # The main thread learns it too, and ends the process.

    @staticmethod
    def _wake(lane: _Group) -> None:
        """Have an idle thread look at the queue, one at a time: it wakes the next, if it must.

        All at once would contend for what most of them find done already.
        """
        if lane.queue and lane.idle and not lane.waking:
            lane.waking = True
            lane.arrived.notify()

    def _serve(self, execute: Execute) -> None:
        self._run(execute)
        with self._lock:
            self._left -= 1
            rested = not self._left
        if rested:
            self._rested()
