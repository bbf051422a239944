"""`snakepit.aio`: get, wait and as_completed for coroutines, in the driver and in actors."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

import pytest

import snakepit
from snakepit import aio
from snakepit.errors import GetTimeoutError, TaskError
from tests.runtime.helpers import PATIENCE, Gate

T = TypeVar("T")

pytestmark = pytest.mark.usefixtures("runtime")


@snakepit.remote
def same(value: Any) -> Any:
    return value


@snakepit.remote(num_cpus=0)
def hold(gate: Gate, value: Any = None) -> Any:
    gate.wait()
    return value


@snakepit.remote
def fail(kind: type[Exception] = LookupError) -> None:
    raise kind("no")


@snakepit.remote
class Inside:
    """Does in an actor what `run` does in the driver."""

    async def run(self, function: Any, *args: Any) -> Any:
        return await function(*args)


@pytest.fixture(params=["driver", "actor"])
def run(request: pytest.FixtureRequest) -> Any:
    if request.param == "driver":
        return lambda function, *args: asyncio.run(_within(function(*args)))
    return lambda function, *args: snakepit.get(
        Inside.remote().run.remote(function, *args), timeout=PATIENCE
    )


async def _within(coroutine: Coroutine[Any, Any, T]) -> T:
    return await asyncio.wait_for(coroutine, PATIENCE)


def test_get(run: Any) -> None:
    async def main() -> Any:
        ref = same.remote(1)
        many = [same.remote(n) for n in range(20)]
        return await aio.get(ref), await aio.get(many), await aio.get([ref, ref]), await aio.get([])

    assert run(main) == (1, list(range(20)), [1, 1], [])


def test_get_raises_the_first_error_whatever_is_still_to_come(run: Any, gate: Gate) -> None:
    async def main(gate: Gate) -> str:
        held = hold.remote(gate)
        with pytest.raises(LookupError):
            await aio.get([held, fail.remote()])
        with pytest.raises(TaskError) as caught:  # a task's own TimeoutError is not ours
            await aio.get([fail.remote(TimeoutError)], timeout=PATIENCE)
        assert isinstance(caught.value, TimeoutError)
        return type(caught.value).__name__

    assert run(main, gate) == "TaskError(TimeoutError)"
    gate.open()


def test_get_in_time_or_not(run: Any, gate: Gate) -> None:
    async def main(gate: Gate) -> Any:
        held, there = hold.remote(gate, "held"), snakepit.put("there")
        for timeout in (0, 0.01):
            with pytest.raises(GetTimeoutError):
                await aio.get([there, held], timeout=timeout)
        assert await aio.get(there, timeout=0) == "there"
        gate.open()
        return await aio.get(held, timeout=PATIENCE)

    assert run(main, gate) == "held"


def test_the_loop_goes_on_and_waiting_can_be_cancelled(run: Any, gate: Gate) -> None:
    async def main(gate: Gate) -> Any:
        held = hold.remote(gate, "held")

        async def drain() -> None:
            async for _ in aio.as_completed([held]):
                pass

        waiting = [
            asyncio.create_task(waits)
            for waits in (aio.get(held), aio.get([held]), aio.wait([held]), drain())
        ]
        await asyncio.sleep(0)
        for task in waiting:
            task.cancel()
        ended = await asyncio.gather(*waiting, return_exceptions=True)
        gate.open()
        return [type(each).__name__ for each in ended], await aio.get(held)

    assert run(main, gate) == (["CancelledError"] * 4, "held")


def test_wait(run: Any, gate: Gate) -> None:
    async def main(gate: Gate) -> Any:
        held, quick, failed = hold.remote(gate), same.remote(1), fail.remote()
        refs = [held, quick, failed]
        assert await aio.wait(refs, num_returns=2) == ([quick, failed], [held])
        one, rest = await aio.wait(refs)
        assert len(one) == 1 and len(rest) == 2
        for timeout in (0, 0.01):
            assert await aio.wait(refs, num_returns=3, timeout=timeout) == (
                [quick, failed],
                [held],
            )
        assert await aio.wait([]) == ([], [])
        gate.open()
        return len((await aio.wait(refs, num_returns=3))[0])

    assert run(main, gate) == 3


def test_as_completed(run: Any, gate: Gate) -> None:
    async def main(gate: Gate) -> Any:
        held = hold.remote(gate, "held")
        seen = []
        async for ref in aio.as_completed([held, *map(same.remote, range(5))], timeout=PATIENCE):
            seen.append(await ref)
            if len(seen) == 5:
                gate.open()
        return sorted(seen[:-1]), seen[-1]

    assert run(main, gate) == ([0, 1, 2, 3, 4], "held")


def test_as_completed_in_time_or_not(gate: Gate) -> None:
    async def main() -> None:
        held = hold.remote(gate)
        with pytest.raises(GetTimeoutError):
            async for _ in aio.as_completed([held], timeout=0.01):
                pass

    asyncio.run(main())
    gate.open()


def test_wrap_future() -> None:
    async def main() -> Any:
        return await asyncio.wrap_future(same.remote(5).future())

    assert asyncio.run(main()) == 5


def test_what_is_no_reference() -> None:
    async def main() -> None:
        ref = snakepit.put(1)
        for bad in (lambda: aio.get((ref,)), lambda: aio.get(1), lambda: aio.get(ref, timeout=-1)):
            with pytest.raises(ValueError, match=r"get|timeout"):
                await bad()  # type: ignore[call-overload]
        for wrong in (lambda: aio.get([1]), lambda: aio.wait([1]), lambda: aio.wait(ref)):
            with pytest.raises(TypeError, match="references"):
                await wrong()  # type: ignore[call-overload]
        with pytest.raises(TypeError, match="item 0"):
            aio.as_completed([1])  # type: ignore[list-item]
        for twice in (lambda: aio.wait([ref, ref]), lambda: aio.wait([ref], num_returns=2)):
            with pytest.raises(ValueError, match=r"twice|num_returns"):
                await twice()
        with pytest.raises(ValueError, match="twice"):
            aio.as_completed([ref, ref])

    asyncio.run(main())
