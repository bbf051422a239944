"""The world's own books on supervision: what died in vain, and what may be started when.

They are kept by the events alone, with the formulas written once more, and say after each event
which pool has failed, which actor is dead, when the runtime is, and what nobody may start yet.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, final

from snakepit.checks import INTERPRETER
from snakepit.policy import actions as do
from snakepit.policy.actors import ALIVE, DEAD, Actor
from snakepit.policy.calls import READY
from snakepit.wire.messages import TASK

from .books import Task
from .starters import GRACE

if TYPE_CHECKING:
    from .process import Worker
    from .world import World

LEAST = 0.05
SLACK = 1e-9


class Spell:
    """Deaths in vain of one thing, since it last came to something."""

    def __init__(self, intensity: int, period: float) -> None:
        self.intensity = intensity
        self.period = period
        self.times: list[float] = []
        self.restarts = 0
        self.not_before = 0.0

    def add(self, now: float, spent: float = 0.0) -> None:
        """One more; nothing may be started before its back-off is over."""
        shift = min(spent, now - self.times[-1]) if self.times else 0.0
        self.times = [time + shift for time in self.times]
        self.times.append(now)
        self.not_before = now + min(self.longest, LEAST * 2.0 ** (len(self.times) - 1))

    def clear(self) -> None:
        """There was progress."""
        self.times.clear()
        self.not_before = 0.0

    @property
    def too_many(self) -> bool:
        """Whether more than the intensity lie within the period before the last."""
        return sum(self.times[-1] - time <= self.period for time in self.times) > self.intensity

    @property
    def longest(self) -> float:
        """The longest back-off."""
        return max(LEAST, self.period / (2 * self.intensity + 2))


@final
class PoolBook(Spell):
    """A pool: how it is, the key of the timer that changes that, and who died last."""

    def __init__(self, intensity: int, period: float) -> None:
        super().__init__(intensity, period)
        self.state = "well"
        self.key = ""
        self.cause: dict[str, Any] = {}
        self.kind = "pool_failed"

    @property
    def rests(self) -> bool:
        """Whether a timer has to end this."""
        return self.state in ("resting", "failed")


@final
class Watch:
    """Keeps the books of one world, and compares."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.pools = {name: PoolBook(*self._limits()) for name, _, _ in world.setting.pools}
        self.actors: dict[int, Spell] = {}
        self.zygotes: dict[str, Spell] = {}
        self.worked: set[str] = set()
        self.trials: set[str] = set()  # interpreters of which one more that ends in vain fails
        self._over = False  # the runtime ends now
        self._home = False  # the zygote at home is to be replaced
        self._doomed: list[tuple[Actor, bool]] = []

    def _limits(self) -> tuple[int, float]:
        return self.world.setting.intensity, self.world.setting.period

    # --- before an event --------------------------------------------------------------------

    def before(self, name: str, args: tuple[Any, ...]) -> None:
        """Take down what the event means."""
        self._doomed = []
        self._over = self._home = False
        if self.world.closed:
            return
        if name == "died":
            self._died(self.world.workers[args[0]], args[1])
        elif name == "result":
            worker = self.world.workers[args[0]]
            if not worker.answered:
                worker.answered = True
                self._served(worker)
        elif name == "tick":
            for book in self.pools.values():
                if book.key == args[0]:
                    book.state = "probing" if book.state == "resting" else "trial"
                    book.key = ""
        elif name == "replace_zygote":
            self._replace(*args)
        elif name == "refuse_zygote":
            self._interpreter_failed(*args)
        elif name == "kill" and not args[1]:
            self._evicted(args[0])

    def pool(self, name: str) -> PoolBook:
        """Return the book of a pool; of those for environments when there is the first need."""
        if name not in self.pools:
            self.pools[name] = PoolBook(*self._limits())
        return self.pools[name]

    def zygote(self, interpreter: str) -> Spell:
        """Return the book of an interpreter's zygotes."""
        return self.zygotes.setdefault(interpreter, Spell(*self._limits()))

    def _replace(self, interpreter: str, cause: dict[str, Any]) -> None:
        spell = self.zygote(interpreter)
        self._home = interpreter == ""
        if interpreter in self.worked:
            spell.clear()
            self.trials.discard(interpreter)
            return
        spell.add(self.world.now)
        if self._home:
            self._over = spell.too_many
        elif spell.too_many or interpreter in self.trials:
            self._interpreter_failed(interpreter, cause)

    def _interpreter_failed(self, interpreter: str, cause: dict[str, Any]) -> None:
        self.trials.add(interpreter)
        self.zygote(interpreter).not_before = 0.0
        for pool in self.world.scheduler.placement.pools.values():
            book = self.pool(pool.name)
            if dict(pool.env).get(INTERPRETER) == interpreter and book.state != "failed":
                book.state, book.key = "failed", ""
                book.kind, book.cause = "interpreter_failed", cause
                book.not_before = self.world.now + book.longest

    def _served(self, worker: Worker) -> None:
        self.worked.add(worker.interpreter)
        book = self.pool(worker.pool)
        if self._staffs(worker) and book.state != "failed":
            book.clear()
            book.state, book.key = "well", ""

    def _died(self, worker: Worker, cause: dict[str, Any]) -> None:
        if worker.started and not worker.answered:
            self._served(worker)
        # An answer without a beginning is that of a call that was cancelled on its way.
        worked = bool(worker.started) or worker.answered
        ordinary = worked or "zygote" in cause or worker.retired
        if self.world.starters.was_late(worker):
            cause = {**cause, "start_timeout": self.world.starters.patience(worker)}
        record = self.world.scheduler.placement.workers[worker.number]
        for actor in [record.actor] if record.actor else [*(record.tenants or {}).values()]:
            self._actor_died(actor, worker, cause)
        if self._staffs(worker) and not ordinary and (worker.sent or not worker.live):
            self._died_in_vain(worker, cause)

    def _staffs(self, worker: Worker) -> bool:
        return self.world.scheduler.placement.workers[worker.number].staffs

    def _died_in_vain(self, worker: Worker, cause: dict[str, Any]) -> None:
        book = self.pool(worker.pool)
        trial, resting = book.state == "trial", book.state == "resting"
        late = cause.get("start_timeout")
        if not resting:
            book.add(self.world.now, late + GRACE if late else 0.0)
        if not self._others(worker) and (trial or book.too_many):
            book.state, book.key, book.cause = "failed", "", cause
            book.kind = "pool_failed"
            book.not_before = self.world.now + book.longest
        elif not resting:
            book.state, book.key = "resting", ""

    def _others(self, worker: Worker) -> list[Worker]:
        return [
            other
            for other in self.world.workers.values()
            if other is not worker
            and not other.actor
            and other.pool == worker.pool
            and not other.retired
            # One that gets no more calls, because it has had enough, is of no use.
            and self.world.scheduler.placement.workers[other.number].room
        ]

    def _evicted(self, identifier: int) -> None:
        """One that lives among others is to begin anew."""
        player = self.world.players.get(identifier)
        actor = player.actor if player is not None else None
        if actor is None or not actor.hosted or actor.worker is None:
            return
        book = self.actors.setdefault(actor.id, Spell(*self._limits()))
        budget = actor.creation.shape.template.max_restarts
        ends = 0 <= budget <= book.restarts or self.world.reserve.has_ended(actor.creation)
        book.restarts += 1
        self._doomed.append((actor, ends))

    def _actor_died(self, actor: Actor, worker: Worker, cause: dict[str, Any]) -> None:
        if actor.state is DEAD:
            return
        book = self.actors.setdefault(actor.id, Spell(*self._limits()))
        unmade = not self.world.players[actor.id].made
        begun = any(frame.task.call is actor.creation for frame in worker.stack)
        lived = not unmade or begun or actor.struck
        in_vain = unmade and not actor.struck and "zygote" not in cause
        if in_vain:
            book.add(self.world.now)
        budget = actor.creation.shape.template.max_restarts
        ends = bool(actor.leaving) or actor.killed or (in_vain and book.too_many)
        ends = ends or (lived and 0 <= budget <= book.restarts)
        ends = ends or self.world.reserve.has_ended(actor.creation)
        book.restarts += lived
        self._doomed.append((actor, ends))

    # --- after it ---------------------------------------------------------------------------

    def after(self, name: str, actions: list[do.Action]) -> None:
        """Compare."""
        world = self.world
        if world.closed:
            return
        closed = world.scheduler.closed
        if self._over:
            said = closed is not None and closed[0] == "runtime_failed"
            world.require(said, "zygotes died in vain too often, and the runtime goes on")
            restarts = len(self.zygote("").times)
            world.require(closed[1]["restarts"] == restarts, f"closed with {closed}")
            world.closed = True
            return
        world.require(closed is None, f"the runtime has ended with {closed}")
        for actor, ends in self._doomed:
            # One that never began is refused like a new one while its pool takes nothing; its group
            # may have ended in this event, or its last handle gone.
            book = self.actors[actor.id]
            refused = actor.pooled and actor.creation.shape.klass.refusal is not None
            over = (refused and not book.restarts) or world.reserve.has_ended(actor.creation)
            over = over or actor.id not in world.scheduler.objects.entries
            as_said = (actor.state is DEAD) == ends or (over and not ends)
            world.require(as_said, f"{actor!r} ends: {ends}")
        self._zygote(name, actions)
        for pool, book in self.pools.items():
            self._pool(pool, book, actions)
        for identifier in [*self.actors]:
            player = world.players[identifier]
            if player.actor.state is DEAD:
                del self.actors[identifier]
            elif player.actor.state is ALIVE:
                self.actors[identifier].clear()

    def _zygote(self, name: str, actions: list[do.Action]) -> None:
        for action in actions:
            if type(action) is do.StartZygote:
                python = action.interpreter
                self.world.require(python not in self.world.zygotes, "a second zygote is started")
                self.world.require(
                    self.world.now >= self.zygote(python).not_before - SLACK,
                    "no back-off of the zygote",
                )
                self.worked.discard(python)
        if name == "replace_zygote" and self._home:
            kinds = {type(action) for action in actions}
            self.world.require(
                kinds & {do.StartZygote, do.Arm}, "no zygote will take the lost one's place"
            )

    def _pool(self, name: str, book: PoolBook, actions: list[do.Action]) -> None:
        for action in actions:
            if type(action) is do.Arm:
                kind, _, rest = action.key.partition(":")
                if kind == "retry" and rest.endswith(f":{name}"):
                    book.key = action.key
        if book.rests:
            self.world.require(book.key, f"{name} is {book.state}, and nothing ends that")
        if book.state == "failed":
            stuck = [t for t in self.world.tasks.values() if self._waits_for(t, name)]
            self.world.require(not stuck, f"{name} has failed, and {stuck} wait")

    @staticmethod
    def _waits_for(task: Task, pool: str) -> bool:
        return (
            task.kind == TASK
            and task.call.state is READY
            and task.call.shape.klass.pool.name == pool
        )

    def spawned(self, worker: Worker) -> None:
        """A process is to be forked; its worker is not among the world's yet."""
        world = self.world
        world.require(worker.interpreter in world.zygotes, f"{worker!r} is forked by nobody")
        if worker.actor:
            actor = world.scheduler.placement.workers[worker.number].actor
            assert actor is not None
            self._in_time(self.actors.get(actor.id), worker)
            return
        book = self.pool(worker.pool)
        world.require(not book.rests, f"{worker!r} is started while {worker.pool} is {book.state}")
        self._in_time(book, worker)
        if book.state != "well":
            others = [other for other in self._others(worker) if not other.live]
            world.require(not others, f"{worker!r} is started beside {others}, as a trial")

    def _in_time(self, book: Spell | None, worker: Worker) -> None:
        self.world.require(
            book is None or self.world.now >= book.not_before - SLACK,
            f"{worker!r} is started before the back-off is over",
        )

    def pool_failed(self, task: Task, kind: str, fields: dict[str, Any]) -> bool:
        """Whether a task may fail like this now."""
        pool = task.call.shape.klass.pool.name
        book = self.pool(pool)
        said = {key: fields.get(key) for key in book.cause}
        return (
            book.state == "failed"
            and book.kind == kind
            and said == book.cause
            and (kind == "interpreter_failed" or fields["restarts"] == len(book.times))
            and fields["pool"] == pool
        )
