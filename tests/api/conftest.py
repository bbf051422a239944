"""A runtime in memory that runs calls at once, or when it is told to; the API's only partner."""

from __future__ import annotations

import asyncio
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest

from snakepit import protocol
from snakepit.api.refs import ObjectRef
from snakepit.errors import GetTimeoutError
from snakepit.ids import new_run
from snakepit.protocol import ActorRecord, Definition, GroupRecord

Make = Callable[[Any, int], Any]


class FakeRuntime:
    """Runs calls in the caller's thread; `paused` keeps them until `resume`."""

    def __init__(self, **facts: Any) -> None:
        self.run = new_run()
        self.facts = {"run": self.run, "namespace": "", "worker": 0, "task": None, "actor": None}
        self.facts.update(facts)
        self.paused = False
        self.handles: Counter[int] = Counter()
        self.log: list[tuple[Any, ...]] = []
        self._next = 1
        self._outcomes: dict[int, tuple[bool, Any]] = {}
        self._queue: list[Callable[[], None]] = []
        self._watchers: dict[int, list[Callable[[], None]]] = {}
        self._actors: dict[int, Any] = {}
        self._names: dict[tuple[str, str], ActorRecord] = {}
        self._changed = threading.Condition()

    def _new(self, count: int) -> int:
        first = self._next
        self._next += max(count, 1)
        for identifier in range(first, first + count):
            self.handles[identifier] += 1
        return first

    def _start(self, first: int, returns: int, work: Callable[[], Any]) -> int:
        def run() -> None:
            try:
                value = work()
                values = [value] if returns == 1 else list(value or ())
                outcomes = [(True, item) for item in values]
            except Exception as error:
                outcomes = [(False, error)] * returns
            for place, outcome in enumerate(outcomes[:returns]):
                self._resolve(first + place, outcome)

        self._queue.append(run)
        if not self.paused:
            self.resume()
        return first

    def _resolve(self, identifier: int, outcome: tuple[bool, Any]) -> None:
        with self._changed:
            self._outcomes[identifier] = outcome
            watchers = self._watchers.pop(identifier, [])
            self._changed.notify_all()
        for watcher in watchers:
            watcher()

    def resume(self) -> None:
        self.paused = False
        while self._queue:
            self._queue.pop(0)()

    def _arguments(self, args: Any, kwargs: Any) -> tuple[list[Any], dict[str, Any]]:
        def plain(value: Any) -> Any:
            return self.get_one(value._id, 0) if type(value) is ObjectRef else value

        return [plain(a) for a in args], {k: plain(v) for k, v in kwargs.items()}

    def submit(
        self, definition: Definition, args: Any, kwargs: Any, make: Make, session: str = ""
    ) -> Any:
        self.log.append(("submit", definition, args, kwargs))

        def work() -> Any:
            positional, named = self._arguments(args, kwargs)
            return definition.target(*positional, **named)

        returns = definition.template.returns
        return make(self, self._start(self._new(returns), returns, work))

    def create(
        self, definition: Definition, args: Any, kwargs: Any, methods: Any, make: Make
    ) -> Any:
        self.log.append(("create", definition, args, kwargs))
        actor = self._new(1)
        self._actors[actor] = definition.target(*args, **kwargs)
        template = definition.template
        if template.actor_name:
            key = (template.namespace, template.actor_name)
            self._names[key] = ActorRecord(actor, template.actor_name, methods)
        return make(self, actor)

    def call(self, actor: int, definition: Definition, args: Any, kwargs: Any, make: Make) -> Any:
        self.log.append(("call", definition, args, kwargs))

        def work() -> Any:
            positional, named = self._arguments(args, kwargs)
            method = getattr(self._actors[actor], definition.template.method)
            return method(*positional, **named)

        returns = definition.template.returns
        return make(self, self._start(self._new(returns), returns, work))

    def put(self, value: Any, make: Make) -> Any:
        identifier = self._new(1)
        self._resolve(identifier, (True, value))
        return make(self, identifier)

    def get_one(self, identifier: int, timeout: float | None) -> Any:
        with self._changed:
            if not self._changed.wait_for(lambda: identifier in self._outcomes, timeout):
                raise GetTimeoutError("not there in time")
        good, value = self._outcomes[identifier]
        if not good:
            raise value
        return value

    def get(self, ids: Sequence[int], timeout: float | None) -> list[Any]:
        return [self.get_one(identifier, timeout) for identifier in ids]

    def wait(self, ids: Sequence[int], count: int, timeout: float | None) -> list[int]:
        with self._changed:
            self._changed.wait_for(lambda: sum(i in self._outcomes for i in ids) >= count, timeout)
        return [place for place, each in enumerate(ids) if each in self._outcomes][:count]

    def cancel(self, identifier: int, *, force: bool, recursive: bool) -> None:
        self.log.append(("cancel", identifier, force, recursive))

    def kill(self, actor: int, *, no_restart: bool) -> None:
        self.log.append(("kill", actor, no_restart))

    def find_actor(self, name: str, namespace: str | None) -> ActorRecord:
        record = self._names.get((namespace or "", name))
        if record is None:
            raise ValueError(f"no actor is named {name}")
        self.handles[record.id] += 1
        # As msgpack would give it back.
        return record._replace(methods=_as_lists(record.methods))

    def named_actors(self) -> list[tuple[str, str]]:
        return list(self._names)

    def progress(self, bar: Any, *, late: bool) -> None:
        self.log.append(("progress", bar, late))

    def placement_groups(self) -> list[GroupRecord]:
        return []

    def hold(self, identifier: int) -> None:
        self.handles[identifier] += 1

    def drop(self, identifier: int) -> None:
        self.handles[identifier] -= 1

    def when_done(self, identifier: int, callback: Callable[[], None]) -> None:
        with self._changed:
            if identifier not in self._outcomes:
                self._watchers.setdefault(identifier, []).append(callback)
                return
        callback()

    def await_many(self, ids: Sequence[int]) -> Any:
        loop = asyncio.get_running_loop()
        done = loop.create_future()
        left = set(ids)

        def resolved(identifier: int) -> None:
            left.discard(identifier)
            if not left and not done.done():
                done.set_result(None)

        for identifier in ids:
            self.when_done(
                identifier,
                lambda identifier=identifier: loop.call_soon_threadsafe(resolved, identifier),
            )

        async def values() -> list[Any]:
            await done
            return self.get(ids, 0)

        return values()

    def describe(self) -> dict[str, Any]:
        return dict(self.facts)


class OwnedRuntime(FakeRuntime):
    """As the driver's: it can be shut down."""

    def __init__(self, config: Any = None) -> None:
        super().__init__()
        self.config = config
        self.shutdowns = 0
        self.interruptions = 0

    def shutdown(self) -> None:
        self.shutdowns += 1
        if self.interruptions:
            self.interruptions -= 1
            raise KeyboardInterrupt


def _as_lists(item: Any) -> Any:
    return [_as_lists(part) for part in item] if isinstance(item, (list, tuple)) else item


@pytest.fixture(autouse=True)
def empty_slot() -> Iterator[None]:
    """Each test begins and ends without a runtime."""
    protocol.install(None)
    yield
    protocol.install(None)


@pytest.fixture
def fake() -> FakeRuntime:
    """The current runtime, with `paused`, `resume`, `handles` and `log` to look into."""
    runtime = FakeRuntime()
    protocol.install(runtime)
    return runtime


@pytest.fixture
def make_fake() -> Callable[..., FakeRuntime]:
    """Makes further runtimes; none is installed."""
    return FakeRuntime


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[OwnedRuntime]:
    """The runtimes that `init` starts, in order, in place of the driver's."""
    made: list[OwnedRuntime] = []

    def start(config: Any) -> OwnedRuntime:
        made.append(OwnedRuntime(config))
        return made[-1]

    monkeypatch.setattr("snakepit.api.context._start", start)
    return made
