"""A session: calls that belong together, and the worker that they are best or only run by."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final, final

from .calls import READY, Call
from .workers import LIVE, Worker

if TYPE_CHECKING:
    from .pools import Klass, Refusal

HINT, QUEUE, FAST = range(3)
AFFINITIES: Final = ("hint", "strict_queue", "strict_fail_fast")
"""What people call them."""


@final
class Session:
    """One session.

    Attributes:
        strict: whether its calls run in one worker alone.
        id: what people call it; `number` is of no other, before or after.
        worker: the one that has had its last call, or that it is pinned to; None before that.
        place: the call that stands in the queue of its class.
        waiting: the calls behind that one, or that wait for the worker, in their order. Some may
            be in it in vain; see `waits`.
        refusal: why it takes no more calls, if it does not; it goes with the last.
        lined: the class of its next call, if it waits in the line of its worker.
        end: the object that its last call waits for, which is there when all others have ended; 0.
        made: how many of its calls have not ended.
        inflight: those of a strict one that it has sent since it was pinned, by their ids.
        turns: how often one of its calls has become ready.
        seen: the numbers of the workers that have had calls of it.
    """

    __slots__ = (
        "affinity",
        "end",
        "id",
        "inflight",
        "lined",
        "made",
        "number",
        "place",
        "refusal",
        "seen",
        "strict",
        "turns",
        "waiting",
        "worker",
    )

    def __init__(self, identifier: str, number: int, affinity: int) -> None:
        self.id = identifier
        self.number = number
        self.affinity = affinity
        self.strict = affinity != HINT
        self.worker: Worker | None = None
        self.place: Call | None = None
        self.waiting: deque[Call] = deque()
        self.lined: Klass | None = None
        self.end = 0
        self.made = 0
        self.inflight: set[int] = set()
        self.turns = 0
        self.refusal: Refusal | None = None
        self.seen: set[int] = set()

    @property
    def lost(self) -> bool:
        """Whether the worker that it is pinned to is no more."""
        return self.strict and self.worker is not None and self.worker.state is not LIVE

    def waits(self, call: Call) -> bool:
        """Tell whether one of those in `waiting` does wait there.

        One that another call waits for has a place of its own in the queue of its class; it may
        have been sent from there, and have come back. Those of a strict session stay in order.
        """
        return call.state is READY and (self.strict or not call.hastened)

    def behind(self, call: Call) -> tuple[Call, ...]:
        """Return the calls that cannot get a worker before `call` has one."""
        if call is self.place or (self.waiting and call is self.waiting[0]):
            return tuple(each for each in self.waiting if self.waits(each))
        return ()

    def __repr__(self) -> str:
        return f"<Session {self.id} {AFFINITIES[self.affinity]} worker={self.worker}>"
