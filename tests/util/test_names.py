"""Which actors have names, as the driver and tasks see it."""

from __future__ import annotations

from typing import Any

import pytest

import snakepit
from snakepit.util import list_named_actors
from tests.runtime.helpers import wait_until

pytestmark = pytest.mark.usefixtures("runtime")


@snakepit.remote
class Actor:
    pass


@snakepit.remote
def listed(all_namespaces: bool) -> Any:
    return list_named_actors(all_namespaces)


def test_names_are_listed_while_their_actors_live() -> None:
    assert list_named_actors() == []
    actors = [Actor.options(name=name).remote() for name in ("b", "a")]
    elsewhere = Actor.options(name="c", namespace="elsewhere").remote()
    unnamed = Actor.remote()
    assert list_named_actors() == ["a", "b"]
    every = [
        {"namespace": "", "name": "a"},
        {"namespace": "", "name": "b"},
        {"namespace": "elsewhere", "name": "c"},
    ]
    assert list_named_actors(all_namespaces=True) == every
    assert snakepit.get(listed.remote(False)) == ["a", "b"]
    assert snakepit.get(listed.remote(True)) == every
    snakepit.kill(actors[0])
    assert wait_until(lambda: list_named_actors() == ["a"])
    del actors, elsewhere, unnamed
    assert wait_until(lambda: list_named_actors(True) == [])


def test_bad_input_is_named() -> None:
    with pytest.raises(TypeError, match="all_namespaces must be True or False, not 'yes'"):
        list_named_actors("yes")  # type: ignore[call-overload]
