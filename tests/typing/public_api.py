"""What type checkers must make of the public API; read by them, never run."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from concurrent.futures import Future
from typing import Any, TypeVar, assert_type

import snakepit
from snakepit import ActorClass, ActorHandle, ObjectRef, ObjectRefGenerator, RemoteFunction
from snakepit.actor import Actor, ActorProxy

R = TypeVar("R")


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
    _: RemoteFunction[[int], ObjectRef[int]] = double
    assert_type(double.remote(1), ObjectRef[int])
    assert_type(double.remote(double.remote(1)), ObjectRef[int])
    assert_type(describe.remote(1, unit="km"), ObjectRef[str])
    assert_type(fetch.remote("a"), ObjectRef[bytes])
    assert_type(double.options(num_cpus=2).remote(1), ObjectRef[int])
    assert_type(double.options(session="s").remote(1), ObjectRef[int])
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


@snakepit.remote
def mixed(first: int, second: str, third: float, fourth: bytes = b"") -> int:
    return first


@snakepit.remote
def total(*numbers: int, **named: str) -> int:
    return sum(numbers)


@snakepit.remote
def same(value: R) -> R:
    return value


@snakepit.remote
def anything(value: Any) -> Any:
    return value


@snakepit.remote
def applied(function: Callable[[int], int], number: int) -> int:
    return function(number)


def arguments() -> None:
    number, text = snakepit.put(1), snakepit.put("km")
    assert_type(describe.remote(number, text), ObjectRef[str])
    assert_type(describe.remote(1, text), ObjectRef[str])
    assert_type(describe.remote(number, unit="km"), ObjectRef[str])
    assert_type(describe.options(name="a").remote(number, text), ObjectRef[str])
    assert_type(mixed.remote(1, "a", snakepit.put(1.0)), ObjectRef[int])
    assert_type(mixed.remote(1, text, 1.0, snakepit.put(b"")), ObjectRef[int])
    assert_type(total.remote(), ObjectRef[int])
    assert_type(total.remote(*[1, 2, 3], unit="km"), ObjectRef[int])
    assert_type(total.remote(number, number, number), ObjectRef[int])
    assert_type(applied.remote(lambda n: n + 1, number), ObjectRef[int])
    assert_type(snakepit.get(anything.remote(number)), Any)
    same.remote(1)
    same.remote(text)
    numbers.remote(number)
    split.remote(text)


def passed_on(value: int | ObjectRef[int], unit: str | ObjectRef[str]) -> None:
    assert_type(describe.remote(value, unit), ObjectRef[str])


def argument_mistakes() -> None:
    double.remote("one")  # type: ignore[call-overload]
    double.remote()  # type: ignore[call-overload]
    double.remote(1, 2)  # type: ignore[call-overload]
    double.remote(figure=1)  # type: ignore[call-overload]
    describe.remote(1, units="km")  # type: ignore[call-overload]
    describe.remote(snakepit.put(1), 2)  # type: ignore[call-overload]
    mixed.remote(1, snakepit.put("km"), "three")  # type: ignore[call-overload]
    total.remote(1, "two")  # type: ignore[call-overload]
    applied.remote(1, 2)  # type: ignore[call-overload]
    numbers.remote("one")  # type: ignore[call-overload]
    few.remote("one")  # type: ignore[call-overload]
    listed.remote("one")  # type: ignore[call-overload]
    split.remote(1)  # type: ignore[call-overload]


def options_keep_parameters() -> None:
    describe.options(name="a").remote("one")  # type: ignore[call-overload]
    describe.options(num_returns=2).remote("one")  # type: ignore[call-overload]


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
    assert_type(made.options(pool="p").remote(), ActorHandle[Plain])
    assert_type(handle.add.remote(1), Any)
    assert_type(handle.add.options(num_returns=2).remote(1), Any)
    assert_type(snakepit.get_actor("a"), ActorHandle[Any])
    snakepit.kill(handle, no_restart=False)


@snakepit.remote
class Adder(Actor):
    def __init__(self, start: int = 0, unit: str = "m") -> None:
        self.value = start

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


@snakepit.remote(num_cpus=1)
class Pair(Actor):
    def __init__(self, left: int, right: str, *rest: float) -> None:
        self.left = left


def typed_constructors() -> None:
    number, text = snakepit.put(1), snakepit.put("km")
    assert_type(Adder.remote(1, unit="km"), ActorProxy[Adder])
    assert_type(Adder.remote(number, text), ActorProxy[Adder])
    assert_type(Pair.remote(1, text), ActorProxy[Pair])
    assert_type(Pair.remote(1, "a", snakepit.put(1.0)), ActorProxy[Pair])
    assert_type(Pair.options(name="a").remote(number, "a"), ActorProxy[Pair])


def typed_constructor_mistakes() -> None:
    Adder.remote("one")  # type: ignore[call-overload]
    Adder.remote(1, units="km")  # type: ignore[call-overload]
    Pair.remote()  # type: ignore[call-overload]
    Pair.remote(snakepit.put(1), 2)  # type: ignore[call-overload]
    Pair.options(name="a").remote("one", "a")  # type: ignore[call-overload]


def life() -> None:
    with snakepit.init(num_cpus=2, resources={"camera": 1.0}) as context:
        assert_type(context["num_cpus"], Any)
    assert_type(snakepit.is_initialized(), bool)
    assert_type(snakepit.get_runtime_context().get_actor_id(), str | None)


def script() -> None:
    assert_type(snakepit.run_as_script(life, timeout=3, on_signal=print), int)
    snakepit.run_as_script(life, exit_mode="halt")  # type: ignore[arg-type]


def mistakes() -> None:
    snakepit.init(cpus=2)  # type: ignore[arg-type]
    double.options(cpus=2)  # type: ignore[call-overload]
    snakepit.remote(Plain).options(num_returns=2)  # type: ignore[call-arg]
    snakepit.get(double)  # type: ignore[call-overload]
