"""A cancel that comes while a task makes something: nothing is made for nobody."""

from __future__ import annotations

import signal
from typing import Any

import pytest

import snakepit
from snakepit.actor import ActorHandle
from snakepit.api.refs import ObjectRef
from snakepit.errors import TaskCancelledError
from snakepit.protocol import current
from snakepit.workers.interruption import SIGNAL
from tests.runtime.helpers import PATIENCE, Gate, Tally, core, wait_until

SMALL, LARGE = 10, 1_000_000


@snakepit.remote
def length(value: bytes) -> int:
    return len(value)


@snakepit.remote
class Holder:
    def __init__(self, value: bytes) -> None:
        self.value = value


@snakepit.remote
def struck(kind: str, size: int) -> None:
    """Make something, and be struck when the driver has been told and no reference is there yet."""
    runtime: Any = current()
    interruption = runtime._interruption

    def strike() -> None:
        interruption.want(interruption.stack[-1])
        signal.raise_signal(SIGNAL)

    def referred(owner: Any, identifier: int) -> Any:
        strike()
        return ObjectRef(owner, identifier)

    def handled(owner: Any, identifier: int) -> Any:
        strike()
        return ActorHandle(owner, identifier, Holder._table)

    value = bytes(size)
    if kind == "put":
        runtime.put(value, referred)
    elif kind == "submit":
        runtime.submit(length._definition, (value,), {}, referred)
    else:
        runtime.create(Holder._definition, (value,), {}, Holder._table.description, handled)
    signal.raise_signal(SIGNAL)


@pytest.mark.parametrize("size", [SMALL, LARGE])
@pytest.mark.parametrize("kind", ["put", "submit", "create"])
def test_what_it_made_is_let_go(runtime: Any, kind: str, size: int) -> None:
    entries = core().scheduler.objects.entries
    ref = struck.remote(kind, size)
    with pytest.raises(TaskCancelledError):
        snakepit.get(ref, timeout=PATIENCE)
    del ref
    assert wait_until(lambda: not entries), entries
    assert snakepit.get(length.remote(bytes(3)), timeout=PATIENCE) == 3


@snakepit.remote
def waits_and_cleans_up(gate: Gate, tally: Tally) -> None:
    tally.add()
    try:
        snakepit.get(wait.remote(gate))
    finally:
        signal.raise_signal(SIGNAL)  # It comes again and again until the call has ended.
        tally.add()


@snakepit.remote(num_cpus=0)
def wait(gate: Gate) -> None:
    gate.wait()


def test_what_a_cancelled_wait_leads_to_is_not_struck(
    runtime: Any, gate: Gate, tally: Tally
) -> None:
    ref = waits_and_cleans_up.remote(gate, tally)
    assert wait_until(lambda: tally.count == 1 and core().scheduler.placement.waits == 1)
    snakepit.cancel(ref)
    with pytest.raises(TaskCancelledError):
        snakepit.get(ref, timeout=PATIENCE)
    gate.open()
    assert tally.count == 2
