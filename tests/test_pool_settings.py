"""Every setting of a pool is checked when it is made, by an error that names it."""

from __future__ import annotations

import inspect

import pytest

import snakepit
from snakepit import errors

SETTINGS = [name for name in inspect.signature(snakepit.Pool.__new__).parameters if name != "cls"]
WRONG: tuple[object, ...] = (object(), -(10**30), float("nan"), [[]])


def test_there_are_settings() -> None:
    assert {"name", "size", "heartbeat", "start_timeout"} <= set(SETTINGS)


@pytest.mark.parametrize("setting", SETTINGS)
def test_a_wrong_value_is_refused_by_name(setting: str) -> None:
    for value in WRONG:
        with pytest.raises((TypeError, errors.OptionError), match=setting):
            snakepit.Pool(**{"name": "a", setting: value})  # type: ignore[arg-type]


def test_names_that_cannot_be_sent_are_refused() -> None:
    """They would end the runtime, which could not tell a worker of them."""
    with pytest.raises(errors.OptionError, match="namespace must be text that UTF-8 can encode"):
        snakepit.init(namespace="\ud800")
    assert not snakepit.is_initialized()
