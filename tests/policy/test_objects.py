from __future__ import annotations

import pytest

from snakepit.ids import DRIVER
from snakepit.policy.objects import Entry, ObjectTable
from snakepit.wire.messages import OK

from .rig import Rig

WORKER = 3


class Table(ObjectTable):
    def __init__(self) -> None:
        self.gone: list[int] = []
        super().__init__(lambda entry: self.gone.append(entry.id))
        self.held[WORKER] = set()

    def stored(self, identifier: int, *refs: int, holder: int | None = DRIVER) -> Entry:
        entry = self.add(identifier, None, holder)
        self.settle(entry, OK, b"v", refs)
        return entry


@pytest.fixture
def table() -> Table:
    return Table()


def test_the_driver_counts_each_handle(table: Table) -> None:
    table.stored(1)
    table.hold(DRIVER, (1, 1))
    table.drop(DRIVER, (1,))
    table.drop(DRIVER, (1,))
    assert table.gone == []
    table.drop(DRIVER, (1,))
    assert table.gone == [1]
    assert table.entries == {}


def test_a_worker_holds_an_object_once(table: Table) -> None:
    table.stored(1)
    table.hold(WORKER, (1, 1))
    table.hold(WORKER, (1,))
    table.drop(DRIVER, (1,))
    assert table.gone == []
    table.drop(WORKER, (1,))
    assert table.gone == [1]
    table.drop(WORKER, (1,))


def test_a_new_object_may_be_held_by_its_worker_or_by_nobody(table: Table) -> None:
    mine = table.stored(1, holder=WORKER)
    assert (mine.local, mine.holders) == (0, 1)
    assert table.held[WORKER] == {1}
    nobodys = table.stored(2, holder=None)
    table.collect(nobodys)
    assert table.gone == [2]


def test_values_in_the_store_are_found_by_their_segment() -> None:
    rig = Rig()
    rig.scheduler.put(1, [1, 5, 0, [100]], (), DRIVER)
    rig.scheduler.put(2, [2, 5, 128, [100]], (1,), DRIVER)
    rig.scheduler.put(3, [3, 6, 0, [100]], (), DRIVER)
    rig.scheduler.put(4, [b"inline", b"parts"], (), DRIVER)
    extents = rig.scheduler.objects.extents
    assert {segment: list(found) for segment, found in extents.items()} == {5: [1, 2], 6: [3]}
    rig.drop(3, 4)
    assert list(extents) == [5]
    # The second one's value mentions the first.
    rig.drop(1)
    assert list(extents[5]) == [1, 2]
    rig.drop(2)
    assert extents == {}


def test_a_pin_keeps(table: Table) -> None:
    table.stored(1)
    table.pin((1, 1))
    table.drop(DRIVER, (1,))
    table.unpin((1,))
    assert table.gone == []
    table.unpin((1,))
    assert table.gone == [1]


def test_a_value_keeps_what_it_mentions(table: Table) -> None:
    table.stored(1)
    table.stored(2, 1)
    table.stored(3, 2, 1)
    table.drop(DRIVER, (1, 2))
    assert table.gone == []
    table.drop(DRIVER, (3,))
    assert sorted(table.gone) == [1, 2, 3]


def test_a_long_chain_goes_without_recursion(table: Table) -> None:
    table.stored(1)
    for identifier in range(2, 20_000):
        table.stored(identifier, identifier - 1)
        table.drop(DRIVER, (identifier - 1,))
    assert table.gone == []
    table.drop(DRIVER, (19_999,))
    assert len(table.gone) == 19_999
    assert table.entries == {}


def test_a_dead_process_holds_nothing(table: Table) -> None:
    table.stored(1, holder=WORKER)
    table.stored(2)
    table.hold(WORKER, (2,))
    table.forget_process(WORKER)
    assert table.gone == [1]
    assert WORKER not in table.held
    table.forget_process(WORKER)


def test_unknown_ids_are_ignored(table: Table) -> None:
    table.hold(DRIVER, (9,))
    table.hold(WORKER, (9,))
    table.drop(DRIVER, (9,))
    table.drop(WORKER, (9,))
    table.pin((9,))
    table.unpin((9,))
    assert table.gone == []
