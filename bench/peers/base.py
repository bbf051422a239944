"""What the harness may ask of a peer; each peer offers what its own API has."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, ClassVar, NamedTuple

from ..tasks import echo
from .programs import Programs

WORKERS = 2


class NotOffered(Exception):
    """The peer has nothing of the kind: no actors, no store. Its text says what is missing."""


class Script(NamedTuple):
    """A program of the peer's user, in three steps, for an interpreter that loaded nothing else."""

    load: str  # imports and definitions
    first: str  # starts two workers and waits for the first result
    fill: str  # goes on until both workers have run something


class Peer:
    """One way to run code in other processes, seen through the few verbs that the rows need.

    An adapter overrides what its peer can do; the rest raises NotOffered, and its rows stay empty.
    """

    name: ClassVar[str]
    distribution: ClassVar[str | None] = None  # on the package index; None: the standard library
    title: ClassVar[str]
    packages: ClassVar[tuple[str, ...]] = ()  # what to compile to bytecode first
    import_line: ClassVar[str | None] = None
    script: ClassVar[Script | None] = None
    # What a run can wait for: rounds, those of heavy rows, tasks queued at once, workers.
    rounds: ClassVar[int] = 100
    heavy_rounds: ClassVar[int] = 1
    most_queued: ClassVar[int] = 10_000
    most_workers: ClassVar[int] = WORKERS

    def start(self, workers: int = WORKERS) -> None:
        """Start workers."""

    def stop(self) -> None:
        """End the workers."""

    def call(self, value: int) -> int:
        """Run a task and wait for its result."""
        raise NotOffered("no tasks")

    def submit_all(self, task: Callable[[Any], Any], arguments: Iterable[Any]) -> Any:
        """Submit a task for each argument; returns what `gather` takes."""
        raise NotOffered("no way to submit without waiting")

    def gather(self, handles: Any) -> list[Any]:
        """Wait for results."""
        raise NotOffered("no way to submit without waiting")

    def burst(self, count: int) -> int:
        """Submit tasks, then gather their results; returns their sum."""
        return sum(self.gather(self.submit_all(echo, range(count))))

    def wait_each(self, handles: Any) -> int:
        """Wait for one after the other, whichever is done first; returns how many there were."""
        raise NotOffered("no way to wait for the first of many")

    def actor(self) -> Any:
        """Start an actor that counts; not waited for."""
        raise NotOffered("no actors")

    def actor_call(self, actor: Any, value: int) -> int:
        """Call an actor and wait for the answer."""
        raise NotOffered("no actors")

    def actor_burst(self, actor: Any, count: int) -> int:
        """Make calls, then gather their results; returns the last."""
        raise NotOffered("no actors")

    def touch_all(self, actors: list[Any]) -> list[int]:
        """Call each actor once and wait for all."""
        raise NotOffered("no actors")

    def kill(self, actor: Any) -> None:
        """End an actor."""
        raise NotOffered("no actors")

    def pool_map(
        self, function: Callable[[int], int], items: Iterable[int], chunk: int | None
    ) -> list[int]:
        """`map` of a Pool in the manner of the standard library, in chunks."""
        raise NotOffered("no Pool")

    def actor_pool_map(self, items: Iterable[int]) -> int:
        """`map` of an ActorPool, a call an item; returns how many results came."""
        raise NotOffered("no ActorPool")

    def placement_groups(self, count: int) -> None:
        """Make groups of one bundle, wait until all are reserved, remove them."""
        raise NotOffered("no placement groups")

    def joblib_backend(self) -> str:
        """The name of the backend by which joblib's loops run here."""
        raise NotOffered("no backend of joblib")

    # The peer's own functions, not wrappers of them: a wrapper's call would weigh in rows that are
    # about one microsecond.
    @property
    def put(self) -> Callable[[Any], Any]:
        """The function that stores a value and returns a reference."""
        raise NotOffered("no object store")

    @property
    def get(self) -> Callable[[Any], Any]:
        """The function that returns the value of a reference."""
        raise NotOffered("no object store")

    @property
    def programs(self) -> Programs:
        """What is written for Ray's API alone, with nested calls and references in values."""
        raise NotOffered("no nested calls, or no references in values")
