"""Calls: their records, and the table of their states.

    WAITING --ready--> READY --send--> SENT --finish--> DONE
       |                                ^ |
       +-------------send---------------+ +--back--> READY or --wait--> WAITING

A call waits for its arguments (or for its turn in an actor's lane), is ready while it is queued for
a worker, and is sent while a worker has it. It is done exactly once: any state can finish but DONE,
for whatever it resolves to, the pair (DONE, finish) is not in the table.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, final

from ..wire.messages import TASK, Payload, Template, Where

if TYPE_CHECKING:
    from .session import Session

WAITING, READY, SENT, DONE = "waiting", "ready", "sent", "done"

CALL_TRANSITIONS: Final[dict[tuple[str, str], str]] = {
    (WAITING, "ready"): READY,
    (WAITING, "send"): SENT,
    (READY, "send"): SENT,
    (SENT, "back"): READY,
    (SENT, "wait"): WAITING,
    (WAITING, "finish"): DONE,
    (READY, "finish"): DONE,
    (SENT, "finish"): DONE,
}


class IllegalTransition(Exception):
    """A state machine met an event that its table lacks: a bug of the scheduler."""


@final
class Shape:
    """A template with what the scheduler learns about its calls; one for each template.

    `line` and `tally` are those of its pool, for tasks.
    `micros` is the predicted run time, None until a first call has ended. `entries` is how many
    objects a call makes: one that returns nothing has an entry too, on which nobody has a handle.
    """

    __slots__ = ("entries", "klass", "line", "micros", "number", "returns", "tally", "template")

    def __init__(self, number: int, template: Template, klass: Any) -> None:
        self.number = number
        self.template = template
        self.klass = klass
        task = template.kind == TASK
        self.line = klass.pool.line if task else None
        self.tally = klass.pool.tally if task else None
        self.returns = template.returns
        self.entries = max(1, template.returns)
        self.micros: float | None = None

    def learn(self, micros: int) -> None:
        """Take one measured run time; rise fast, fall slowly: a wrong guess delays others."""
        known = self.micros
        if known is None:
            self.micros = float(micros)
        else:
            self.micros = known + (micros - known) * (0.5 if micros > known else 0.1)


AFTER: Final = -1
"""Stands first in `deps`, for an object that is no argument: the call only waits for it."""


@final
class Call:
    """One call. `deps` fill top-level arguments; `refs` are all ids that it keeps alive.

    `deaths` counts the workers that it may have killed, `attempts` its other tries in vain: an
    exception that is retried, or the end of a worker that others are to blame for. `hastened` says
    that another call waits for it: it goes to the head of its queue; `expired`, that it has been
    interrupted since its time is over. `lined` is how often the line before its pool had turned
    when it came there first; less than 0, if it has not. Most are of no `session`; in one, its
    `turn` is before those of the calls that became ready later.
    """

    __slots__ = (
        "actor",
        "args",
        "attempts",
        "caller",
        "cancelled",
        "deaths",
        "deps",
        "expired",
        "hastened",
        "id",
        "lined",
        "missing",
        "nested",
        "parent",
        "refs",
        "sequence",
        "session",
        "shape",
        "state",
        "turn",
        "worker",
    )

    def __init__(
        self,
        identifier: int,
        shape: Shape,
        actor: int,
        args: Payload,
        deps: tuple[tuple[Where, int], ...],
        refs: tuple[int, ...],
        caller: int,
        parent: int = 0,
    ) -> None:
        self.id = identifier
        self.shape = shape
        self.actor = actor
        self.args = args
        self.deps = deps
        self.refs = refs
        self.caller = caller
        self.parent = parent
        self.state = WAITING
        self.worker = 0
        self.sequence = 0
        self.missing = 0
        self.deaths = 0
        self.attempts = 0
        self.nested = False
        self.hastened = False
        self.cancelled = False
        self.expired = False
        self.lined = -1
        self.session: Session | None = None
        self.turn = 0

    @property
    def name(self) -> str:
        """How people know it."""
        return self.shape.template.name

    @property
    def returns(self) -> range:
        """The ids of its entries."""
        return range(self.id, self.id + self.shape.entries)

    @property
    def tries(self) -> int:
        """How often it has been tried in vain; for its retries all reasons count alike."""
        return self.deaths + self.attempts

    @property
    def patient(self) -> bool:
        """Whether it waits for its worker in a session whose calls do not, as it had to before."""
        return self.tries > 0 or (self.deps != () and self.deps[0][0] == AFTER)

    def died(self, guilty: bool) -> None:
        """Count one more worker that ended while this call ran in it."""
        if guilty:
            self.deaths += 1
        else:
            self.attempts += 1

    def to(self, event: str) -> None:
        """Take `event`; the only setter of the state.

        Raises:
            IllegalTransition: the table lacks it.
        """
        try:
            self.state = CALL_TRANSITIONS[self.state, event]
        except KeyError:
            raise IllegalTransition(f"call {self.id:x}: {event} while {self.state}") from None

    def __repr__(self) -> str:
        return f"<Call {self.id:x} {self.name} {self.state} worker={self.worker}>"
