"""Arguments that do not fit are refused at the call, and none that fit."""

from __future__ import annotations

import functools
import inspect
import itertools
import math
from collections.abc import Callable
from typing import Any

import pytest

from snakepit.api.signature import ANYTHING, Signature, flavour_of, parameters_of

FUNCTIONS: list[Callable[..., Any]] = [
    lambda: None,
    lambda a: None,
    lambda a, b=1: None,
    lambda a, /, b, *, c=1: None,
    lambda a, /, b=2, *rest: None,
    lambda *rest, c: None,
    lambda a=1, *, c, d=2: None,
    lambda a, /, **named: None,
    lambda a, b=1, *rest, c=3, **named: None,
    lambda **named: None,
]


def fits(signature: Signature, args: tuple[int, ...], kwargs: dict[str, int]) -> bool:
    """As the callers decide: by number when there are no keywords, else by a check."""
    if not kwargs and signature.low <= len(args) <= signature.high:
        return True
    try:
        signature.check("f", args, kwargs)
    except TypeError:
        return False
    return True


@pytest.mark.parametrize("function", FUNCTIONS, ids=lambda f: str(inspect.signature(f)))
def test_it_accepts_exactly_what_python_accepts(function: Callable[..., Any]) -> None:
    signature = Signature(parameters_of(function))
    for count in range(4):
        for size in range(4):
            for names in itertools.combinations("abcdx", size):
                args, kwargs = tuple(range(count)), dict.fromkeys(names, 0)
                try:
                    function(*args, **kwargs)
                    right = True
                except TypeError:
                    right = False
                assert fits(signature, args, kwargs) is right, (args, kwargs)


@pytest.mark.parametrize("function", FUNCTIONS, ids=lambda f: str(inspect.signature(f)))
def test_parameters_are_those_that_inspect_finds(function: Callable[..., Any]) -> None:
    expected = tuple(
        (name, int(item.kind), item.default is item.empty and item.kind not in (2, 4))
        for name, item in inspect.signature(function).parameters.items()
    )
    assert parameters_of(function) == expected


def test_the_message_says_what_is_wrong_and_what_is_called() -> None:
    def move(x: int, *, speed: float = 1.0) -> None: ...

    signature = Signature(parameters_of(move))
    with pytest.raises(TypeError, match=r"^move\(x, \*, speed=\.\.\.\): missing .* 'x'"):
        signature.check("move", (), {})
    with pytest.raises(TypeError, match="unexpected keyword argument 'sped'"):
        signature.check("move", (1,), {"sped": 2})
    with pytest.raises(TypeError, match="multiple values for argument 'x'"):
        signature.check("move", (1,), {"x": 2})
    with pytest.raises(TypeError, match="too many positional"):
        signature.check("move", (1, 2), {})


def test_methods_and_bound_functions_lose_their_first_parameter() -> None:
    class Thing:
        def act(self, amount: int) -> None: ...

    expected = (("amount", 1, True),)
    assert parameters_of(Thing.act, bound=True) == expected
    assert parameters_of(Thing().act) == expected


def test_what_is_no_function_tells_what_it_can() -> None:
    assert parameters_of(math.sqrt) == (("x", 0, True),)
    assert parameters_of(functools.partial(lambda a, b: None, 1)) == (("b", 1, True),)
    assert parameters_of(None) == ANYTHING
    assert fits(Signature(parameters_of(dict.fromkeys)), (1,), {})


def test_a_decorator_that_changes_the_arguments_is_not_seen_through() -> None:
    def plain(connection: str, key: int) -> None: ...

    @functools.wraps(plain)
    def connected(key: int) -> None: ...

    assert parameters_of(connected) == (("key", 1, True),)


def test_flavours() -> None:
    async def async_function() -> None: ...

    async def async_generator() -> Any:
        yield

    def generator() -> Any:
        yield

    def plain() -> None: ...

    class Thing:
        async def method(self) -> None: ...

    assert flavour_of(async_function) == "async"
    assert flavour_of(async_generator) == "async generator"
    assert flavour_of(functools.partial(async_function)) == "async"
    assert flavour_of(Thing().method) == "async"
    assert flavour_of(generator) == "generator"
    assert flavour_of(plain) == flavour_of(len) == flavour_of(Thing) == "plain"
