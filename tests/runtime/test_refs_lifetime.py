"""References keep what they name alive exactly as long as someone, anywhere, holds one."""

from __future__ import annotations

import gc
import pickle
import threading
from typing import Any

import numpy as np
import pytest

import snakepit
from snakepit.errors import SnakepitError
from tests.runtime.helpers import PATIENCE, Gate, entries, is_settled, stored_values, wait_until

pytestmark = pytest.mark.usefixtures("runtime")

MiB = 1 << 20


@snakepit.remote
class Shelf:
    """Keeps references that it was given."""

    def __init__(self) -> None:
        self.kept: Any = None

    def keep(self, *nested: Any) -> None:
        self.kept = nested

    def read(self) -> Any:
        return snakepit.get(self.kept[0][0])

    def hand_out(self) -> Any:
        return self.kept[0]

    def forget(self) -> None:
        self.kept = None


@snakepit.remote
def make(size: int) -> Any:
    return [snakepit.put(np.ones(size, np.uint8))]


@snakepit.remote
def size_of(nested: list[Any]) -> int:
    return len(snakepit.get(nested[0]))


def big() -> snakepit.ObjectRef[Any]:
    return snakepit.put(np.zeros(MiB, np.uint8))


def test_a_dropped_value_leaves_the_store_at_once() -> None:
    before = stored_values()
    ref = big()
    assert stored_values() == before + 1
    del ref
    assert wait_until(lambda: not entries())
    assert stored_values() == before


def test_copies_in_one_process_count_as_one_more() -> None:
    import copy

    ref = big()
    twin = copy.copy(ref)
    other = copy.deepcopy([ref])[0]
    assert twin == ref == other and hash(twin) == hash(ref)
    del ref, other
    assert len(snakepit.get(twin)) == MiB


def test_a_pending_call_keeps_its_arguments(gate: Gate) -> None:
    @snakepit.remote
    def late(value: Any, nested: list[Any], wait: Any) -> tuple[int, int]:
        return len(value), len(snakepit.get(nested[0]))

    @snakepit.remote
    def hold() -> None:
        gate.wait()

    result = late.remote(big(), [big()], hold.remote())
    gc.collect()
    assert len(entries()) >= 3
    gate.open()
    assert snakepit.get(result, timeout=PATIENCE) == (MiB, MiB)
    del result
    assert wait_until(is_settled)


def test_an_actor_keeps_what_it_stored_and_lets_go() -> None:
    shelf = Shelf.remote()
    ref = big()
    snakepit.get(shelf.keep.remote([ref]))
    identifier = ref._id
    del ref
    gc.collect()
    for _ in range(3):
        assert len(snakepit.get(shelf.read.remote())) == MiB
    assert identifier in entries()
    snakepit.get(shelf.forget.remote())
    assert wait_until(lambda: identifier not in entries())


def test_an_actor_hands_it_on_after_everybody_else_forgot() -> None:
    shelf, other = Shelf.remote(), Shelf.remote()
    snakepit.get(shelf.keep.remote([big()]))
    moved = snakepit.get(shelf.hand_out.remote())
    snakepit.get([other.keep.remote(moved), shelf.forget.remote()])
    del moved, shelf
    gc.collect()
    assert len(snakepit.get(other.read.remote())) == MiB


def test_what_an_actor_held_is_free_when_it_dies() -> None:
    shelf = Shelf.remote()
    snakepit.get(shelf.keep.remote([big()]))
    snakepit.kill(shelf)
    del shelf
    assert wait_until(is_settled)
    assert stored_values() == 0


def test_references_made_in_a_task_outlive_it() -> None:
    nested = snakepit.get(make.remote(MiB))
    gc.collect()
    assert snakepit.get(nested[0]).sum() == MiB


def test_references_returned_and_passed_on_unopened() -> None:
    # The outer value alone keeps the inner one, from process to process.
    assert snakepit.get(size_of.remote(make.remote(MiB)), timeout=PATIENCE) == MiB
    outer = make.remote(MiB)
    snakepit.wait([outer])
    gc.collect()
    inner = snakepit.get(outer)
    del outer
    assert len(snakepit.get(inner[0])) == MiB


def test_a_stored_container_keeps_what_it_contains() -> None:
    outer = snakepit.put({"deep": [snakepit.put([big()])]})
    gc.collect()
    inner = snakepit.get(snakepit.get(outer)["deep"][0])[0]
    assert len(snakepit.get(inner)) == MiB
    del outer
    assert len(snakepit.get(inner)) == MiB


def test_a_reference_can_only_be_pickled_on_its_way() -> None:
    ref = snakepit.put(1)
    with pytest.raises((SnakepitError, TypeError, pickle.PicklingError)):
        pickle.dumps(ref)


def test_many_references_through_many_hands() -> None:
    @snakepit.remote
    def pass_on(nested: list[Any], left: int) -> Any:
        return pass_on.remote(nested, left - 1) if left else nested

    refs = [snakepit.put(number) for number in range(50)]
    found: Any = pass_on.remote(refs, 5)
    del refs
    while isinstance(found, snakepit.ObjectRef):
        found = snakepit.get(found, timeout=PATIENCE)
    assert snakepit.get(found) == list(range(50))


def test_a_reference_thrown_away_by_a_task_ends() -> None:
    @snakepit.remote
    def waste() -> int:
        for _ in range(20):
            snakepit.put(np.zeros(MiB, np.uint8))
        refs = [size_of.remote([snakepit.put(b"x")]) for _ in range(5)]
        return sum(snakepit.get(refs))

    assert snakepit.get(waste.remote(), timeout=PATIENCE) == 5
    assert wait_until(is_settled)
    assert stored_values() == 0


def test_what_a_task_drops_while_one_of_its_threads_waits_goes_at_once(gate: Gate) -> None:
    @snakepit.remote(num_cpus=0)
    def wait(gate: Gate) -> None:
        gate.wait()

    @snakepit.remote(num_cpus=0)
    def drop(gate: Gate, dropped: Gate) -> None:
        refs = [wait.remote(gate)]
        thread = threading.Thread(target=snakepit.get, args=(refs[0],))
        thread.start()
        refs.append(snakepit.put(np.zeros(MiB, np.uint8)))
        refs.clear()
        dropped.open()
        thread.join()

    dropped = Gate(gate.path + "-dropped")
    result = drop.remote(gate, dropped)
    dropped.wait()
    assert wait_until(lambda: len(entries()) == 2), "the two calls"
    gate.open()
    snakepit.get(result, timeout=PATIENCE)


def test_a_reference_in_an_exception_lives_as_long_as_it() -> None:
    class Carrying(Exception):
        def __init__(self, ref: Any) -> None:
            super().__init__("carrying")
            self.ref = ref

    @snakepit.remote
    def raise_it() -> None:
        raise Carrying(snakepit.put(7))

    result = raise_it.remote()
    with pytest.raises(Carrying) as info:
        snakepit.get(result)
    assert snakepit.get(info.value.ref) == 7
