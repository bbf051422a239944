"""await and concurrent futures of references, in the driver and in tasks."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import gc
import sys
import threading
import weakref
from pathlib import Path
from typing import Any

import pytest

import snakepit
from tests.runtime.helpers import PATIENCE, Gate, wait_until

pytestmark = pytest.mark.usefixtures("runtime")


@snakepit.remote
def same(value: Any) -> Any:
    return value


@snakepit.remote
def hold(gate: Gate, value: Any = None) -> Any:
    gate.wait()
    return value


@snakepit.remote
def fail() -> None:
    raise LookupError("no")


def test_await() -> None:
    async def main() -> Any:
        assert await same.remote(1) == 1
        assert await asyncio.gather(*(same.remote(number) for number in range(20))) == [*range(20)]
        with pytest.raises(LookupError):
            await fail.remote()
        return await same.remote(same.remote("nested"))

    assert asyncio.run(main()) == "nested"


def test_the_loop_goes_on_meanwhile(gate: Gate) -> None:
    async def main() -> Any:
        ticks = 0

        async def tick() -> None:
            nonlocal ticks
            while ticks < 5:
                await asyncio.sleep(0.001)
                ticks += 1
            gate.open()

        task = asyncio.create_task(tick())
        value = await hold.remote(gate, "held")
        await task
        return value, ticks

    assert asyncio.run(main()) == ("held", 5)


def test_a_time_limit_leaves_the_call_alone(gate: Gate) -> None:
    async def main() -> Any:
        ref = hold.remote(gate, 3)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(wait_for(ref), 0.02)
        gate.open()
        return await ref

    async def wait_for(ref: Any) -> Any:
        return await ref

    assert asyncio.run(main()) == 3


def test_a_loop_that_ends_while_it_awaits(gate: Gate) -> None:
    ref = hold.remote(gate, 4)

    async def wait() -> Any:
        return await ref

    async def main() -> None:
        task = asyncio.create_task(wait())
        await asyncio.sleep(0)  # now it awaits
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    asyncio.run(main())
    gate.open()
    assert snakepit.get(ref, timeout=PATIENCE) == 4


def test_loops_in_several_threads() -> None:
    results: list[Any] = []

    async def main(base: int) -> None:
        results.append(sum(await asyncio.gather(*(same.remote(base + n) for n in range(20)))))

    threads = [threading.Thread(target=lambda n=n: asyncio.run(main(n))) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(results) == [190, 210, 230, 250]


def test_futures(gate: Gate) -> None:
    future = hold.remote(gate, 5).future()
    assert isinstance(future, concurrent.futures.Future) and not future.done()
    gate.open()
    assert future.result(PATIENCE) == 5
    assert same.remote(1).future().result(PATIENCE) == 1
    with pytest.raises(LookupError):
        fail.remote().future().result(PATIENCE)
    futures = [same.remote(number).future() for number in range(20)]
    done, _ = concurrent.futures.wait(futures, PATIENCE)
    assert sorted(future.result() for future in done) == [*range(20)]


def test_callbacks_of_futures_may_call_anything(gate: Gate) -> None:
    called = threading.Event()
    found: list[Any] = []

    def chain(future: Any) -> None:
        found.append(snakepit.get(same.remote(future.result() + 1), timeout=PATIENCE))
        called.set()

    hold.remote(gate, 1).future().add_done_callback(chain)
    gate.open()
    assert called.wait(PATIENCE)
    assert found == [2]


def exit_in_a_callback(gate: Gate) -> int:
    """Return what comes of a call after a callback of another has raised SystemExit."""
    raised = threading.Event()

    def leave(future: Any) -> None:
        raised.set()
        sys.exit("in a callback")

    first = hold.options(num_cpus=0).remote(gate, 1).future()
    first.add_done_callback(leave)  # which runs here if the call has ended
    gate.open()
    assert raised.wait(PATIENCE)
    return int(same.options(num_cpus=0).remote(2).future().result(PATIENCE))


def test_what_a_callback_raises_ends_no_thread(
    gate: Gate, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert exit_in_a_callback(gate) == 2
    inside = snakepit.remote(exit_in_a_callback).remote(Gate(str(tmp_path / "inside")))
    assert snakepit.get(inside, timeout=2 * PATIENCE) == 2
    assert "SystemExit: in a callback" in capfd.readouterr().err


def a_failed_future_is_freed() -> bool:
    """Tell whether a future and its reference go without a collection, after it has failed."""
    gc.collect()
    gc.disable()
    try:
        future = fail.options(num_cpus=0).remote().future()
        with contextlib.suppress(LookupError):
            future.result(PATIENCE)
        left = weakref.ref(future)
        del future
        return wait_until(lambda: left() is None)
    finally:
        gc.enable()


def test_a_failed_future_goes_without_a_collection() -> None:
    assert a_failed_future_is_freed()
    assert snakepit.get(snakepit.remote(a_failed_future_is_freed).remote(), timeout=2 * PATIENCE)


def test_a_cancelled_future_leaves_the_call_alone(gate: Gate) -> None:
    ref = hold.remote(gate, 6)
    future = ref.future()
    assert future.cancel()
    gate.open()
    assert snakepit.get(ref, timeout=PATIENCE) == 6


def test_inside_tasks() -> None:
    @snakepit.remote
    def inside() -> Any:
        async def main() -> Any:
            return await asyncio.gather(*(same.options(num_cpus=0).remote(n) for n in range(3)))

        future = same.options(num_cpus=0).remote(3).future()
        return [*asyncio.run(main()), future.result(PATIENCE)]

    assert snakepit.get(inside.remote(), timeout=PATIENCE) == [0, 1, 2, 3]
