"""What type checkers must make of what stands between snakepit and others; never run."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future
from typing import assert_type

import snakepit
from snakepit import ObjectRef, aio


@snakepit.remote
def double(number: int) -> int:
    return 2 * number


def label(number: int, unit: str = "m") -> str:
    return f"{number} {unit}"


def executor() -> None:
    with snakepit.Executor(max_workers=2) as made:
        assert_type(made.submit(label, 1), Future[str])
        assert_type(made.submit(label, 1, unit="km"), Future[str])
        assert_type(made.submit(label, 1).result(), str)
        assert_type(made.map(label, [1, 2], buffersize=4), Iterator[str])
        assert_type(made.max_workers, int)


def executor_mistakes() -> None:
    made = snakepit.Executor()
    made.submit(label, "one")  # type: ignore[arg-type]
    made.submit(label)  # type: ignore[call-arg]
    made.submit(label, 1, units="km")  # type: ignore[call-arg]
    snakepit.Executor(workers=2)  # type: ignore[call-arg]


async def coroutines() -> None:
    ref = double.remote(1)
    assert_type(await ref, int)
    assert_type(await aio.get(ref), int)
    assert_type(await aio.get([ref, ref], timeout=1), list[int])
    assert_type(await aio.wait([ref]), tuple[list[ObjectRef[int]], list[ObjectRef[int]]])
    async for each in aio.as_completed([ref]):
        assert_type(each, ObjectRef[int])


async def coroutine_mistakes() -> None:
    await aio.get(1)  # type: ignore[call-overload]
    await aio.wait(double.remote(1))  # type: ignore[arg-type]


def either(number: int | ObjectRef[int]) -> ObjectRef[int]:
    """A function in the driver that takes a value or a reference to one, and passes it on."""
    return double.remote(number)


def value_or_reference() -> None:
    assert_type(either(1), ObjectRef[int])
    assert_type(either(double.remote(1)), ObjectRef[int])
    either("one")  # type: ignore[arg-type]
    either(snakepit.put("one"))  # type: ignore[arg-type]
