"""`ray.util.multiprocessing.Pool`: what the standard library's Pool does, on actors."""

from __future__ import annotations

import importlib
import multiprocessing
from collections.abc import Iterator
from typing import Any

import pytest


@pytest.fixture(scope="module")
def pool(ray: Any) -> Iterator[Any]:
    """Two processes."""
    made = importlib.import_module(f"{ray.__name__}.util.multiprocessing").Pool(2)
    yield made
    made.terminate()
    made.join()


def test_apply(pool: Any) -> None:
    assert pool.apply(lambda a, b=0: a + b, (1,), {"b": 2}) == 3


def test_apply_async(pool: Any) -> None:
    result = pool.apply_async(lambda x: 2 * x, (4,))
    assert result.get(timeout=60) == 8
    assert result.ready() and result.successful()


def test_map_keeps_the_order(pool: Any) -> None:
    assert pool.map(lambda x: 2 * x, range(20)) == [2 * x for x in range(20)]


def test_map_in_chunks(pool: Any) -> None:
    assert pool.map(lambda x: 2 * x, range(10), chunksize=3) == [2 * x for x in range(10)]


def test_map_of_nothing(pool: Any) -> None:
    assert pool.map(lambda x: x, []) == []


def test_starmap(pool: Any) -> None:
    assert pool.starmap(lambda a, b: a + b, [(1, 2), (3, 4)]) == [3, 7]


def test_map_async(pool: Any) -> None:
    assert pool.map_async(lambda x: x + 1, [1, 2]).get(timeout=60) == [2, 3]


def test_starmap_async(pool: Any) -> None:
    assert pool.starmap_async(lambda a, b: a * b, [(2, 3)]).get(timeout=60) == [6]


def test_imap_keeps_the_order(pool: Any) -> None:
    assert list(pool.imap(lambda x: 2 * x, range(10), chunksize=2)) == [2 * x for x in range(10)]


def test_imap_unordered_gives_all(pool: Any) -> None:
    found = sorted(pool.imap_unordered(lambda x: 2 * x, range(10), chunksize=2))
    assert found == [2 * x for x in range(10)]


def test_an_error_of_map(pool: Any) -> None:
    def fails(x: int) -> int:
        raise KeyError(x)

    with pytest.raises(KeyError):
        pool.map(fails, [1])
    assert pool.map(lambda x: x, [1]) == [1]


def test_callbacks(pool: Any) -> None:
    import threading

    done, found = threading.Event(), []

    def called(value: Any) -> None:
        found.append(value)
        done.set()

    pool.apply_async(lambda: 5, callback=called)
    assert done.wait(60)
    assert found == [5]


def test_a_result_in_time(pool: Any, gate: Any) -> None:
    result = pool.apply_async(lambda gate: gate.wait(), (gate,))
    with pytest.raises(multiprocessing.TimeoutError):
        result.get(timeout=0.05)
    assert not result.ready()
    gate.open()
    result.get(timeout=60)


def test_a_closed_pool_takes_nothing(ray: Any) -> None:
    made = importlib.import_module(f"{ray.__name__}.util.multiprocessing").Pool(1)
    made.close()
    with pytest.raises(ValueError):
        made.map(lambda x: x, [1])
    made.join()


def test_a_pool_as_a_context_manager(ray: Any) -> None:
    with importlib.import_module(f"{ray.__name__}.util.multiprocessing").Pool(1) as made:
        assert made.map(lambda x: x, [1]) == [1]


def test_an_initializer(ray: Any, tally: Any) -> None:
    made = importlib.import_module(f"{ray.__name__}.util.multiprocessing").Pool(
        1, initializer=lambda count: count.add() and None, initargs=(tally,)
    )
    assert made.map(lambda x: x, [1]) == [1]
    assert tally.count == 1
    made.terminate()
    made.join()
