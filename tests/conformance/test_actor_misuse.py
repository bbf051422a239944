"""What actors, their classes and methods refuse."""

from __future__ import annotations

from typing import Any

import pytest

from tests.conformance.marks import differs


def test_an_actor_class_cannot_be_called(ray: Any, counter_class: Any) -> None:
    with pytest.raises(TypeError, match="remote"):
        counter_class()


def test_a_method_cannot_be_called(ray: Any, counter_class: Any) -> None:
    counter = counter_class.remote()
    with pytest.raises(TypeError, match="remote"):
        counter.add(1)


def test_an_actor_class_is_no_base_class(ray: Any, counter_class: Any) -> None:
    with pytest.raises(TypeError):
        type("Child", (counter_class,), {})
    with pytest.raises(TypeError):

        class Child(counter_class):  # type: ignore[misc]
            pass


def test_an_unknown_method_is_an_attribute_error(ray: Any, counter_class: Any) -> None:
    counter = counter_class.remote()
    with pytest.raises(AttributeError):
        counter.unknown.remote()


@pytest.mark.parametrize("args", [(1, 2, 3), ()], ids=str)
def test_constructor_arguments_that_do_not_fit_are_refused(ray: Any, args: Any) -> None:
    @ray.remote
    class Needs:
        def __init__(self, a: int, b: int = 0) -> None: ...

    with pytest.raises(TypeError):
        Needs.remote(*args)


def test_method_arguments_that_do_not_fit_are_refused(ray: Any, counter_class: Any) -> None:
    counter = counter_class.remote()
    with pytest.raises(TypeError):
        counter.add.remote(1, 2)
    with pytest.raises(TypeError):
        counter.add.remote(unknown=1)


@pytest.mark.parametrize(
    "given",
    [
        {"unknown": 1},
        {"max_retries": 1},
        {"num_returns": 2},
        {"max_restarts": -2},
        {"max_task_retries": -2},
        {"num_cpus": -1},
        {"max_restarts": "1"},
        {"lifetime": "short"},
        {"name": 5},
        {"namespace": 5},
        {"name": ""},
    ],
    ids=str,
)
def test_options_that_are_not_allowed_are_refused(ray: Any, given: Any) -> None:
    class A:
        pass

    with pytest.raises((ValueError, TypeError)):
        ray.remote(A).options(**given).remote()


@differs(
    "`max_concurrency=0` is refused.",
    because="no call could ever run in it.",
)
def test_no_concurrency_at_all(ray: Any, expect: Any) -> None:
    class A:
        pass

    try:
        ray.remote(A).options(max_concurrency=0)
    except ValueError:
        refused = True
    else:
        refused = False
    assert refused is expect(snakepit=True, ray=False)


def test_unknown_method_options_are_refused(ray: Any) -> None:
    with pytest.raises((ValueError, AssertionError, TypeError)):

        class A:
            @ray.method(unknown=1)
            def f(self) -> None: ...


def test_the_state_of_an_actor_is_not_on_its_handle(ray: Any, counter_class: Any) -> None:
    counter = counter_class.remote()
    with pytest.raises(AttributeError):
        _ = counter.n
