"""Generators: references to what they yield, as soon as it is there."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.conformance.marks import differs, not_in_threads, not_inline
from tests.runtime.helpers import wait_until


@pytest.fixture
def numbers(ray: Any) -> Any:
    """A task that yields the first n numbers."""

    @ray.remote
    def numbers(n: int) -> Any:
        for i in range(n):  # noqa: UP028 - see test_yield_from
            yield i

    return numbers


def test_a_generator_function_gives_an_object_ref_generator(ray: Any, numbers: Any) -> None:
    stream = numbers.remote(3)
    assert isinstance(stream, ray.ObjectRefGenerator)
    assert [ray.get(ref) for ref in stream] == [0, 1, 2]


@differs(
    "A generator may `yield from` any iterable.",
    because="it is Python; Ray sends into what is iterated, and a range takes nothing.",
)
def test_yield_from(ray: Any, expect: Any) -> None:
    @ray.remote
    def items() -> Any:
        yield from range(3)

    try:
        found = ray.get(list(items.remote()))
    except AttributeError:
        found = None
    assert found == expect(snakepit=[0, 1, 2], ray=None)


def test_next_gives_a_reference(ray: Any, numbers: Any) -> None:
    stream = numbers.remote(2)
    ref = next(stream)
    assert isinstance(ref, ray.ObjectRef)
    assert ray.get([ref, next(stream)]) == [0, 1]
    with pytest.raises(StopIteration):
        next(stream)


def test_a_generator_that_yields_nothing(ray: Any, numbers: Any) -> None:
    assert list(numbers.remote(0)) == []


def test_a_generator_is_its_own_iterator(ray: Any, numbers: Any) -> None:
    stream = numbers.remote(1)
    assert iter(stream) is stream


def test_items_come_before_the_generator_ends(ray: Any, gate: Any) -> None:
    @ray.remote
    def slow() -> Any:
        yield "first"
        gate.wait()
        yield "second"

    stream = slow.remote()
    assert ray.get(next(stream)) == "first"
    gate.open()
    assert ray.get(next(stream)) == "second"


def test_a_generator_runs_ahead_of_its_consumer(ray: Any, tally: Any) -> None:
    @ray.remote
    def eager() -> Any:
        for i in range(5):
            tally.add()
            yield i

    stream = eager.remote()
    assert wait_until(lambda: tally.count == 5)
    assert ray.get(list(stream)) == [0, 1, 2, 3, 4]


@not_inline("a call is over when `.remote()` returns, and nothing runs beside it")
def test_back_pressure_holds_a_generator_back(ray: Any, tally: Any) -> None:
    @ray.remote(_generator_backpressure_num_objects=1)
    def held() -> Any:
        for i in range(5):
            tally.add()
            yield i

    stream = held.remote()
    first = next(stream)
    assert ray.get(first) == 0
    assert tally.count < 5
    assert ray.get(list(stream)) == [1, 2, 3, 4]


def test_back_pressure_of_zero_is_refused(ray: Any) -> None:
    def f() -> Any:
        yield 1

    with pytest.raises(ValueError):
        ray.remote(_generator_backpressure_num_objects=0)(f)


def test_an_error_comes_as_the_last_reference(ray: Any) -> None:
    @ray.remote
    def fails() -> Any:
        yield 1
        raise KeyError("second")

    stream = fails.remote()
    assert ray.get(next(stream)) == 1
    last = next(stream)
    with pytest.raises(KeyError, match="second"):
        ray.get(last)
    with pytest.raises(StopIteration):
        next(stream)


def test_an_error_before_the_first_item(ray: Any) -> None:
    @ray.remote
    def fails() -> Any:
        raise KeyError("none")
        yield 1

    with pytest.raises(KeyError):
        ray.get(next(fails.remote()))


def test_completed_resolves_at_the_end(ray: Any, numbers: Any) -> None:
    stream = numbers.remote(3)
    ray.get(stream.completed())
    assert ray.get(list(stream)) == [0, 1, 2]


def test_is_finished_when_all_was_taken(ray: Any, numbers: Any) -> None:
    stream = numbers.remote(1)
    ray.get(stream.completed())
    assert not stream.is_finished()
    next(stream)
    assert list(stream) == []
    assert stream.is_finished()


def test_a_generator_in_wait(ray: Any, numbers: Any, gate: Any) -> None:
    @ray.remote
    def slow() -> Any:
        gate.wait()
        yield 1

    late, soon = slow.remote(), numbers.remote(1)
    ready, rest = ray.wait([late, soon])
    assert ready[0] is soon and rest[0] is late
    gate.open()
    assert ray.get(list(late)) == [1]


def test_get_returns_a_generator_unchanged(ray: Any, numbers: Any) -> None:
    stream = numbers.remote(1)
    assert ray.get(stream) is stream


@pytest.mark.parametrize("name", ["send", "throw", "close"])
def test_what_generators_have_besides_is_not_there(ray: Any, numbers: Any, name: str) -> None:
    stream = numbers.remote(1)
    with pytest.raises(NotImplementedError):
        getattr(stream, name)(*([] if name == "close" else [None]))


def test_async_for(ray: Any, numbers: Any) -> None:
    async def main() -> list[int]:
        return [await ref async for ref in numbers.remote(4)]

    assert asyncio.run(main()) == [0, 1, 2, 3]


def test_a_method_that_yields(ray: Any) -> None:
    @ray.remote
    class Source:
        def __init__(self) -> None:
            self.base = 10

        def items(self, n: int) -> Any:
            for i in range(n):
                yield self.base + i

    source = Source.remote()
    assert ray.get(list(source.items.remote(3))) == [10, 11, 12]
    assert ray.get(list(source.items.remote(1))) == [10]


def test_a_coroutine_method_that_yields(ray: Any) -> None:
    @ray.remote
    class Source:
        async def items(self, n: int) -> Any:
            for i in range(n):
                await asyncio.sleep(0)
                yield i

    source = Source.remote()
    assert ray.get(list(source.items.remote(3))) == [0, 1, 2]


def test_a_coroutine_method_consumes_a_stream(ray: Any, numbers: Any) -> None:
    @ray.remote
    class Sums:
        async def total(self, n: int) -> int:
            return sum([await ref async for ref in numbers.remote(n)])

    assert ray.get(Sums.remote().total.remote(5)) == 10


def test_a_task_consumes_a_stream(ray: Any, numbers: Any) -> None:
    @ray.remote
    def total(n: int) -> int:
        return sum(ray.get(ref) for ref in numbers.remote(n))

    assert ray.get(total.remote(5)) == 10


def test_items_are_arguments_of_tasks(ray: Any, numbers: Any) -> None:
    @ray.remote
    def double(x: int) -> int:
        return 2 * x

    assert ray.get([double.remote(ref) for ref in numbers.remote(3)]) == [0, 2, 4]


def test_a_generator_is_no_argument(ray: Any, numbers: Any) -> None:
    @ray.remote
    def takes(x: Any) -> None: ...

    stream = numbers.remote(1)
    with pytest.raises(TypeError):
        takes.remote(stream)


def test_num_returns_for_a_generator_takes_its_items(ray: Any, numbers: Any) -> None:
    refs = numbers.options(num_returns=3).remote(3)
    assert ray.get(refs) == [0, 1, 2]


def test_dynamic_gives_one_reference_to_all(ray: Any, numbers: Any) -> None:
    ref = numbers.options(num_returns="dynamic").remote(3)
    assert isinstance(ref, ray.ObjectRef)
    assert [ray.get(each) for each in ray.get(ref)] == [0, 1, 2]


def test_streaming_can_be_said(ray: Any) -> None:
    @ray.remote(num_returns="streaming")
    def items() -> Any:
        yield "a"

    assert ray.get(list(items.remote())) == ["a"]


def test_large_items(ray: Any) -> None:
    import numpy as np

    @ray.remote
    def arrays() -> Any:
        for i in range(3):
            yield np.full(50_000, i)

    assert [int(ray.get(ref).sum()) for ref in arrays.remote()] == [0, 50_000, 100_000]


def test_cancel_stops_the_producer(ray: Any, tally: Any, gate: Any) -> None:
    import time

    @ray.remote
    def endless() -> Any:
        try:
            while True:
                tally.add()
                yield 1
                time.sleep(0.01)
        finally:
            gate.open()

    stream = endless.remote()
    ray.get(next(stream))
    ray.cancel(stream)
    assert wait_until(lambda: gate.is_open)


@not_in_threads("no signal reaches a thread: it has to ask whether it is cancelled")
@not_inline("a call is over when `.remote()` returns, and nothing runs beside it")
def test_what_a_cancelled_generator_yielded_stays_and_then_comes_the_error(
    ray: Any, tally: Any
) -> None:
    import time

    @ray.remote
    def stalls() -> Any:
        yield "first"
        tally.add()
        for _ in range(6000):
            time.sleep(0.01)

    stream = stalls.remote()
    first = next(stream)
    assert wait_until(lambda: tally.count == 1)
    ray.cancel(stream)
    assert ray.get(first) == "first"
    with pytest.raises(ray.exceptions.TaskCancelledError):
        ray.get(next(stream))
    with pytest.raises(StopIteration):
        next(stream)


def test_a_cancelled_generator_of_coroutines(ray: Any, tally: Any, gate: Any) -> None:
    @ray.remote
    class Source:
        async def stalls(self) -> Any:
            yield "first"
            tally.add()
            try:
                await asyncio.sleep(60)
            finally:
                gate.open()

        async def alive(self) -> str:
            return "alive"

    source = Source.remote()
    stream = source.stalls.remote()
    assert ray.get(next(stream)) == "first"
    assert wait_until(lambda: tally.count == 1)
    ray.cancel(stream)
    assert wait_until(lambda: gate.is_open)
    with pytest.raises(ray.exceptions.RayError):
        ray.get(next(stream))
    assert ray.get(source.alive.remote()) == "alive"


def test_the_error_of_a_coroutine_method_that_yields_is_its_last_item(ray: Any) -> None:
    @ray.remote
    class Source:
        async def fails(self) -> Any:
            yield 1
            await asyncio.sleep(0)
            raise KeyError("inside")

    one, failed = Source.remote().fails.remote()
    assert ray.get(one) == 1
    with pytest.raises(KeyError, match="inside"):
        ray.get(failed)


@not_inline("a call is over when `.remote()` returns, and nothing runs beside it")
def test_generators_of_coroutines_take_turns(ray: Any) -> None:
    @ray.remote
    class Source:
        def __init__(self) -> None:
            self.turns = [asyncio.Event(), asyncio.Event()]

        async def items(self, own: int) -> Any:
            for i in range(3):
                await self.turns[own].wait()
                self.turns[own].clear()
                yield i
                self.turns[1 - own].set()

        async def begin(self) -> None:
            self.turns[0].set()

    source = Source.remote()
    streams = [source.items.remote(own) for own in range(2)]
    ray.get(source.begin.remote())
    assert [ray.get(list(stream)) for stream in streams] == [[0, 1, 2], [0, 1, 2]]
