"""Actors by name, and namespaces."""

from __future__ import annotations

import uuid
from typing import Any

import pytest

from tests.conformance.marks import differs
from tests.runtime.helpers import wait_until


@pytest.fixture
def name() -> str:
    """A name that nobody has."""
    return uuid.uuid4().hex


@pytest.fixture
def keeper_class(ray: Any) -> Any:
    """An actor that keeps a value."""

    @ray.remote
    class Keeper:
        def __init__(self, value: Any = None) -> None:
            self.value = value

        def put(self, value: Any) -> None:
            self.value = value

        def take(self) -> Any:
            return self.value

    return Keeper


def test_a_named_actor_is_found(ray: Any, keeper_class: Any, name: str) -> None:
    keeper = keeper_class.options(name=name).remote(1)
    found = ray.get_actor(name)
    ray.get(found.put.remote(2))
    assert ray.get(keeper.take.remote()) == 2


def test_a_named_actor_is_found_by_tasks(ray: Any, keeper_class: Any, name: str) -> None:
    @ray.remote
    def look() -> Any:
        return ray.get(ray.get_actor(name).take.remote())

    keeper = keeper_class.options(name=name).remote("here")
    ray.get(keeper.take.remote())
    assert ray.get(look.remote()) == "here"


def test_a_named_actor_is_equal_to_the_one_found(ray: Any, keeper_class: Any, name: str) -> None:
    keeper = keeper_class.options(name=name).remote()
    assert ray.get_actor(name) == keeper


def test_a_name_that_nobody_has_is_a_value_error(ray: Any, name: str) -> None:
    with pytest.raises(ValueError, match=name):
        ray.get_actor(name)


def test_an_empty_name_is_a_value_error(ray: Any) -> None:
    with pytest.raises(ValueError):
        ray.get_actor("")


def test_a_name_is_given_once(ray: Any, keeper_class: Any, name: str) -> None:
    keeper = keeper_class.options(name=name).remote(1)
    with pytest.raises(ValueError):
        keeper_class.options(name=name).remote(2)
    assert ray.get(keeper.take.remote()) == 1


def test_a_taken_name_has_an_error_of_its_own(ray: Any, keeper_class: Any, name: str) -> None:
    _keeper = keeper_class.options(name=name).remote(1)
    with pytest.raises(ray.exceptions.ActorAlreadyExistsError):
        keeper_class.options(name=name).remote(2)


def test_a_name_is_free_after_a_kill(ray: Any, keeper_class: Any, name: str) -> None:
    keeper = keeper_class.options(name=name).remote(1)
    ray.get(keeper.take.remote())
    ray.kill(keeper)

    def gone() -> bool:
        try:
            ray.get_actor(name)
        except ValueError:
            return True
        return False

    assert wait_until(gone)
    again = keeper_class.options(name=name).remote(2)
    assert ray.get(again.take.remote()) == 2


def test_a_name_is_free_after_the_last_handle(ray: Any, keeper_class: Any, name: str) -> None:
    keeper = keeper_class.options(name=name).remote(1)
    ray.get(keeper.take.remote())
    del keeper

    def gone() -> bool:
        try:
            ray.get_actor(name)
        except ValueError:
            return True
        return False

    assert wait_until(gone)


def test_a_name_in_a_namespace(ray: Any, keeper_class: Any, name: str) -> None:
    keeper = keeper_class.options(name=name, namespace="elsewhere").remote(1)
    ray.get(keeper.take.remote())
    with pytest.raises(ValueError):
        ray.get_actor(name)
    assert ray.get_actor(name, namespace="elsewhere") == keeper


def test_one_name_in_two_namespaces(ray: Any, keeper_class: Any, name: str) -> None:
    a = keeper_class.options(name=name, namespace="a").remote("a")
    b = keeper_class.options(name=name, namespace="b").remote("b")
    assert a != b
    found = [ray.get_actor(name, namespace=space) for space in "ab"]
    assert ray.get([each.take.remote() for each in found]) == ["a", "b"]


def test_the_name_is_in_the_runtime_context(ray: Any, name: str) -> None:
    @ray.remote
    class Knows:
        def name(self) -> Any:
            return ray.get_runtime_context().get_actor_name()

    assert ray.get(Knows.options(name=name).remote().name.remote()) == name
    assert not ray.get(Knows.remote().name.remote())


def test_named_actors_are_listed(ray: Any, keeper_class: Any, name: str) -> None:
    import importlib

    util = importlib.import_module(f"{ray.__name__}.util")
    keeper = keeper_class.options(name=name).remote()
    elsewhere = keeper_class.options(name=name, namespace="listed").remote()
    ray.get([keeper.take.remote(), elsewhere.take.remote()])
    assert name in util.list_named_actors()
    everywhere = util.list_named_actors(all_namespaces=True)
    assert {"name": name, "namespace": "listed"} in everywhere


@differs(
    "`get_actor` of a name that is no string is a `TypeError`.",
    because="it says what is wrong; Ray looks for it, or fails inside.",
)
def test_a_name_is_a_string(ray: Any, expect: Any) -> None:
    with pytest.raises(expect(snakepit=TypeError, ray=(TypeError, AttributeError, ValueError))):
        ray.get_actor(5)


def test_get_if_exists_makes_or_finds(ray: Any, keeper_class: Any, name: str) -> None:
    shared = keeper_class.options(name=name, get_if_exists=True)
    first, second = shared.remote(1), shared.remote(2)
    assert ray.get([first.take.remote(), second.take.remote()]) == [1, 1]


def test_get_if_exists_in_tasks_at_once(ray: Any, keeper_class: Any, name: str) -> None:
    @ray.remote
    def use(i: int) -> Any:
        keeper = keeper_class.options(name=name, get_if_exists=True).remote(i)
        return keeper, ray.get(keeper.take.remote())

    keeper = keeper_class.options(name=name, get_if_exists=True).remote("first")
    ray.get(keeper.take.remote())
    found = ray.get([use.remote(i) for i in range(4)])
    assert [value for _, value in found] == ["first"] * 4
    assert all(each == keeper for each, _ in found)


def test_get_if_exists_needs_a_name(ray: Any, keeper_class: Any) -> None:
    with pytest.raises(ValueError):
        keeper_class.options(get_if_exists=True).remote()


def test_a_detached_actor_outlives_its_handles(ray: Any, keeper_class: Any, name: str) -> None:
    keeper = keeper_class.options(name=name, lifetime="detached").remote(1)
    ray.get(keeper.put.remote(2))
    del keeper
    found = ray.get_actor(name)
    assert ray.get(found.take.remote()) == 2
    ray.kill(found)


def test_a_detached_actor_outlives_the_task_that_made_it(
    ray: Any, keeper_class: Any, name: str
) -> None:
    @ray.remote
    def make() -> None:
        keeper = keeper_class.options(name=name, lifetime="detached").remote("made")
        ray.get(keeper.take.remote())

    ray.get(make.remote())
    found = ray.get_actor(name)
    assert ray.get(found.take.remote()) == "made"
    ray.kill(found)
