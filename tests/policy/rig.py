"""A scheduler with short names for its events, for tests that say what happens step by step."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

from snakepit.ids import DRIVER
from snakepit.policy import actions as do
from snakepit.policy.calls import Call
from snakepit.policy.placement import Pool
from snakepit.policy.resources import UNIT
from snakepit.policy.restart import RestartWindow
from snakepit.policy.scheduler import Scheduler
from snakepit.policy.sizes import RESTS
from snakepit.wire.messages import CREATE, METHOD, OK, TASK

from .setting import template

CPU = (("CPU", UNIT),)
KILLED = {"exit_code": None, "signal": "SIGKILL", "stderr": "", "pid": 1}


class Rig:
    """One scheduler with a pool named main; each event returns the actions that it led to."""

    def __init__(
        self, cpus: float = 2, size: int = 2, limit: int = 4, cores: int = 64,
        intensity: int = 2, period: float = 10.0, slots: int = 1, **resources: float,
    ) -> None:  # fmt: skip
        window = partial(RestartWindow, intensity, period)
        self.pool = Pool("main", size, limit, slots, window())
        self.scheduler = Scheduler({"CPU": cpus, **resources}, [self.pool], cores, window)
        self.now = 0.0
        self.entries = self.scheduler.objects.entries
        self._next = 1

    def take(self) -> list[do.Action]:
        """Take the actions since the last time."""
        actions = list(self.scheduler.actions)
        self.scheduler.actions.clear()
        return actions

    def ids(self, count: int = 1) -> int:
        """Return the first of `count` fresh ids."""
        first, self._next = self._next, self._next + max(1, count)
        return first

    def call(
        self, kind: int = TASK, *, actor: int = 0, deps: Sequence[int] = (),
        refs: Sequence[int] = (), caller: int = DRIVER, parent: int = 0, name: str = "f",
        **fields: Any,
    ) -> Call:  # fmt: skip
        """Make a call; a task needs one CPU unless told otherwise."""
        if kind == TASK:
            fields.setdefault("resources", CPU)
        shape = self.scheduler.shape(template(kind, name, **fields))
        all_refs = (*refs, *deps, *((actor,) if actor else ()))
        where = tuple(enumerate(deps))
        identifier = self.ids(shape.template.returns)
        return Call(identifier, shape, actor, b"", where, all_refs, caller, parent)

    def submit(self, kind: int = TASK, **fields: Any) -> Call:
        """Submit a task or a method call."""
        call = self.call(kind, **fields)
        self.scheduler.submit(call)
        return call

    def create(self, **fields: Any) -> Call:
        """Create an actor."""
        call = self.call(CREATE, name=fields.pop("name", "Actor"), **fields)
        self.scheduler.create(call, {})
        return call

    def method(self, actor: Call, **fields: Any) -> Call:
        """Call a method of an actor."""
        return self.submit(METHOD, actor=actor.id, **fields)

    def prestart(self, count: int) -> None:
        """Have `count` workers start."""
        placement = self.scheduler.placement
        placement.sizes.prestart(placement.pools["main"], count)

    def workers(self, count: int) -> None:
        """Have `count` workers ready."""
        self.prestart(count)
        for action in self.take():
            if type(action) is do.Spawn:
                self.scheduler.hello(action.worker)
        self.take()

    def living(self, **fields: Any) -> tuple[Call, int]:
        """Have an actor that is made; return its creation and the number of its worker."""
        creation = self.create(**fields)
        worker = only(self.take(), do.Spawn).worker
        self.scheduler.hello(worker)
        self.result(creation, values=())
        self.take()
        return creation, worker

    def result(
        self, call: Call, outcome: int = OK, values: Sequence[Any] | None = None,
        contained: Sequence[list[int]] = (), micros: int = 100, kept: Sequence[int] = (),
    ) -> list[do.Action]:  # fmt: skip
        """Have the worker of a call answer."""
        if values is None:
            values = [b"v"] * (call.shape.template.returns if outcome == OK else 1)
        self.scheduler.result(call.worker, call.id, outcome, values, contained, micros, kept)
        return self.take()

    def die(self, worker: int, started: int, **cause: Any) -> list[do.Action]:
        """Have a worker die."""
        self.scheduler.died(worker, {**KILLED, **cause}, started, self.now)
        return self.take()

    def run_out(self, arm: do.Arm) -> list[do.Action]:
        """Let a timer run out."""
        self.now += arm.delay
        self.scheduler.tick(arm.key)
        return self.take()

    def idle(self, arm: do.Arm) -> list[do.Action]:
        """Let the pool of a timer idle for as long as those beyond its size may."""
        actions: list[do.Action] = []
        for _ in range(RESTS + 1):
            actions += self.run_out(arm)
        return actions

    def drop(self, *ids: int) -> list[do.Action]:
        """Have the driver drop handles."""
        self.scheduler.objects.drop(DRIVER, ids)
        return self.take()

    def failure(self, call: Call) -> tuple[str, dict[str, Any]]:
        """Return the failure record that a call ended in."""
        kind, fields = self.entries[call.id].payload
        return kind, fields

    @property
    def free(self) -> float:
        """Free CPUs."""
        return self.scheduler.resources.free["CPU"] / UNIT


def sent(actions: Sequence[do.Action]) -> list[tuple[int, int]]:
    """Return (worker, call id) of what was sent."""
    return [(a.worker, a.call.id) for a in actions if type(a) is do.Send]


def only(actions: Sequence[do.Action], kind: type) -> Any:
    """Return the one action of a kind."""
    found = [action for action in actions if type(action) is kind]
    assert len(found) == 1, actions
    return found[0]


def kinds(actions: Sequence[do.Action]) -> list[str]:
    """Return the names of the actions."""
    return [type(action).__name__ for action in actions]
