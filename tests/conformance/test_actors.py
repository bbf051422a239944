"""Actors: state, order, handles, methods, what is refused."""

from __future__ import annotations

import os
from typing import Any

import pytest

from tests.conformance.marks import not_inline


def test_an_actor_keeps_state(ray: Any, counter_class: Any) -> None:
    counter = counter_class.remote()
    assert ray.get([counter.add.remote() for _ in range(3)]) == [1, 2, 3]


def test_two_actors_have_a_state_each(ray: Any, counter_class: Any) -> None:
    a, b = counter_class.remote(), counter_class.remote(10)
    ray.get(a.add.remote())
    assert ray.get([a.value.remote(), b.value.remote()]) == [1, 10]


@not_inline("the actor has no process of its own")
def test_an_actor_has_a_process_of_its_own(ray: Any, counter_class: Any) -> None:
    a, b = counter_class.remote(), counter_class.remote()
    pids = {os.getpid(), *ray.get([a.pid.remote(), b.pid.remote(), a.pid.remote()])}
    assert len(pids) == 3


def test_a_constructor_takes_arguments(ray: Any, counter_class: Any) -> None:
    counter = counter_class.remote(5, step=2)
    assert ray.get(counter.add.remote()) == 7


def test_a_constructor_takes_references(ray: Any, counter_class: Any) -> None:
    counter = counter_class.remote(ray.put(5), step=ray.put(3))
    assert ray.get(counter.add.remote()) == 8


def test_a_method_takes_references_and_names(ray: Any, counter_class: Any) -> None:
    counter = counter_class.remote()
    assert ray.get(counter.add.remote(k=ray.put(4))) == 4


def test_calls_run_in_the_order_they_were_made(ray: Any) -> None:
    @ray.remote
    class Log:
        def __init__(self) -> None:
            self.seen: list[int] = []

        def note(self, i: int) -> None:
            self.seen.append(i)

        def all(self) -> list[int]:
            return self.seen

    log = Log.remote()
    for i in range(200):
        log.note.remote(i)
    assert ray.get(log.all.remote()) == list(range(200))


def test_calls_that_a_task_makes_keep_its_order(ray: Any) -> None:
    @ray.remote
    class Log:
        def __init__(self) -> None:
            self.seen: list[int] = []

        def note(self, i: int) -> None:
            self.seen.append(i)

        def all(self) -> list[int]:
            return self.seen

    @ray.remote
    def fill(log: Any) -> list[int]:
        for i in range(20):
            log.note.remote(i)
        return list(ray.get(log.all.remote()))

    assert ray.get(fill.remote(Log.remote())) == list(range(20))


def test_an_error_leaves_the_actor_alive(ray: Any, counter_class: Any) -> None:
    counter = counter_class.remote()
    with pytest.raises(KeyError, match="inside"):
        ray.get(counter.fails.remote())
    assert ray.get(counter.value.remote()) == 100


def test_an_error_of_a_method_is_a_task_error(ray: Any, counter_class: Any) -> None:
    counter = counter_class.remote()
    with pytest.raises(ray.exceptions.RayTaskError) as caught:
        ray.get(counter.fails.remote())
    assert isinstance(caught.value.cause, KeyError)
    assert not isinstance(caught.value, ray.exceptions.RayActorError)


def test_an_argument_that_failed_fails_the_method_and_not_the_actor(
    ray: Any, counter_class: Any
) -> None:
    @ray.remote
    def fails() -> int:
        raise OSError("argument")

    counter = counter_class.remote()
    with pytest.raises(OSError, match="argument"):
        ray.get(counter.add.remote(fails.remote()))
    assert ray.get(counter.value.remote()) == 0


# --- Handles --------------------------------------------------------------------------------


def test_a_handle_is_passed_to_tasks(ray: Any, counter_class: Any) -> None:
    @ray.remote
    def use(counter: Any) -> int:
        return int(ray.get(counter.add.remote()))

    counter = counter_class.remote()
    assert sorted(ray.get([use.remote(counter) for _ in range(3)])) == [1, 2, 3]


def test_a_handle_is_passed_in_a_container(ray: Any, counter_class: Any) -> None:
    @ray.remote
    def use(box: dict[str, Any]) -> int:
        return int(ray.get(box["counter"].add.remote()))

    counter = counter_class.remote()
    assert ray.get(use.remote({"counter": counter})) == 1


def test_a_handle_is_passed_to_an_actor(ray: Any, counter_class: Any) -> None:
    @ray.remote
    class User:
        def __init__(self, counter: Any) -> None:
            self.counter = counter

        def use(self) -> int:
            return int(ray.get(self.counter.add.remote()))

    counter = counter_class.remote()
    users = [User.remote(counter) for _ in range(2)]
    assert sorted(ray.get([user.use.remote() for user in users])) == [1, 2]


def test_a_handle_is_returned_by_a_task(ray: Any, counter_class: Any) -> None:
    @ray.remote
    def make() -> Any:
        return counter_class.remote(7)

    counter = ray.get(make.remote())
    assert ray.get(counter.value.remote()) == 7


def test_a_handle_is_put(ray: Any, counter_class: Any) -> None:
    counter = counter_class.remote(3)
    again = ray.get(ray.put(counter))
    assert ray.get(again.add.remote()) == 4
    assert ray.get(counter.value.remote()) == 4


def test_an_actor_passes_its_own_handle(ray: Any, counter_class: Any) -> None:
    counter = counter_class.remote()
    me = ray.get(counter.me.remote())
    assert ray.get(me.add.remote()) == 1
    assert ray.get(counter.value.remote()) == 1


def test_actors_make_actors(ray: Any, counter_class: Any) -> None:
    @ray.remote
    class Parent:
        def __init__(self) -> None:
            self.children = [counter_class.remote(i) for i in range(2)]

        def total(self) -> int:
            return sum(ray.get([child.value.remote() for child in self.children]))

    parent = Parent.remote()
    assert ray.get(parent.total.remote()) == 1


def test_a_handle_is_an_actor_handle(ray: Any, counter_class: Any) -> None:
    assert isinstance(counter_class.remote(), ray.actor.ActorHandle)


def test_an_actor_class_is_an_actor_class(ray: Any, counter_class: Any) -> None:
    assert isinstance(counter_class, ray.actor.ActorClass)


def test_handles_of_one_actor_are_equal(ray: Any, counter_class: Any) -> None:
    counter = counter_class.remote()
    again = ray.get(ray.put(counter))
    assert again == counter and hash(again) == hash(counter)
    assert counter != counter_class.remote()


def test_an_actor_calls_another_while_its_caller_waits(ray: Any, counter_class: Any) -> None:
    @ray.remote
    class Front:
        def __init__(self, back: Any) -> None:
            self.back = back

        def add(self) -> int:
            return int(ray.get(self.back.add.remote()))

    front = Front.remote(counter_class.remote())
    assert ray.get([front.add.remote() for _ in range(3)]) == [1, 2, 3]


# --- Methods --------------------------------------------------------------------------------


def test_a_methods_num_returns(ray: Any, counter_class: Any) -> None:
    counter = counter_class.remote(4)
    refs = counter.pair.remote()
    assert ray.get(refs) == [4, -4]


def test_a_methods_num_returns_at_the_call(ray: Any) -> None:
    @ray.remote
    class Pair:
        def both(self) -> tuple[int, int]:
            return 1, 2

    pair = Pair.remote()
    a, b = pair.both.options(num_returns=2).remote()
    assert ray.get([a, b]) == [1, 2]


def test_a_base_classes_methods_and_super(ray: Any) -> None:
    class Base:
        def __init__(self, n: int) -> None:
            self.n = n

        def value(self) -> int:
            return self.n

        def double(self) -> int:
            return 2 * self.value()

    @ray.remote
    class Child(Base):
        def __init__(self, n: int) -> None:
            super().__init__(n + 1)

        def value(self) -> int:
            return 10 * super().value()

    child = Child.remote(1)
    assert ray.get([child.value.remote(), child.double.remote()]) == [20, 40]


def test_static_and_class_methods(ray: Any) -> None:
    @ray.remote
    class Tools:
        base = 10

        @staticmethod
        def double(x: int) -> int:
            return 2 * x

        @classmethod
        def plus(cls, x: int) -> int:
            return cls.base + x

    tools = Tools.remote()
    assert ray.get([tools.double.remote(2), tools.plus.remote(1)]) == [4, 11]


def test_a_property_is_no_method(ray: Any) -> None:
    @ray.remote
    class Has:
        @property
        def size(self) -> int:
            return 1

    has = Has.remote()
    with pytest.raises(AttributeError):
        has.size.remote()


def test_a_class_without_a_constructor(ray: Any) -> None:
    @ray.remote
    class Bare:
        def hello(self) -> str:
            return "hello"

    assert ray.get(Bare.remote().hello.remote()) == "hello"


def test_a_method_calls_methods_of_its_object(ray: Any) -> None:
    @ray.remote
    class Chain:
        def first(self) -> str:
            return self.second() + "!"

        def second(self) -> str:
            return "second"

    assert ray.get(Chain.remote().first.remote()) == "second!"


def test_dunder_methods_can_be_called(ray: Any) -> None:
    @ray.remote
    class Sized:
        def __len__(self) -> int:
            return 3

    assert ray.get(Sized.remote().__len__.remote()) == 3
