"""Remote functions: how they are made, called and given options."""

from __future__ import annotations

import functools
import os
from typing import Any

import pytest

from tests.conformance.marks import differs, not_inline
from tests.runtime.helpers import wait_until


def test_a_remote_call_returns_a_reference_at_once_and_get_the_value(ray: Any) -> None:
    @ray.remote
    def square(x: int) -> int:
        return x * x

    ref = square.remote(7)
    assert isinstance(ref, ray.ObjectRef)
    assert ray.get(ref) == 49


@not_inline("there is one process")
def test_a_task_runs_in_another_process(ray: Any) -> None:
    @ray.remote
    def pid() -> int:
        return os.getpid()

    assert ray.get(pid.remote()) != os.getpid()


def test_a_function_cannot_be_called_directly(ray: Any) -> None:
    @ray.remote
    def f() -> None: ...

    with pytest.raises(TypeError, match="remote"):
        f()


def test_a_function_that_returns_nothing_gives_none(ray: Any) -> None:
    @ray.remote
    def f() -> None: ...

    assert ray.get(f.remote()) is None


@pytest.mark.parametrize(
    ("args", "kwargs", "expected"),
    [
        ((1,), {}, (1, 2, (), 3, {})),
        ((1, 5), {}, (1, 5, (), 3, {})),
        ((1,), {"b": 6}, (1, 6, (), 3, {})),
        ((), {"b": 6, "a": 4}, (4, 6, (), 3, {})),
        ((1, 2, 8, 9), {}, (1, 2, (8, 9), 3, {})),
        ((1,), {"c": 0}, (1, 2, (), 0, {})),
        ((1,), {"d": 4, "e": 5}, (1, 2, (), 3, {"d": 4, "e": 5})),
    ],
)
def test_arguments_bind_as_in_python(ray: Any, args: Any, kwargs: Any, expected: Any) -> None:
    @ray.remote
    def f(a: Any, b: Any = 2, *rest: Any, c: Any = 3, **more: Any) -> Any:
        return a, b, rest, c, more

    assert ray.get(f.remote(*args, **kwargs)) == expected


@pytest.mark.parametrize(
    ("args", "kwargs"),
    [((), {}), ((1, 2, 3), {}), ((1,), {"a": 2}), ((1,), {"unknown": 2}), ((), {"b": 1})],
)
def test_arguments_that_do_not_fit_are_refused_at_the_call(
    ray: Any, args: Any, kwargs: Any
) -> None:
    @ray.remote
    def f(a: Any, b: Any = 2) -> Any:
        return a, b

    with pytest.raises(TypeError):
        f.remote(*args, **kwargs)


def test_a_function_closes_over_what_its_maker_had(ray: Any) -> None:
    def made(step: int) -> Any:
        @ray.remote
        def add(x: int) -> int:
            return x + step

        return add

    assert ray.get([made(1).remote(1), made(10).remote(1)]) == [2, 11]


def test_what_a_function_closes_over_is_taken_as_it_is_at_its_first_call(ray: Any) -> None:
    base = {"n": 1}

    @ray.remote
    def look() -> int:
        return base["n"]

    assert ray.get(look.remote()) == 1
    base["n"] = 2
    assert ray.get(look.remote()) == 1


def test_a_lambda_becomes_remote(ray: Any) -> None:
    double = ray.remote(lambda x: 2 * x)
    assert ray.get(double.remote(4)) == 8


def test_remote_as_a_plain_call_leaves_the_function_alone(ray: Any) -> None:
    def f(x: int) -> int:
        return x + 1

    g = ray.remote(f)
    assert f(1) == 2
    assert ray.get(g.remote(1)) == 2


@differs(
    "A remote function has the `__name__` and `__doc__` of the function that it wraps.",
    because="tools that show or document functions ask for it.",
)
def test_remote_keeps_name_and_docstring(ray: Any, expect: Any) -> None:
    @ray.remote
    def named() -> None:
        """What it does."""

    found = getattr(named, "__name__", None), named.__doc__
    assert found == expect(snakepit=("named", "What it does."), ray=(None, type(named).__doc__))


@differs(
    "What cannot be made remote, as `remote(1)`, is a `TypeError`; in Ray an `AssertionError`.",
    because="assertions are for the defects of the library, and `python -O` drops them.",
)
@pytest.mark.parametrize("target", [1, "f", None, [len]])
def test_remote_takes_functions_and_classes_only(ray: Any, expect: Any, target: Any) -> None:
    with pytest.raises(expect(snakepit=TypeError, ray=AssertionError)):
        ray.remote(target)


@differs(
    "`@remote()` with empty parentheses is a `TypeError`; in Ray an `AssertionError`.",
    because="assertions are for the defects of the library, and `python -O` drops them.",
)
def test_remote_with_empty_parentheses_is_refused(ray: Any, expect: Any) -> None:
    with pytest.raises(expect(snakepit=TypeError, ray=AssertionError)):

        @ray.remote()
        def f() -> None: ...


def test_remote_with_options_by_position_is_refused(ray: Any) -> None:
    with pytest.raises((TypeError, AssertionError)):
        ray.remote(2, num_cpus=1)


def test_an_async_function_is_no_task(ray: Any) -> None:
    async def f() -> None: ...

    with pytest.raises(ValueError):
        ray.remote(f)


def test_a_task_calls_itself(ray: Any) -> None:
    @ray.remote
    def factorial(n: int) -> int:
        return 1 if n < 2 else n * int(ray.get(factorial.remote(n - 1)))

    assert ray.get(factorial.remote(4)) == 24


def test_tasks_call_tasks(ray: Any) -> None:
    @ray.remote
    def leaf(x: int) -> int:
        return x + 1

    @ray.remote
    def root(n: int) -> int:
        return sum(ray.get([leaf.remote(i) for i in range(n)]))

    assert ray.get(root.remote(5)) == 15


def test_a_task_returns_the_reference_of_another_task(ray: Any) -> None:
    @ray.remote
    def leaf() -> str:
        return "leaf"

    @ray.remote
    def root() -> Any:
        return leaf.remote()

    inner = ray.get(root.remote())
    assert isinstance(inner, ray.ObjectRef)
    assert ray.get(inner) == "leaf"


def test_remote_functions_are_values(ray: Any) -> None:
    @ray.remote
    def double(x: int) -> int:
        return 2 * x

    @ray.remote
    def apply(function: Any, x: int) -> int:
        return int(ray.get(function.remote(x)))

    assert ray.get(apply.remote(double, 4)) == 8


# --- How many values a call returns ---------------------------------------------------------


def test_num_returns_gives_a_reference_for_each_value(ray: Any) -> None:
    @ray.remote(num_returns=3)
    def f() -> tuple[int, int, int]:
        return 1, 2, 3

    refs = f.remote()
    assert isinstance(refs, list) and len(refs) == 3
    assert ray.get(refs) == [1, 2, 3]


def test_num_returns_takes_a_list_too(ray: Any) -> None:
    @ray.remote(num_returns=2)
    def f() -> list[str]:
        return ["a", "b"]

    a, b = f.remote()
    assert (ray.get(b), ray.get(a)) == ("b", "a")


def test_num_returns_of_nothing(ray: Any) -> None:
    @ray.remote(num_returns=0)
    def f() -> None: ...

    assert f.remote() is None


def test_num_returns_can_be_said_at_the_call(ray: Any) -> None:
    @ray.remote
    def f() -> tuple[int, int]:
        return 1, 2

    assert ray.get(f.remote()) == (1, 2)
    assert ray.get(f.options(num_returns=2).remote()) == [1, 2]


@pytest.mark.parametrize("returned", [(1,), (1, 2, 3)])
def test_another_number_of_values_is_an_error_of_each_reference(ray: Any, returned: Any) -> None:
    @ray.remote(num_returns=2, max_retries=0)
    def f() -> Any:
        return returned

    for ref in f.remote():
        with pytest.raises(ValueError):
            ray.get(ref)


def test_an_error_is_in_each_of_several_references(ray: Any) -> None:
    @ray.remote(num_returns=2)
    def f() -> Any:
        raise KeyError("both")

    for ref in f.remote():
        with pytest.raises(KeyError):
            ray.get(ref)


# --- Options --------------------------------------------------------------------------------


def test_options_do_not_change_the_function(ray: Any) -> None:
    @ray.remote
    def f() -> tuple[int, int]:
        return 1, 2

    f.options(num_returns=2)
    assert isinstance(f.remote(), ray.ObjectRef)


def test_options_can_be_kept_and_called_often(ray: Any) -> None:
    @ray.remote
    def f(x: int) -> int:
        return x

    g = f.options(num_cpus=0.5, name="g")
    assert ray.get([g.remote(i) for i in range(3)]) == [0, 1, 2]


@pytest.mark.parametrize("given", [{"unknown": 1}, {"max_restarts": 1}, {"lifetime": "detached"}])
def test_unknown_options_are_refused(ray: Any, given: Any) -> None:
    def f() -> None: ...

    with pytest.raises(ValueError):
        ray.remote(**given)(f)
    with pytest.raises(ValueError):
        ray.remote(f).options(**given)


@pytest.mark.parametrize(
    "given",
    [
        {"num_cpus": -1},
        {"num_returns": -1},
        {"max_retries": -2},
        {"resources": {"CPU": 1}},
        {"resources": {"widget": -1}},
        {"num_cpus": "1"},
        {"num_returns": "three"},
        {"max_retries": 1.5},
        {"retry_exceptions": "yes"},
    ],
    ids=str,
)
def test_options_with_values_that_are_not_allowed_are_refused(ray: Any, given: Any) -> None:
    def f() -> None: ...

    with pytest.raises((ValueError, TypeError)):
        ray.remote(**given)(f)


def test_an_option_of_none_is_the_default(ray: Any) -> None:
    @ray.remote(num_cpus=None, resources=None, name=None)
    def f() -> int:
        return 1

    assert ray.get(f.remote()) == 1


def test_a_partial_of_a_function_becomes_remote_in_a_lambda(ray: Any) -> None:
    add = functools.partial(lambda a, b: a + b, 1)
    assert ray.get(ray.remote(lambda b: add(b)).remote(2)) == 3


# --- CPUs and resources ---------------------------------------------------------------------


def test_no_more_tasks_run_than_there_are_resources(ray: Any, gate: Any, tally: Any) -> None:
    @ray.remote(num_cpus=0, resources={"widget": 1})
    def hold() -> int:
        number: int = tally.add()
        gate.wait()
        return number

    refs = [hold.remote() for _ in range(3)]
    assert wait_until(lambda: tally.count == 2)
    ready, _ = ray.wait(refs, timeout=0.2)
    assert (ready, tally.count) == ([], 2)
    gate.open()
    assert sorted(ray.get(refs)) == [1, 2, 3]


def test_fractions_of_a_resource_are_shared(ray: Any, gate: Any, tally: Any) -> None:
    @ray.remote(num_cpus=0, resources={"widget": 0.5})
    def hold() -> None:
        tally.add()
        gate.wait()

    refs = [hold.remote() for _ in range(4)]
    assert wait_until(lambda: tally.count == 4)
    gate.open()
    ray.get(refs)


def test_a_task_without_cpu_runs_while_all_cpus_are_taken(ray: Any, gate: Any, tally: Any) -> None:
    @ray.remote(num_cpus=4)
    def hold() -> None:
        tally.add()
        gate.wait()

    @ray.remote(num_cpus=0)
    def light() -> str:
        return "ran"

    holding = hold.remote()
    assert wait_until(lambda: tally.count == 1)
    assert ray.get(light.remote()) == "ran"
    gate.open()
    ray.get(holding)


def test_a_task_that_waits_lends_its_cpu(ray: Any) -> None:
    @ray.remote(num_cpus=4)
    def inner() -> str:
        return "inner"

    @ray.remote(num_cpus=4)
    def outer() -> str:
        return str(ray.get(inner.remote()))

    assert ray.get(outer.remote()) == "inner"
