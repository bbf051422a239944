"""What messages cannot hold; and lone surrogates, which they can, as in names of files."""

from __future__ import annotations

import os
from typing import Any

import pytest

import snakepit
from snakepit import protocol
from snakepit.errors import ObjectLostError, SerializationError, WorkerCrashedError
from snakepit.util import tqdm
from tests.runtime.helpers import core

pytestmark = pytest.mark.usefixtures("runtime")

NAME = os.fsdecode(b"caf\xe9.txt")


@snakepit.remote
def columns(**given: Any) -> dict[str, Any]:
    return given


@snakepit.remote
class Table:
    def columns(self, **given: Any) -> dict[str, Any]:
        return given


def plain() -> str:
    print("a line under its name")
    return "done"


@snakepit.remote
def inside() -> Any:
    return snakepit.get(columns.remote(**{NAME: snakepit.put(1)}))


def test_a_reference_given_by_such_a_keyword() -> None:
    """It stands in the message itself, not in the pickle."""
    for _ in range(3):
        assert snakepit.get(columns.remote(**{NAME: snakepit.put(1)})) == {NAME: 1}
    assert snakepit.get(inside.remote()) == {NAME: 1}
    assert snakepit.get(Table.remote().columns.remote(**{NAME: snakepit.put(2)})) == {NAME: 2}


def named(function: Any) -> Any:
    function.__name__ = function.__qualname__ = NAME
    return function


def test_a_function_of_such_a_name() -> None:
    function = named(lambda: plain())
    assert snakepit.get(snakepit.remote(function).remote()) == "done"

    crash = snakepit.remote(max_retries=0)(named(lambda: os._exit(3)))
    with pytest.raises(WorkerCrashedError, match="exited with code 3"):
        snakepit.get(crash.remote())


def test_a_method_of_such_a_name() -> None:
    kind = type("Kind", (), {NAME: lambda self: 7})
    actor: Any = snakepit.remote(kind).remote()
    assert snakepit.get(getattr(actor, NAME).remote()) == 7


@snakepit.remote
def bars(**options: Any) -> list[int]:
    return list(tqdm(range(3), **options))


@pytest.mark.parametrize("options", [{"desc": NAME}, {"unit": NAME}, {"total": 2**70}])
def test_a_bar_that_cannot_be_sent_as_it_is(options: dict[str, Any]) -> None:
    assert snakepit.get(bars.remote(**options)) == [0, 1, 2]


@snakepit.remote
def describe() -> Any:
    try:
        return protocol.current().describe()  # type: ignore[union-attr]
    except SerializationError as error:
        return str(error)


def test_an_answer_that_cannot_be_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(core(), "facts", lambda: {"run": 2**70})
    assert "the driver has no answer: a message Answer cannot" in snakepit.get(describe.remote())
    monkeypatch.undo()
    assert "run" in snakepit.get(describe.remote())


class Refuses:
    def __init__(self, encode: Any) -> None:
        self.encode = encode

    def __call__(self, message: Any) -> Any:
        return self.encode(message)

    def fields(self, numbered: Any) -> bytes:
        raise SerializationError("a message Execute cannot be sent: it is a test")


def test_a_call_that_cannot_be_sent_fails_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    assert snakepit.get(columns.remote()) == {}  # It has been defined where it runs next.
    monkeypatch.setattr(core(), "_encode", Refuses(core()._encode))
    refs = [columns.remote() for _ in range(3)]
    monkeypatch.undo()
    for ref in refs:
        with pytest.raises(ObjectLostError, match="it is a test"):
            snakepit.get(ref)
    assert snakepit.available_resources()["CPU"] == 2
    assert snakepit.get([columns.remote(a=1) for _ in range(8)]) == [{"a": 1}] * 8
