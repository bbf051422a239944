"""References in asyncio and in concurrent.futures."""

from __future__ import annotations

import asyncio
import concurrent.futures
from typing import Any

import pytest


def test_a_reference_is_awaited(ray: Any) -> None:
    async def main() -> Any:
        return await ray.put("x")

    assert asyncio.run(main()) == "x"


def test_a_task_is_awaited(ray: Any) -> None:
    @ray.remote
    def double(x: int) -> int:
        return 2 * x

    async def main() -> Any:
        return await double.remote(await double.remote(1))

    assert asyncio.run(main()) == 4


def test_references_are_gathered(ray: Any) -> None:
    @ray.remote
    def double(x: int) -> int:
        return 2 * x

    async def main() -> Any:
        return await asyncio.gather(*[double.remote(i) for i in range(5)])

    assert asyncio.run(main()) == [0, 2, 4, 6, 8]


def test_an_error_is_raised_by_await(ray: Any) -> None:
    @ray.remote
    def fails() -> None:
        raise KeyError("awaited")

    async def main() -> Any:
        await fails.remote()

    with pytest.raises(KeyError, match="awaited"):
        asyncio.run(main())


def test_wait_for_ends_in_time_and_the_task_goes_on(ray: Any, gate: Any) -> None:
    @ray.remote
    def slow() -> str:
        gate.wait()
        return "late"

    async def main() -> Any:
        ref = slow.remote()
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(ref, timeout=0.05)
        gate.open()
        return await ref

    assert asyncio.run(main()) == "late"


def test_the_loop_goes_on_while_a_reference_is_awaited(ray: Any, gate: Any) -> None:
    @ray.remote
    def slow() -> str:
        gate.wait()
        return "late"

    async def opens() -> str:
        await asyncio.sleep(0)
        gate.open()
        return "opened"

    async def main() -> Any:
        return await asyncio.gather(slow.remote(), opens())

    assert asyncio.run(main()) == ["late", "opened"]


def test_as_completed_of_asyncio(ray: Any) -> None:
    @ray.remote
    def double(x: int) -> int:
        return 2 * x

    async def main() -> Any:
        waiting = [asyncio.wrap_future(double.remote(i).future()) for i in range(4)]
        return sorted([await each for each in asyncio.as_completed(waiting)])

    assert asyncio.run(main()) == [0, 2, 4, 6]


def test_a_method_is_awaited(ray: Any) -> None:
    @ray.remote
    class Adds:
        def __init__(self) -> None:
            self.n = 0

        def add(self) -> int:
            self.n += 1
            return self.n

    async def main() -> Any:
        adds = Adds.remote()
        return [await adds.add.remote() for _ in range(3)]

    assert asyncio.run(main()) == [1, 2, 3]


# --- concurrent.futures -----------------------------------------------------------------------


def test_a_reference_becomes_a_future(ray: Any) -> None:
    future = ray.put("x").future()
    assert isinstance(future, concurrent.futures.Future)
    assert future.result(timeout=60) == "x"


def test_a_futures_error(ray: Any) -> None:
    @ray.remote
    def fails() -> None:
        raise KeyError("future")

    future = fails.remote().future()
    assert isinstance(future.exception(timeout=60), KeyError)


def test_futures_as_completed(ray: Any) -> None:
    @ray.remote
    def double(x: int) -> int:
        return 2 * x

    futures = [double.remote(i).future() for i in range(4)]
    done = concurrent.futures.as_completed(futures, timeout=60)
    assert sorted(each.result() for each in done) == [0, 2, 4, 6]


def test_a_futures_callback(ray: Any) -> None:
    import threading

    called = threading.Event()
    future = ray.put(1).future()
    future.add_done_callback(lambda _: called.set())
    assert called.wait(60)


def test_cancelling_a_future_leaves_the_task_alone(ray: Any, gate: Any) -> None:
    @ray.remote
    def slow() -> str:
        gate.wait()
        return "late"

    ref = slow.remote()
    ref.future().cancel()
    gate.open()
    assert ray.get(ref) == "late"
