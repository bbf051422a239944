"""Pools of workers, the table of their states, and the classes of calls that share their queues.

    RUNNING --lost--> RESTING --retry--> PROBING --lost--> RESTING     (served: RUNNING)
                         +------fail------> FAILED --retry--> TRIAL --fail--> FAILED

A pool runs until one of its workers dies in vain (see `supervision`). It rests for the back-off,
then starts one worker at a time. When too many have died it has failed and refuses calls; after the
cool-down it takes them again, and one worker more to die fails it at once. A worker that has served
heals it.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any, Final, final

from .calls import READY, Call, IllegalTransition
from .lifespans import UNLIMITED, Lifespan, Turnover
from .lines import Line, Tally
from .resources import Needs
from .restart import RestartWindow
from .workers import Worker

if TYPE_CHECKING:
    from .actors import Actor
    from .budget import Budget
    from .circuit import Circuit
    from .taint import Taint

RUNNING, RESTING, PROBING, FAILED, TRIAL = "running", "resting", "probing", "failed", "trial"

POOL_TRANSITIONS: Final[dict[tuple[str, str], str]] = {
    (RUNNING, "lost"): RESTING,
    (PROBING, "lost"): RESTING,
    (TRIAL, "lost"): RESTING,
    (RESTING, "retry"): PROBING,
    (FAILED, "retry"): TRIAL,
    (RUNNING, "fail"): FAILED,
    (RESTING, "fail"): FAILED,
    (PROBING, "fail"): FAILED,
    (TRIAL, "fail"): FAILED,
    (RUNNING, "served"): RUNNING,
    (RESTING, "served"): RUNNING,
    (PROBING, "served"): RUNNING,
    (TRIAL, "served"): RUNNING,
}

ENOUGH: Final = 1 << 16
"""No limit: workers that have GPUs are as many as the GPUs allow."""

IDLE_FOR: Final = 1.0
"""Seconds that a worker beyond its pool's size may idle."""

Refusal = tuple[str, dict[str, Any]]
"""Kind and fields of the failure record that a call ends in."""


@final
class Klass:
    """Calls that differ only in what they do: one queue for all of them.

    `open` holds the workers that may have room for more of its calls, least recently used first.
    `refusal` says why none of its calls can run, if so: never, or while the pool has failed.
    `gpus` is how much of GPUs a process for them has, in 1/`UNIT`; `needs` has all else. Actors are
    `pooled` if they live in the pool's workers, and not each in a process of its own. A call of
    it `uses` what it needs while it runs, but a constructor, whose actor holds that. All that is in
    the queue was `searched` for calls that are waited for, at that edition of the waits (`Growth`).
    """

    __slots__ = (
        "creates", "gpus", "needs", "open", "pool", "pooled", "priority", "queue", "refusal",
        "searched", "uses",
    )  # fmt: skip

    def __init__(
        self, pool: Pool, needs: Needs, creates: bool, refusal: Refusal | None, gpus: int = 0,
        pooled: bool = False, priority: int = 0,
    ) -> None:  # fmt: skip
        self.pool = pool
        self.pooled = pooled
        self.uses: Needs = () if creates else needs
        self.needs = needs
        self.gpus = gpus
        self.creates = creates
        self.priority = priority
        self.refusal = refusal
        self.queue: deque[Call] = deque()
        self.searched = -1
        self.open: deque[Worker] = deque()

    @property
    def works(self) -> bool:
        """Whether its calls are for the pool's workers."""
        return self.pooled or not self.creates

    def refuses(self, call: Call) -> bool:
        """Tell whether it is refused, and this call of it too: a circuit may let it through.

        A gate, which has no tally, is not what a circuit is about; no actor is made as a trial.
        """
        refusal, circuit = self.refusal, self.pool.circuit
        if refusal is None or circuit is None or refusal is not circuit.refusal:
            return refusal is not None
        return self.creates or (call.shape.tally is not None and not circuit.passes(call))

    def pop(self) -> Call | None:
        """Take the next call of the queue, if any there is still to be run."""
        while self.queue:
            call = self.queue.popleft()
            if call.state is READY:
                return call
        return None

    def needs_any(self, names: set[str]) -> bool:
        """Tell whether its calls use any of these resources."""
        return any(name in names for name, _ in self.needs)

    def competes(self, other: Klass, held: dict[str, int], free: dict[str, int]) -> bool:
        """Tell whether all that its next call lacks is a worker of another class, or what it holds.

        One of less priority lacks what it is to lack.
        """
        if self.priority < other.priority:
            return False
        shared = self.pool is other.pool and (self.pooled or not self.creates)
        for name, amount in self.needs:
            if name in held:
                shared = True
            elif free.get(name, 0) < amount:
                return False
        return shared


@final
class Pool:
    """Workers of one kind. `size` of them are kept when idle; there are never over `limit`.

    A *declared* one has `size` workers from the start, replaced when they die, and a `line` before
    it; what runs there takes no CPU unless it says so, for the workers are the limit. `idle_for` is
    how many seconds one beyond `size` may idle.

    Each of its workers runs `slots` calls at once; those in `part` have calls and may have a free
    slot, least recently used first (see `slots`).

    Of these a worker is given calls in `width`; in the others run those that they wait for. An
    `eager` pool starts another worker for each call that is put beside another.

    At most `batch` of its workers start at one time, and each must be ready in `patience` seconds,
    unless that is 0.

    `turnover` says which workers are to be replaced; those that are, and stay until others are
    ready, are beyond the limit.

    `held` is how many slots are held back, since their workers broke (see `taint`). `actors` are
    those that live in its workers or are to; one with a worker to itself has one of its places.

    `over` says that it was made smaller, and may have more workers than it should. `shrinking` says
    that a timer will end the idle ones that are too many. `window` has those that died in vain;
    `turn` numbers the changes of state, so that a timer set before the last is known. `failure` is
    why it refuses calls, since it has failed or since its `circuit` is open. A pool's
    workers begin with the environment `env`; those of a variant of the pool `base` with what its
    calls have `asked` for too, and those that have `gpus` take one call each: what a process keeps
    on a GPU is free only when it has ended.
    """

    __slots__ = (
        "actors",
        "asked",
        "base",
        "batch",
        "budget",
        "circuit",
        "eager",
        "env",
        "failure",
        "gpus",
        "held",
        "idle",
        "idle_for",
        "limit",
        "line",
        "name",
        "over",
        "part",
        "patience",
        "shrinking",
        "size",
        "slots",
        "starting",
        "state",
        "taint",
        "tally",
        "turn",
        "turnover",
        "width",
        "window",
        "workers",
    )

    def __init__(
        self,
        name: str,
        size: int,
        limit: int,
        slots: int,
        window: RestartWindow,
        line: Line | None = None,
        idle_for: float = IDLE_FOR,
        lifespan: Lifespan = UNLIMITED,
    ) -> None:
        self.name = name
        self.line = line
        self.tally = Tally()
        self.turnover = Turnover(lifespan)
        self.idle_for = idle_for
        self.size = size
        self.limit = limit
        self.slots = slots
        self.width = slots
        self.eager = False
        self.workers: dict[int, Worker] = {}
        self.idle: dict[int, Worker] = {}
        self.part: deque[Worker] = deque()
        self.starting = 0
        self.shrinking = False
        self.over = False
        self.state = RUNNING
        self.turn = 0
        self.window = window
        self.failure: Refusal | None = None
        self.circuit: Circuit | None = None
        self.budget: Budget | None = None
        self.taint: Taint | None = None
        self.held = 0
        self.actors: dict[int, Actor] = {}
        self.batch = ENOUGH
        self.patience = 0.0
        self.base = ""
        self.env: tuple[tuple[str, str], ...] = ()
        self.asked: tuple[tuple[str, str], ...] = ()
        self.gpus = 0

    def variant(self, name: str, env: tuple[tuple[str, str], ...], gpus: int) -> Pool:
        """Return a pool whose workers begin with `env` too and `gpus`, and do not idle for long."""
        limit = ENOUGH if gpus else self.limit
        slots = 1 if gpus else self.slots
        made = Pool(name, 0, limit, slots, self.window.fresh(), self.line)
        made.tally = self.tally
        made.turnover.lifespan = self.turnover.lifespan
        made.budget = self.budget
        made.width, made.eager = min(slots, self.width), self.eager
        made.batch, made.patience = self.batch, self.patience
        made.taint = self.taint.fresh() if self.taint is not None else None
        made.circuit = self.circuit
        made.failure = self.circuit.refusal if self.circuit is not None else None
        made.base, made.asked, made.gpus = self.name, env, gpus
        made.env = tuple(sorted((*self.env, *env)))
        return made

    def to(self, event: str) -> None:
        """Take `event`; the only setter of the state."""
        try:
            self.state = POOL_TRANSITIONS[self.state, event]
        except KeyError:
            raise IllegalTransition(f"pool {self.name}: {event} while {self.state}") from None
        self.turn += 1

    @property
    def full(self) -> bool:
        """Whether it may not start another worker now."""
        state = self.state
        if state is not RUNNING and (self.starting or state is RESTING or state is FAILED):
            return True
        if self.starting >= self.batch:
            return True
        return self.staffed + self.held >= self.limit

    @property
    def staffed(self) -> int:
        """How many workers it has, without those that stay until others take their places."""
        return len(self.workers) - len(self.turnover.replaced)

    def keeps(self, worker: Worker) -> bool:
        """Tell whether a worker is one of those, which has a slot of the pool."""
        return worker.number in self.workers and worker.number not in self.turnover.replaced

    @property
    def bereft(self) -> bool:
        """Whether it has no worker that takes calls, nor one that starts."""
        return not any(worker.room and worker.actor is None for worker in self.workers.values())

    @property
    def spares(self) -> bool:
        """Whether as many as it always has are ready without one of those."""
        kept = self.size if self.declared else 0
        return len(self.workers) - self.starting > kept

    @property
    def root(self) -> str:
        """The name of the pool that it is a variant of, or its own."""
        return self.base or self.name

    @property
    def declared(self) -> bool:
        """Whether it was asked for, with a size of its own."""
        return self.line is not None

    @property
    def lacks(self) -> bool:
        """Whether it is to start another worker, whatever waits."""
        if self.line is None or self.staffed + self.held >= self.size:
            return False
        return not self.full

    @property
    def whole(self) -> bool:
        """Whether all workers that were asked for are ready: none, if the pool was not declared."""
        return not self.declared or len(self.workers) - self.starting >= self.size

    @property
    def excess(self) -> int:
        """How many more workers it has than it keeps when they are idle.

        Those in whose places others are do not count while sessions keep them: they go with those.
        """
        kept = sum(worker.pins > 0 for worker in self.turnover.replaced.values())
        return len(self.workers) - kept - self.starting - self.size

    def __repr__(self) -> str:
        return f"<Pool {self.name} {self.state} workers={len(self.workers)}>"
