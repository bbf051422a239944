"""What type checkers must make of the public API; read by them, never run."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Iterator
from concurrent.futures import Future
from typing import Any, assert_type

import snakepit
from snakepit import ActorClass, ActorHandle, ObjectRef, ObjectRefGenerator, RemoteFunction
from snakepit.actor import Actor, ActorProxy


@snakepit.remote
def double(number: int) -> int:
    return 2 * number


@snakepit.remote(num_cpus=0.5, resources={"camera": 1})
def describe(number: int, unit: str = "m") -> str:
    return f"{number} {unit}"


@snakepit.remote(max_retries=-1, retry_exceptions=[OSError])
def fetch(address: str) -> bytes:
    return address.encode()


@snakepit.remote(num_returns=2)
def split(text: str) -> tuple[str, str]:
    return text[:1], text[1:]


@snakepit.remote
class Counter:
    def __init__(self, start: int = 0) -> None:
        self.value = start

    @snakepit.method(num_returns=2)
    def both(self) -> tuple[int, int]:
        return self.value, -self.value

    def add(self, amount: int) -> int:
        self.value += amount
        return self.value


@snakepit.remote(num_cpus=1, name="one")
class Named:
    pass


@snakepit.remote(max_restarts=-1, max_task_retries=2, lifetime="non_detached")
class Lasting:
    pass


def functions() -> None:
    assert_type(double, RemoteFunction[ObjectRef[int]])
    assert_type(double.remote(1), ObjectRef[int])
    assert_type(double.remote(double.remote(1)), ObjectRef[int])
    assert_type(describe.remote(1, unit="km"), ObjectRef[str])
    assert_type(fetch.remote("a"), ObjectRef[bytes])
    assert_type(double.options(num_cpus=2).remote(1), ObjectRef[int])
    assert_type(double.options(name="twice", max_retries=0).remote(1), ObjectRef[int])
    assert_type(snakepit.remote(len).remote("abc"), ObjectRef[int])


@snakepit.remote
def numbers(n: int) -> Iterator[int]:
    yield from range(n)


@snakepit.remote(_generator_backpressure_num_objects=2)
def few(n: int) -> Iterator[str]:
    yield from map(str, range(n))


@snakepit.remote(num_returns="streaming")
def listed(n: int) -> Iterable[bytes]:
    return iter([b"x"] * n)


def generators() -> None:
    assert_type(numbers.remote(2), ObjectRefGenerator[int])
    assert_type(next(numbers.remote(2)), ObjectRef[int])
    assert_type([snakepit.get(ref) for ref in few.remote(2)], list[str])
    assert_type(listed.remote(2), ObjectRefGenerator[bytes])
    assert_type(numbers.remote(2).completed(), ObjectRef[None])
    assert_type(numbers.options(num_returns="dynamic").remote(1), Any)


async def streamed() -> None:
    assert_type([await ref async for ref in numbers.remote(2)], list[int])


def several_returns() -> None:
    assert_type(split.remote("text"), Any)
    assert_type(double.options(num_returns=0).remote(1), Any)


def values() -> None:
    ref = double.remote(1)
    assert_type(snakepit.get(ref), int)
    assert_type(snakepit.get(ref, timeout=1), int)
    assert_type(snakepit.get([ref, ref]), list[int])
    assert_type(snakepit.put("text"), ObjectRef[str])
    assert_type(
        snakepit.wait([ref], num_returns=1), tuple[list[ObjectRef[int]], list[ObjectRef[int]]]
    )
    assert_type(ref.hex(), str)
    mixed: list[ObjectRef[int] | ObjectRef[str]] = [ref, snakepit.put("text")]
    assert_type(snakepit.get(mixed), list[Any])
    widened(ref)


def futures() -> None:
    assert_type(double.remote(1).future(), Future[int])


def widened(wider: ObjectRef[float]) -> None:
    assert_type(snakepit.get(wider), float)


async def awaited() -> None:
    assert_type(await double.remote(1), int)


class Plain:
    def add(self, amount: int) -> int:
        return amount


def actors() -> None:
    made = snakepit.remote(Plain)
    assert_type(made, ActorClass[Plain])
    handle = made.remote()
    assert_type(handle, ActorHandle[Plain])
    assert_type(made.options(name="a", max_restarts=1).remote(), ActorHandle[Plain])
    assert_type(handle.add.remote(1), Any)
    assert_type(handle.add.options(num_returns=2).remote(1), Any)
    assert_type(snakepit.get_actor("a"), ActorHandle[Any])
    snakepit.kill(handle, no_restart=False)


@snakepit.remote
class Adder(Actor):
    @snakepit.method
    def add(self, amount: int, unit: str = "m") -> int:
        return amount

    @snakepit.method(max_task_retries=2)
    def twice(self, amount: int) -> int:
        assert_type(self.add(amount), int)
        self.add("one")  # type: ignore[arg-type]
        return self.add(amount) * 2

    @snakepit.method(concurrency_group="io")
    async def later(self, amount: int) -> str:
        return str(amount)

    @snakepit.method
    def items(self, amount: int) -> Iterator[int]:
        yield amount

    @snakepit.method
    async def slowly(self, amount: int) -> AsyncIterator[int]:
        yield amount

    @snakepit.method(num_returns=2)
    def both(self, amount: int) -> tuple[int, int]:
        return amount, amount


def typed_methods() -> None:
    adder = Adder.remote()
    handle: ActorProxy[Adder] = adder
    assert_type(handle.add.remote(1), ObjectRef[int])
    assert_type(snakepit.get(handle.add.remote(1, unit="km")), int)
    assert_type(snakepit.get([handle.add.remote(1)]), list[int])
    assert_type(handle.twice.remote(1), ObjectRef[int])
    assert_type(handle.later.remote(1), ObjectRef[str])
    assert_type(handle.items.remote(1), ObjectRefGenerator[int])
    assert_type(handle.slowly.remote(1), ObjectRefGenerator[int])
    assert_type(handle.both.remote(1), Any)
    assert_type(Adder.options(name="a").remote(), ActorProxy[Adder])
    snakepit.kill(adder)


def typed_method_options() -> None:
    adder = Adder.remote()
    assert_type(adder.add.options(name="a").remote(1), ObjectRef[int])
    assert_type(adder.add.options(num_returns=2).remote(1), Any)
    adder.add.options(name="a").remote("one")  # type: ignore[call-overload]


def typed_method_references() -> None:
    adder = Adder.remote()
    number, text = snakepit.put(1), snakepit.put("km")
    assert_type(adder.add.remote(number), ObjectRef[int])
    assert_type(adder.add.remote(number, unit="km"), ObjectRef[int])
    assert_type(adder.add.remote(1, text), ObjectRef[int])
    assert_type(adder.add.remote(number, text), ObjectRef[int])


def typed_method_mistakes() -> None:
    adder = Adder.remote()
    adder.add.remote("one")  # type: ignore[call-overload]
    adder.add.remote()  # type: ignore[call-overload]
    adder.items.remote("one")  # type: ignore[call-overload]
    adder.later.remote("one")  # type: ignore[call-overload]
    adder.both.remote("one")  # type: ignore[call-overload]
    adder.subtract.remote()  # type: ignore[union-attr]


def life() -> None:
    with snakepit.init(num_cpus=2, resources={"camera": 1.0}) as context:
        assert_type(context["num_cpus"], Any)
    assert_type(snakepit.is_initialized(), bool)
    assert_type(snakepit.get_runtime_context().get_actor_id(), str | None)


def mistakes() -> None:
    snakepit.init(cpus=2)  # type: ignore[arg-type]
    double.options(cpus=2)  # type: ignore[call-overload]
    snakepit.remote(Plain).options(num_returns=2)  # type: ignore[call-arg]
    snakepit.get(double)  # type: ignore[call-overload]
