"""What the harness may ask of a peer; each peer offers what its own API has."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar, NamedTuple

WORKERS = 2


class NotOffered(Exception):
    """The peer has nothing of the kind: no actors, no store."""


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

    def start(self) -> None:
        """Start two workers."""

    def stop(self) -> None:
        """End the workers."""

    def call(self, value: int) -> int:
        """Run a task and wait for its result."""
        raise NotOffered

    def burst(self, count: int) -> int:
        """Submit tasks, then gather their results; returns their sum."""
        raise NotOffered

    def naps(self, count: int) -> Any:
        """Submit tasks of one millisecond; returns what `gather` takes."""
        raise NotOffered

    def gather(self, handles: Any) -> list[Any]:
        """Wait for results."""
        raise NotOffered

    def actor(self) -> Any:
        """Start an actor that counts; not waited for."""
        raise NotOffered

    def actor_call(self, actor: Any, value: int) -> int:
        """Call an actor and wait for the answer."""
        raise NotOffered

    def actor_burst(self, actor: Any, count: int) -> int:
        """Make calls, then gather their results; returns the last."""
        raise NotOffered

    def touch_all(self, actors: list[Any]) -> list[int]:
        """Call each actor once and wait for all."""
        raise NotOffered

    def kill(self, actor: Any) -> None:
        """End an actor."""
        raise NotOffered

    # The peer's own functions, not wrappers of them: a wrapper's call would weigh in rows that are
    # about one microsecond.
    @property
    def put(self) -> Callable[[Any], Any]:
        """The function that stores a value and returns a reference."""
        raise NotOffered

    @property
    def get(self) -> Callable[[Any], Any]:
        """The function that returns the value of a reference."""
        raise NotOffered
