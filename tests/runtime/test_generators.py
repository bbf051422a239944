"""Remote generators: their items one by one, from tasks and actors, taken here and in workers."""

from __future__ import annotations

import asyncio
import os
import pickle
import signal
import threading
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any

import numpy as np
import pytest

import snakepit
from snakepit.errors import (
    GetTimeoutError,
    OptionError,
    SerializationError,
    TaskCancelledError,
    WorkerCrashedError,
)
from tests.runtime.helpers import PATIENCE, Gate, Tally, wait_until

pytestmark = pytest.mark.usefixtures("runtime")


@snakepit.remote
def count(n: int) -> Iterator[int]:
    yield from range(n)


@snakepit.remote
def gated(gate: Gate, tally: Tally) -> Iterator[int]:
    yield 0
    gate.wait()
    tally.add()
    yield 1


@snakepit.remote
def fails(n: int) -> Iterator[int]:
    yield from range(n)
    raise KeyError("the end")


@snakepit.remote
def arrays(n: int) -> Iterator[np.ndarray[Any, Any]]:
    for x in range(n):
        yield np.full(200_000, x)


@snakepit.remote(max_retries=0)
def dies(n: int) -> Iterator[int]:
    yield from range(n)
    os.kill(os.getpid(), signal.SIGKILL)


@snakepit.remote(max_retries=1)
def dies_once(tally: Tally, n: int) -> Iterator[int]:
    for x in range(n):
        if x == n // 2 and tally.add() == 1:
            os.kill(os.getpid(), signal.SIGKILL)
        yield x


@snakepit.remote
def forever(opened: Gate, closed: Gate) -> Iterator[int]:
    try:
        yield 0
        opened.open()
        while True:
            time.sleep(3600)
    finally:
        closed.open()


@snakepit.remote
class Source:
    """Generators as methods: plain and asynchronous."""

    def __init__(self) -> None:
        self.closed = False

    async def count(self, n: int) -> AsyncIterator[int]:
        for x in range(n):
            await asyncio.sleep(0)
            yield x

    def plain(self, n: int) -> Iterator[int]:
        yield from range(n)

    async def forever(self) -> AsyncIterator[int]:
        try:
            while True:
                yield 0
        finally:
            self.closed = True

    async def was_closed(self) -> bool:
        return self.closed

    async def reads(self, n: int) -> list[int]:
        return [await ref async for ref in count.remote(n)]


def values(generator: Any) -> list[Any]:
    return [snakepit.get(ref, timeout=PATIENCE) for ref in generator]


# --- the items ------------------------------------------------------------------------------------


def test_each_item_comes_as_a_reference() -> None:
    generator = count.remote(4)
    assert isinstance(generator, snakepit.ObjectRefGenerator)
    first = next(generator)
    assert isinstance(first, snakepit.ObjectRef)
    assert snakepit.get(first) == 0
    assert values(generator) == [1, 2, 3]
    with pytest.raises(StopIteration):
        next(generator)


def test_nothing_yielded_is_an_empty_stream() -> None:
    assert values(count.remote(0)) == []


def test_many_items() -> None:
    assert values(count.remote(5_000)) == list(range(5_000))


def test_an_item_is_there_before_the_generator_ends(gate: Gate, tally: Tally) -> None:
    generator = gated.remote(gate, tally)
    assert snakepit.get(next(generator), timeout=PATIENCE) == 0
    assert tally.count == 0
    assert not generator.next_ready()
    assert not generator.is_finished()
    gate.open()
    assert snakepit.get(next(generator), timeout=PATIENCE) == 1
    snakepit.get(generator.completed(), timeout=PATIENCE)
    assert generator.next_ready()
    assert generator.is_finished()


def test_large_items_are_shared_not_copied() -> None:
    for x, ref in enumerate(arrays.remote(3)):
        array = snakepit.get(ref)
        assert not array.flags.writeable
        assert array[0] == array[-1] == x
        del array


def test_items_serve_as_arguments() -> None:
    @snakepit.remote
    def double(x: int) -> int:
        return 2 * x

    assert snakepit.get([double.remote(ref) for ref in count.remote(3)]) == [0, 2, 4]


def test_items_may_contain_references() -> None:
    @snakepit.remote
    def nested() -> Iterator[list[Any]]:
        yield [snakepit.put("inside")]

    [[inner]] = values(nested.remote())
    assert snakepit.get(inner) == "inside"


def test_what_is_not_read_goes_with_the_generator() -> None:
    generator = arrays.remote(5)
    snakepit.get(generator.completed(), timeout=PATIENCE)
    next(generator)  # and that `everything_released` finds nothing.


def test_threads_share_a_generator() -> None:
    generator = count.remote(400)
    got: list[int] = []

    def read() -> None:
        got.extend(values(generator))

    threads = [threading.Thread(target=read) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    assert sorted(got) == list(range(400))


# --- the end --------------------------------------------------------------------------------------


def test_an_exception_is_the_last_reference() -> None:
    generator = fails.remote(2)
    refs = list(generator)
    assert snakepit.get(refs[:2]) == [0, 1]
    assert len(refs) == 3
    with pytest.raises(KeyError, match="the end"):
        snakepit.get(refs[2])
    with pytest.raises(KeyError, match="the end"):
        snakepit.get(generator.completed())


def test_an_item_that_cannot_be_sent_is_the_last_reference() -> None:
    @snakepit.remote
    def bad() -> Iterator[Any]:
        yield 1
        yield threading.Lock()
        yield 2

    refs = list(bad.remote())
    assert snakepit.get(refs[0]) == 1
    assert len(refs) == 2
    with pytest.raises(SerializationError, match=r"an item that .*bad yields"):
        snakepit.get(refs[1])


def test_the_death_of_the_worker_is_the_last_reference() -> None:
    refs = list(dies.remote(3))
    assert snakepit.get(refs[:3]) == [0, 1, 2]
    with pytest.raises(WorkerCrashedError):
        snakepit.get(refs[3])


def test_a_second_try_goes_on_where_the_first_was_lost(tally: Tally) -> None:
    assert values(dies_once.remote(tally, 10)) == list(range(10))
    assert tally.count == 2


def test_what_is_no_iterator_is_an_error() -> None:
    @snakepit.remote(num_returns="streaming")
    def plain() -> int:
        return 1

    with pytest.raises(TypeError, match="must be a generator function"):
        values(plain.remote())


# --- cancelled ------------------------------------------------------------------------------------


def test_a_cancel_stops_the_producer(gate: Gate, tmp_path: Any) -> None:
    closed = Gate(str(tmp_path / "closed"))
    generator = forever.remote(gate, closed)
    next(generator)
    gate.wait()
    snakepit.cancel(generator)
    closed.wait()
    with pytest.raises(TaskCancelledError):
        snakepit.get(next(generator), timeout=PATIENCE)
    with pytest.raises(StopIteration):
        next(generator)


def test_a_cancel_stops_a_producer_that_waits_for_its_consumer() -> None:
    # So many that the cancel comes before the last, however fast the others are taken.
    generator = count.options(_generator_backpressure_num_objects=1).remote(1_000_000)
    assert snakepit.get(next(generator), timeout=PATIENCE) == 0
    snakepit.cancel(generator)
    with pytest.raises(TaskCancelledError):
        values(generator)


def test_a_cancel_stops_an_asynchronous_generator() -> None:
    source = Source.remote()
    generator = source.forever.remote()
    next(generator)
    snakepit.cancel(generator)
    with pytest.raises(TaskCancelledError):
        values(generator)
    assert snakepit.get(source.was_closed.remote(), timeout=PATIENCE)


# --- backpressure ---------------------------------------------------------------------------------


def test_a_producer_waits_for_its_consumer(tally: Tally) -> None:
    @snakepit.remote(_generator_backpressure_num_objects=2)
    def steps(tally: Tally) -> Iterator[int]:
        for x in range(6):
            tally.add()
            yield x

    generator = steps.remote(tally)
    assert wait_until(lambda: tally.count == 2)
    for taken in range(1, 6):
        next(generator)
        assert wait_until(lambda taken=taken: tally.count == min(6, taken + 2))  # type: ignore[misc]


def test_others_run_while_a_producer_waits() -> None:
    generators = [count.options(_generator_backpressure_num_objects=1).remote(3) for _ in range(2)]
    # Both CPUs are theirs, and they wait.
    assert values(count.remote(3)) == [0, 1, 2]
    assert [values(generator) for generator in generators] == [[0, 1, 2]] * 2


def test_a_producer_without_consumer_runs_to_its_end(tally: Tally) -> None:
    @snakepit.remote(_generator_backpressure_num_objects=1)
    def steps(tally: Tally) -> Iterator[int]:
        for x in range(4):
            tally.add()
            yield x

    generator = steps.remote(tally)
    next(generator)
    del generator
    assert wait_until(lambda: tally.count == 4)


# --- actors ---------------------------------------------------------------------------------------


def test_methods_of_an_asynchronous_actor() -> None:
    source = Source.remote()
    assert values(source.count.remote(3)) == [0, 1, 2]
    assert values(source.plain.remote(3)) == [0, 1, 2]
    both = [source.count.remote(50), source.count.remote(50)]
    assert [values(generator) for generator in both] == [list(range(50))] * 2


def test_methods_of_a_threaded_actor() -> None:
    @snakepit.remote(max_concurrency=2)
    class Threaded:
        def count(self, n: int) -> Iterator[int]:
            yield from range(n)

    source = Threaded.remote()
    both = [source.count.remote(50), source.count.remote(50)]
    assert [values(generator) for generator in both] == [list(range(50))] * 2


def test_methods_of_a_plain_actor_and_their_options() -> None:
    @snakepit.remote
    class Plain:
        @snakepit.method(_generator_backpressure_num_objects=1)
        def count(self, n: int) -> Iterator[int]:
            yield from range(n)

        def pair(self) -> Iterator[int]:
            yield from (1, 2)

    source = Plain.remote()
    assert values(source.count.remote(3)) == [0, 1, 2]
    assert snakepit.get(source.pair.options(num_returns=2).remote()) == [1, 2]


def test_a_limited_method_of_an_asynchronous_actor() -> None:
    source = Source.remote()
    limited = source.count.options(_generator_backpressure_num_objects=1)
    assert values(limited.remote(5)) == list(range(5))


# --- who reads ------------------------------------------------------------------------------------


def test_a_task_reads_a_generator() -> None:
    @snakepit.remote
    def total(n: int) -> int:
        return sum(snakepit.get(ref) for ref in count.remote(n))

    assert snakepit.get(total.remote(100), timeout=PATIENCE) == 4950


def test_a_task_drops_a_generator_that_it_has_not_read() -> None:
    @snakepit.remote
    def first() -> int:
        generator = arrays.remote(5)
        generator.next_ready()  # It may leave a ticket, which goes with it.
        return int(snakepit.get(next(generator))[0])

    assert snakepit.get(first.remote(), timeout=PATIENCE) == 0


def test_async_for_in_the_driver() -> None:
    async def read() -> list[int]:
        return [await ref async for ref in count.remote(5)]

    assert asyncio.run(read()) == [0, 1, 2, 3, 4]


def test_async_for_in_an_asynchronous_actor() -> None:
    source = Source.remote()
    assert snakepit.get(source.reads.remote(20), timeout=PATIENCE) == list(range(20))


def test_wait_takes_generators_and_references(gate: Gate, tally: Tally) -> None:
    slow = gated.remote(gate, tally)
    next(slow)
    quick, ref = count.remote(1), snakepit.put(1)
    ready, rest = snakepit.wait([slow, quick, ref], num_returns=2, timeout=PATIENCE)
    assert ready == [quick, ref]
    assert rest == [slow]
    gate.open()
    assert snakepit.wait([slow], timeout=PATIENCE) == ([slow], [])
    assert values(slow) == [1]
    assert snakepit.wait([slow]) == ([slow], [])
    assert values(quick) == [0]


def test_get_gives_a_generator_back() -> None:
    generator = count.remote(1)
    assert snakepit.get(generator) is generator
    assert values(generator) == [0]


def test_get_waits_no_longer_than_told(gate: Gate, tally: Tally) -> None:
    generator = gated.remote(gate, tally)
    next(generator)
    with pytest.raises(GetTimeoutError):
        snakepit.get(generator.completed(), timeout=0.01)
    gate.open()
    assert values(generator) == [1]


def test_what_a_stream_cannot_do() -> None:
    generator = count.remote(1)
    with pytest.raises(TypeError, match="cannot be sent"):
        pickle.dumps(generator)
    with pytest.raises(NotImplementedError):
        generator.send(1)
    with pytest.raises(NotImplementedError):
        generator.throw(ValueError)
    with pytest.raises(NotImplementedError):
        generator.close()
    values(generator)


# --- options --------------------------------------------------------------------------------------


def test_dynamic_returns_all_references_as_one_value() -> None:
    made = snakepit.get(count.options(num_returns="dynamic").remote(3), timeout=PATIENCE)
    assert isinstance(made, snakepit.DynamicObjectRefGenerator)
    assert len(made) == 3
    assert snakepit.get(list(made)) == [0, 1, 2]
    with pytest.raises(KeyError):
        snakepit.get(fails.options(num_returns="dynamic").remote(1), timeout=PATIENCE)


def test_a_number_of_returns_takes_the_items_one_by_one() -> None:
    refs = count.options(num_returns=2).remote(2)
    assert snakepit.get(refs) == [0, 1]
    with pytest.raises(ValueError, match="num_returns=2"):
        snakepit.get(count.options(num_returns=2).remote(3))


@pytest.mark.parametrize("value", [0, -2, 1.5, "many", True])
def test_a_wrong_limit_is_refused(value: Any) -> None:
    with pytest.raises((OptionError, TypeError), match="_generator_backpressure_num_objects"):
        count.options(_generator_backpressure_num_objects=value)


def test_a_wrong_number_of_returns_is_refused() -> None:
    with pytest.raises(TypeError, match='a number or "streaming"'):
        count.options(num_returns="all")
    with pytest.raises(OptionError, match="streaming"):
        snakepit.method(num_returns="dynamic")
