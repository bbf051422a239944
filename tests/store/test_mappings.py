from __future__ import annotations

import gc
import mmap
import os
import pickle
import threading
from collections import deque

import numpy as np
import pytest

from snakepit.store import Arena, Mappings, reopen_read_only
from snakepit.store.platform import memory_file
from tests.store.helpers import MiB, a_ledger, an_arena, count_fds, ended_well, fork, mapped


def nothing() -> None:
    pass


def test_the_end_of_the_last_view_is_told_exactly_once() -> None:
    with an_arena() as (arena, _, mappings):
        stored = arena.write([b"one", b"", b"three"])
        ended: deque[str] = deque()
        views = mappings.view(
            3, stored.offset, stored.sizes, nothing, lambda: ended.append("a"), 11
        )
        other = mappings.view(
            3, stored.offset, stored.sizes, nothing, lambda: ended.append("b"), 12
        )
        assert sorted(mappings.leased()) == [11, 12]
        array = np.frombuffer(views[2], np.uint8)[1:]
        empty = views[1]
        del views
        assert not ended, "an array and an empty view still hold it"
        del array
        assert not ended
        del empty
        assert list(ended) == ["a"] and mappings.leased() == [12]
        other.clear()
        assert list(ended) == ["a", "b"] and mappings.leased() == []


def test_no_part_ends_at_once() -> None:
    with an_arena() as (arena, _, mappings):
        stored = arena.write([])
        ended: list[int] = []
        assert mappings.view(3, stored.offset, (), nothing, lambda: ended.append(1), 0) == []
        assert ended == [1] and mappings.leased() == []


def test_views_are_plain_read_only_bytes() -> None:
    with an_arena() as (arena, _, mappings):
        stored = arena.write([b"abc"])
        [view] = mappings.view(3, stored.offset, stored.sizes, nothing, nothing, 0)
        assert (view.format, view.itemsize, view.ndim, view.readonly) == ("B", 1, 1, True)
        with pytest.raises(TypeError):
            view[0] = 1
        array = np.frombuffer(view, np.uint8)
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 1
        with pytest.raises(ValueError):
            array.flags.writeable = True
        assert view == b"abc" and view.cast("b").tolist() == [97, 98, 99]


def test_a_reader_cannot_get_at_the_memory_for_writing() -> None:
    with an_arena() as (arena, _, _):
        fd = reopen_read_only(arena.fd)
        with pytest.raises(OSError):
            os.pwrite(fd, b"x", 0)
        with pytest.raises(PermissionError):
            mmap.mmap(fd, 4096)
        assert not os.get_inheritable(fd)
        os.close(fd)


def test_pickled_arrays_stay_intact_while_the_owner_writes_on() -> None:
    with an_arena(limit=32 * MiB) as (arena, _, mappings):
        freed: deque[int] = deque()
        original = {"grid": np.arange(50_000.0).reshape(100, 500), "word": "zero-copy"}
        buffers: list[pickle.PickleBuffer] = []
        stream = pickle.dumps(original, protocol=5, buffer_callback=buffers.append)
        stored = arena.write([stream, *buffers])

        def fetch() -> dict[str, np.ndarray]:
            views = mappings.view(
                3, stored.offset, stored.sizes, nothing, lambda: freed.append(stored.offset), 1
            )
            value: dict[str, np.ndarray] = pickle.loads(views[0], buffers=views[1:])
            return value

        value = fetch()
        column = value["grid"][:, 3]
        del value
        for byte in range(40):
            while freed:
                arena.release(freed.popleft())
            arena.release(arena.write([bytes([byte]) * 400_000]).offset)
        assert not freed and (column == original["grid"][:, 3]).all()  # type: ignore[index]
        del column
        assert list(freed) == [stored.offset]
        arena.release(freed.popleft())
        assert arena.live == 0


def test_views_outlive_discard_and_the_table() -> None:
    before = count_fds()
    with a_ledger() as ledger:
        arena = Arena(51, 64 * MiB, ledger, 1)
        stored = arena.write([b"still here"])
        mappings = Mappings()
        mappings.add(51, reopen_read_only(arena.fd), arena.size)
        assert 51 in mappings and len(mappings) == 1
        [view] = mappings.view(51, stored.offset, stored.sizes, nothing, nothing, 5)
        arena.close()
        assert mapped("snakepit-51") == 1
        mappings.discard(51)
        mappings.discard(51)
        assert 51 not in mappings and mappings.leased() == [5]
        with pytest.raises(KeyError):
            mappings.view(51, stored.offset, stored.sizes, nothing, nothing, 5)
        assert bytes(view) == b"still here"
        del mappings
        gc.collect()
        assert bytes(view) == b"still here" and mapped("snakepit-51") == 1
        del view
        assert mapped("snakepit-51") == 0, "unmapped without waiting for the cycle collector"
    assert count_fds() == before


def test_a_mapping_without_views_goes_with_the_table_and_keeps_no_descriptor() -> None:
    before = count_fds()
    mappings = Mappings()
    for number in (61, 62):
        mappings.add(number, memory_file(f"snakepit-{number}", MiB), MiB)
    assert count_fds() == before
    assert mapped("snakepit-61") == mapped("snakepit-62") == 1
    mappings.discard(61)
    assert mapped("snakepit-61") == 0
    mappings.close()
    assert mapped("snakepit-62") == 0


def test_add_closes_the_descriptor_also_when_it_fails() -> None:
    before = count_fds()
    mappings = Mappings()
    mappings.add(1, memory_file("snakepit-t", MiB), MiB)
    with pytest.raises(ValueError, match="mapped already"):
        mappings.add(1, memory_file("snakepit-t", MiB), MiB)
    with pytest.raises(ValueError, match="cannot map"):
        mappings.add(2, memory_file("snakepit-t", MiB), 2 * MiB)
    with pytest.raises(OSError, match="cannot map"):
        mappings.add(2, memory_file("snakepit-t", 1 << 62), 1 << 62)
    assert count_fds() == before and len(mappings) == 1


@pytest.mark.parametrize(
    ("offset", "sizes"),
    [(-64, (1,)), (MiB, (1,)), (0, (MiB + 1,)), (64, (10, -64)), (MiB - 64, (1, 1))],
)
def test_parts_outside_the_segment_are_refused(offset: int, sizes: tuple[int, ...]) -> None:
    mappings = Mappings()
    mappings.add(1, memory_file("snakepit-t", MiB), MiB)
    ended: list[int] = []
    with pytest.raises(ValueError, match="no parts"):
        mappings.view(1, offset, sizes, nothing, lambda: ended.append(1), 0)
    assert not ended and not mappings.leased()


def test_views_made_and_dropped_in_many_threads_are_each_told_once() -> None:
    with an_arena() as (arena, _, mappings):
        stored = arena.write([b"shared", b"data"])
        ended: deque[int] = deque()
        handed: deque[list[memoryview]] = deque()

        def work(seed: int) -> None:
            for turn in range(500):
                token = seed * 1000 + turn
                handed.append(
                    mappings.view(
                        3,
                        stored.offset,
                        stored.sizes,
                        nothing,
                        lambda token=token: ended.append(token),
                        token,
                    )
                )
                if turn % 3:
                    handed.popleft()  # most often one that another thread made
                mappings.leased()

        threads = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(mappings.leased()) == len(handed)
        assert set(mappings.leased()).isdisjoint(ended)
        handed.clear()
        assert sorted(ended) == [seed * 1000 + turn for seed in range(4) for turn in range(500)]


def test_views_in_a_cycle_are_told_by_the_collector() -> None:
    with an_arena() as (arena, _, mappings):
        stored = arena.write([b"x"])
        ended: list[int] = []
        cycle: list[object] = [
            mappings.view(3, stored.offset, (1,), nothing, lambda: ended.append(1), 0)
        ]
        cycle.append(cycle)
        del cycle
        gc.collect()
        assert ended == [1]


def test_many_leases_leave_no_objects_behind() -> None:
    with an_arena() as (arena, _, mappings):
        stored = arena.write([b"x"])
        gc.collect()
        before = len(gc.get_objects())
        for _ in range(2000):
            mappings.view(3, stored.offset, stored.sizes, nothing, nothing, 0)
        gc.collect()
        assert len(gc.get_objects()) - before < 50


def test_a_forked_child_keeps_reading_what_its_parent_leased() -> None:
    with an_arena() as (arena, _, mappings):
        stored = arena.write([b"inherited"])
        [view] = mappings.view(3, stored.offset, stored.sizes, nothing, nothing, 9)

        def child() -> None:
            assert mappings.leased() == [9]
            mappings.close()
            arena.close()
            assert bytes(view) == b"inherited"

        assert ended_well(fork(child))
        assert bytes(view) == b"inherited"
