"""The world's own books: what is true of calls, actors and processes, whoever decides."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, final

from snakepit.ids import first_id
from snakepit.policy.actors import Actor
from snakepit.policy.calls import Call

if TYPE_CHECKING:
    from .process import Worker
    from .world import World


@final
class Task:
    """What is known of one call, apart from what the scheduler says."""

    __slots__ = (
        "attempts",
        "began_at",
        "begun",
        "call",
        "cancelled",
        "deaths",
        "expired_at",
        "kept",
        "kind",
        "nested",
        "refs",
        "resolved",
        "running",
        "unheard",
        "where",
    )

    def __init__(self, call: Call) -> None:
        self.call = call
        self.refs = call.refs
        self.kept: list[int] = []
        self.kind = call.shape.template.kind
        self.where = 0
        self.nested = False
        self.begun = False
        self.began_at = 0.0
        self.expired_at: float | None = None
        self.running = 0
        self.deaths = 0
        self.attempts = 0
        self.cancelled = False
        self.resolved = False
        self.unheard = False

    @property
    def tries(self) -> int:
        """How often it was tried in vain."""
        return self.deaths + self.attempts

    @property
    def struck(self) -> bool:
        """Whether its worker may be ended because of it: it was cancelled, or ran for too long."""
        return self.cancelled or self.expired_at is not None

    @property
    def used_up(self) -> bool:
        """Whether it has been tried as often as its options allow."""
        return 0 <= self.call.shape.template.max_retries < self.tries

    def __repr__(self) -> str:
        return f"<Task {self.call!r} where={self.where} begun={self.begun}>"


def suspects(worker: Worker) -> list[Task]:
    """Return who may have ended a pool's worker: who was struck, or else who did not wait."""
    struck = [frame.task for frame in worker.stack if frame.task.struck]
    return struck or [f.task for f in worker.stack if f.task.call.id not in worker.blocked]


@final
class Player:
    """What is known of one actor."""

    __slots__ = ("actor", "made", "pinned", "refs", "state")

    def __init__(self, actor: Actor, refs: tuple[int, ...]) -> None:
        self.actor = actor
        self.refs = refs
        self.state = ""
        self.made = False
        self.pinned = False


class Process:
    """A process with handles, each counted."""

    def __init__(self, world: World, number: int) -> None:
        self.world = world
        self.number = number
        self.count: dict[int, int] = {}
        self.next_id = first_id(number)

    def new_ids(self, count: int) -> int:
        """Return the first of `count` fresh ids."""
        first = self.next_id
        self.next_id += count
        return first

    def own(self, ids: Iterable[int]) -> None:
        """Take handles that the scheduler counts by itself."""
        for identifier in ids:
            known = self.count.get(identifier, 0)
            self.count[identifier] = known + 1
            if not known:
                self.world.refer(identifier)
