"""The decorator: what it takes, and what it refuses."""

from __future__ import annotations

from typing import Any

import pytest

import snakepit


def function() -> None: ...


class Thing:
    def method(self) -> None: ...


def test_with_and_without_options() -> None:
    assert type(snakepit.remote(function)) is snakepit.RemoteFunction
    assert type(snakepit.remote(num_cpus=1)(function)) is snakepit.RemoteFunction
    assert type(snakepit.remote(Thing)) is snakepit.ActorClass
    assert type(snakepit.remote(num_cpus=1)(Thing)) is snakepit.ActorClass


@pytest.mark.parametrize("wrong", [1, "f", None, [function]])
def test_what_cannot_be_called_is_refused(wrong: Any) -> None:
    with pytest.raises(TypeError, match="decorates a function or a class"):
        snakepit.remote(wrong)
    with pytest.raises(TypeError, match="decorates a function or a class"):
        snakepit.remote(num_cpus=1)(wrong)


@pytest.mark.parametrize("arguments", [((), {}), ((function, 1), {}), ((function,), {"name": "f"})])
def test_options_go_by_name(arguments: Any) -> None:
    args, options = arguments
    with pytest.raises(TypeError, match="options by name"):
        snakepit.remote(*args, **options)


def test_what_is_remote_already_is_refused(fake: Any) -> None:
    made: Any = snakepit.remote(Thing)
    handle = made.remote()
    for remote in (
        made,
        snakepit.remote(function),
        made.options(num_cpus=1),
        handle,
        handle.method,
    ):
        with pytest.raises(TypeError, match="is remote already"):
            snakepit.remote(remote)
