"""The world's own books on circuit breakers: what has crashed when, and who may run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, final

from snakepit.policy import actions as do
from snakepit.policy.calls import READY, SENT
from snakepit.wire.messages import CANCELLED, TASK

from .books import Task, suspects

if TYPE_CHECKING:
    from .process import Worker
    from .world import World


class Book:
    """One circuit: its limits, how it is, the key of the timer that ends that."""

    def __init__(self, failures: int, window: float, reset_after: float) -> None:
        self.failures = failures
        self.window = window
        self.reset_after = reset_after
        self.state = "closed"
        self.key = ""
        self.times: list[float] = []
        self.cause: dict[str, Any] = {}
        self.until = 0.0
        self.trial: Task | None = None
        self.tried = False  # somebody was, before the present event

    @property
    def on_trial(self) -> bool:
        """Whether a call that was let through has not ended."""
        return self.trial is not None and not self.trial.resolved


@final
class Circuits:
    """Keeps the books of one world, and compares."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.books = {name: Book(*limits) for name, limits in world.setting.circuits.items()}

    def _of(self, task: Task) -> Book | None:
        template = task.call.shape.template
        return self.books.get(template.pool) if template.kind == TASK else None

    # --- before an event --------------------------------------------------------------------

    def before(self, name: str, args: tuple[Any, ...]) -> None:
        """Take down what the event means."""
        for book in self.books.values():
            book.tried = book.on_trial
            if name == "tick" and book.key == args[0]:
                book.state, book.key, book.trial = "half-open", "", None
        if not self.books or self.world.closed:
            return
        if name == "died":
            self._died(self.world.workers[args[0]], args[1])
        elif name == "result":
            task = self.world.workers[args[0]].sent.get(args[1])
            ended = task is not None and args[2] != CANCELLED
            book = self._of(task) if task is not None else None
            if ended and book is not None and book.state == "half-open" and task is book.trial:
                book.state, book.times = "closed", []

    def _died(self, worker: Worker, cause: dict[str, Any]) -> None:
        book = self.books.get(worker.pool.partition("/")[0])
        guilty = [task for task in suspects(worker) if not task.struck]
        if book is None or worker.actor or "zygote" in cause or not guilty:
            return
        now = self.world.now
        if book.state == "closed":
            book.times.append(now)
            recent = [time for time in book.times if now - time <= book.window]
            if len(recent) < book.failures:
                return
        if book.state != "open":
            book.state, book.key, book.times = "open", "", []
            book.cause, book.until = cause, now + book.reset_after

    # --- after it ---------------------------------------------------------------------------

    def after(self, actions: list[do.Action]) -> None:
        """Compare."""
        world = self.world
        if not self.books or world.closed or world.scheduler.closed is not None:
            return
        for action in actions:
            if type(action) is do.Arm and action.key.startswith("circuit:"):
                book = self.books[action.key.partition(":")[2]]
                if book.state == "open":
                    book.key = action.key
                    world.require(action.delay == book.reset_after, f"opens in {action.delay}")
        waiting: dict[int, list[Task]] = {}
        for task in world.tasks.values():
            book = self._of(task)
            if book is not None and task.call.state is READY:
                waiting.setdefault(id(book), []).append(task)
        for action in actions:
            if type(action) is do.Send and action.call.id in world.tasks:
                self._sent(world.tasks[action.call.id])
        for name, book in self.books.items():
            self._compare(name, book, waiting.get(id(book), []))

    def _sent(self, task: Task) -> None:
        book = self._of(task)
        if book is None or book.state == "closed":
            return
        self.world.require(book.state == "half-open", f"{task!r} is sent, its circuit is open")
        other = book.trial
        running = other is not None and other is not task and other.call.state is SENT
        self.world.require(not running, f"{task!r} is tried beside {other!r}")
        book.trial = task

    def _compare(self, name: str, book: Book, waiting: list[Task]) -> None:
        require = self.world.require
        circuit = self.world.scheduler.placement.pools[name].circuit
        assert circuit is not None
        require(circuit.state == book.state, f"{name}'s circuit is {circuit.state}: {book.state}")
        if book.state == "open":
            require(book.key, f"{name}'s circuit is open, and nothing ends that")
            require(not waiting, f"{name}'s circuit is open, and {waiting} wait")
        elif book.state == "half-open" and waiting:
            require(len(waiting) == 1, f"{waiting} are all to be tried in {name}")
            if not book.on_trial:
                book.trial = waiting[0]
            require(book.trial is waiting[0], f"{waiting} wait beside {book.trial!r}")

    # --- how calls end ----------------------------------------------------------------------

    def stops(self, task: Task) -> bool:
        """Whether a call that a worker's death ends may have retries left."""
        book = self._of(task)
        return book is not None and book.state != "closed"

    def refuses(self, task: Task, fields: dict[str, Any]) -> bool:
        """Whether a call may be refused like this now."""
        book = self._of(task)
        if book is None or book.state == "closed":
            return False
        said = {key: fields.get(key) for key in book.cause}
        limits = (fields["failures"], fields["window"], fields["reset_at"])
        tried = book.tried or book.on_trial or self._somebody_waits(book, task)
        return (
            (book.state == "open" or tried)
            and said == book.cause
            and limits == (book.failures, book.window, book.until)
        )

    def _somebody_waits(self, book: Book, task: Task) -> bool:
        return any(
            other is not task and self._of(other) is book and other.call.state in (READY, SENT)
            for other in self.world.tasks.values()
        )
