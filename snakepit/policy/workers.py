"""Workers: a process each, N slots of a pool, and the table of their states.

STARTING --hello--> LIVE --retire--> LEAVING --died--> DEAD     (any state --died--> DEAD)
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final, final

from .calls import Call, IllegalTransition

if TYPE_CHECKING:
    from .actors import Actor
    from .lineup import Lineup
    from .pools import Klass, Pool

STARTING, LIVE, LEAVING, DEAD = "starting", "live", "leaving", "dead"

MOST_AHEAD: Final = 256
"""Calls that a worker may hold, however short they are: what a death sends back."""

NEVER: Final = 1 << 62
"""More results than any worker has."""

WORKER_TRANSITIONS: Final[dict[tuple[str, str], str]] = {
    (STARTING, "hello"): LIVE,
    (LIVE, "retire"): LEAVING,
    (STARTING, "died"): DEAD,
    (LIVE, "died"): DEAD,
    (LEAVING, "died"): DEAD,
}


@final
class Worker:
    """One worker process.

    Attributes:
        inflight: the calls in its mailbox or running, in the order they were sent.
        slots: how many calls it runs at once.
        klass: what its calls have in common while there are any: they use the same resources, so
            that the next takes over what the last one held. None if it has several slots, and they
            have nothing in common.
        units: how many times the needs of `klass` it holds at the moment, if it has one slot.
        part: whether it is among those of its pool that may have a free slot.
        backlog: predicted microseconds of what is in flight.
        blocked: calls that wait in get() or wait(), with the ids and whether they need all.
        interpreter: whose zygote makes its process.
        forked, late: its process is there; it was not ready in time, and is ended for that.
        gpus: the numbers of the GPUs that its process may use, of each the `share`.
        rests: how often it was looked at since it has idled.
        strikes: how often in a row the workers of its slot have broken before it (see `taint`).
        tainted: whether it has broken, and its slot is held back.
        room: how many calls it may hold; none, if it is to get no more but nested ones.
        enough: after how many results `Supervision.progress` is to know: of all the first one.
        looks, reason: how often its age was looked at, and why it is to be replaced, if it is.
        cause: how its process has ended, for errors.
        pins: how many strict sessions are pinned to it, and actors live in it as its tenants.
        tenants: those; `claims` are of those of them whose next call lacks a slot.
        sessions: those that wait for it, if any; `turn` says that it is theirs.
        mark: how many results it had returned at the last look for overruns; while that is all,
            it is given nothing ahead. `stuck` is how many looks in a row have found that.
    """

    __slots__ = (
        "actor",
        "backlog",
        "blocked",
        "cause",
        "claims",
        "enough",
        "forked",
        "gpus",
        "inflight",
        "interpreter",
        "klass",
        "late",
        "looks",
        "mark",
        "nested",
        "number",
        "open",
        "part",
        "pins",
        "pool",
        "reason",
        "rests",
        "results",
        "room",
        "sequence",
        "sessions",
        "share",
        "slots",
        "state",
        "strikes",
        "stuck",
        "tainted",
        "tenants",
        "turn",
        "units",
    )

    def __init__(self, number: int, pool: Pool, slots: int, actor: Actor | None) -> None:
        self.number = number
        self.pool = pool
        self.slots = slots
        self.actor = actor
        self.state = STARTING
        self.inflight: dict[int, Call] = {}
        self.klass: Klass | None = None
        self.units = 0
        self.gpus: tuple[int, ...] = ()
        self.interpreter = ""
        self.forked = False
        self.late = False
        self.share = 0
        self.nested = 0
        self.backlog = 0.0
        self.blocked: dict[int, tuple[tuple[int, ...], bool]] = {}
        self.open = False
        self.part = False
        self.sequence = 0
        self.results = 0
        self.rests = 0
        self.strikes = 0
        self.tainted = False
        self.mark = -1
        self.stuck = 0
        self.room = MOST_AHEAD
        self.enough = 1
        self.looks = 0
        self.reason = ""
        self.pins = 0
        self.sessions: Lineup | None = None
        self.cause: Mapping[str, Any] | None = None
        self.tenants: dict[int, Actor] | None = None
        self.claims: dict[Actor, None] | None = None
        self.turn = False

    def to(self, event: str) -> None:
        """Take `event`; the only setter of the state."""
        try:
            self.state = WORKER_TRANSITIONS[self.state, event]
        except KeyError:
            raise IllegalTransition(f"worker {self.number}: {event} while {self.state}") from None

    @property
    def staffs(self) -> bool:
        """Whether it is one of its pool's, and not the process that an actor brought with it."""
        return self.actor is None or self.actor.pooled

    def unlist(self) -> None:
        """It is given nothing ahead any more."""
        if self.open:
            assert self.klass is not None
            self.klass.open.remove(self)
            self.open = False

    def __repr__(self) -> str:
        return f"<Worker {self.number} {self.state} inflight={len(self.inflight)}>"
