"""Actors: their records and the table of their states.

    PENDING --place--> STARTING --made--> ALIVE --lost--> PENDING (restart)
    any of them --end--> DEAD

An actor is pending until it has a worker, starting while its constructor runs, and alive when calls
may be sent. Calls queue in one lane a caller, which keeps the order that each caller made them in.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable, Iterator
from typing import TYPE_CHECKING, Any, Final, final

from .calls import Call, IllegalTransition
from .restart import RestartWindow
from .workers import Worker

if TYPE_CHECKING:
    from .pools import Pool

PENDING, STARTING, ALIVE, DEAD = "pending", "starting", "alive", "dead"

ACTOR_TRANSITIONS: Final[dict[tuple[str, str], str]] = {
    (PENDING, "place"): STARTING,
    (STARTING, "made"): ALIVE,
    (STARTING, "lost"): PENDING,
    (ALIVE, "lost"): PENDING,
    (PENDING, "end"): DEAD,
    (STARTING, "end"): DEAD,
    (ALIVE, "end"): DEAD,
}


@final
class Group:
    """Calls that one actor runs side by side: `limit` of them; `sent` are in its mailbox or run."""

    __slots__ = ("limit", "sent")

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.sent = 0


@final
class Actor:
    """One actor.

    Attributes:
        creation: the call of its constructor, kept for restarts.
        groups: what it runs side by side, by name; None if it runs one call at a time.
        alone: the one call that a tenant runs which has no groups (see `hosting`).
        holds: whether it holds what its class needs.
        lanes: for each caller the calls that have not been sent, in order; with groups, for each
            caller and group, and without those whose arguments are missing.
        unready: with groups, the calls whose arguments are missing.
        leaving: it ends when its worker does, without a restart, and why.
        window: those of its processes that ended before it was made, if any has.
        struck: kill() was told to end its present process.
        failure: the failure record that its calls end in, once it is dead.
    """

    __slots__ = (
        "alone",
        "creation",
        "failure",
        "groups",
        "holds",
        "id",
        "killed",
        "lanes",
        "leaving",
        "methods",
        "name",
        "restarts",
        "state",
        "struck",
        "unready",
        "window",
        "worker",
    )

    def __init__(self, creation: Call, methods: Any) -> None:
        self.id = creation.id
        self.creation = creation
        self.methods = methods
        self.name: tuple[str, str] | None = None
        self.state = PENDING
        self.worker: Worker | None = None
        groups = creation.shape.template.groups
        self.groups = {name: Group(limit) for name, limit in groups} if groups else None
        self.alone = Group(1)
        self.holds = False
        self.lanes: dict[Hashable, deque[Call]] = {}
        self.unready: dict[int, Call] = {}
        self.restarts = 0
        self.window: RestartWindow | None = None
        self.struck = False
        self.leaving = ""
        self.killed = False
        self.failure: Any = None

    @property
    def pooled(self) -> bool:
        """Whether it lives in a worker of its pool, and not in a process of its own."""
        pooled: bool = self.creation.shape.klass.pooled
        return pooled

    @property
    def pool(self) -> Pool | None:
        """The pool in whose workers it lives or is to, if it is pooled."""
        return self.creation.shape.klass.pool if self.pooled else None

    @property
    def hosted(self) -> bool:
        """Whether it lives in a worker that others use too, as a tenant."""
        return self.pooled and self.creation.shape.klass.pool.slots > 1

    def lane_of(self, call: Call) -> Hashable:
        """Return the key of the lane that a call queues in."""
        return call.caller if self.groups is None else (call.caller, call.shape.template.group)

    def queued(self) -> Iterator[Call]:
        """Yield every call that has not been sent."""
        for lane in self.lanes.values():
            yield from lane
        yield from self.unready.values()

    @property
    def is_going(self) -> bool:
        """Whether it ends with its present process, however long that takes."""
        return self.killed or bool(self.leaving)

    def to(self, event: str) -> None:
        """Take `event`; the only setter of the state."""
        try:
            self.state = ACTOR_TRANSITIONS[self.state, event]
        except KeyError:
            raise IllegalTransition(f"actor {self.id:x}: {event} while {self.state}") from None

    def __repr__(self) -> str:
        return f"<Actor {self.id:x} {self.creation.name} {self.state}>"
