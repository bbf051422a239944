"""Tasks: what they take, what they give back, and how their options and mistakes show."""

from __future__ import annotations

import os
import threading
import time
from typing import Any

import pytest

import snakepit
from snakepit.errors import TaskError, TaskUnschedulableError
from tests.runtime.helpers import PATIENCE, Gate, core, entries, resources_are_free, wait_until

pytestmark = pytest.mark.usefixtures("runtime")


@snakepit.remote
def add(a: int, b: int = 10, *rest: int, **named: int) -> int:
    return a + b + sum(rest) + sum(named.values())


@snakepit.remote
def same(value: Any) -> Any:
    return value


@snakepit.remote
def pid() -> int:
    return os.getpid()


@snakepit.remote
def fail(error: BaseException) -> None:
    raise error


def test_arguments_of_every_kind() -> None:
    refs = [add.remote(1), add.remote(1, 2), add.remote(1, b=3), add.remote(1, 2, 3, 4, c=5)]
    assert snakepit.get(refs) == [11, 3, 4, 15]
    assert snakepit.get(add.remote(b=1, a=2)) == 3


def test_it_runs_in_another_process() -> None:
    assert snakepit.get(pid.remote()) != os.getpid()


def test_top_level_references_are_resolved_and_nested_ones_pass() -> None:
    one = add.remote(0, 1)

    @snakepit.remote
    def look(plain: Any, nested: list[Any], *, named: Any) -> tuple[Any, ...]:
        kinds = type(plain).__name__, type(nested[0]).__name__, type(named).__name__
        return kinds, plain + named + snakepit.get(nested[0])

    assert snakepit.get(look.remote(one, [one], named=one)) == (("int", "ObjectRef", "int"), 3)


def test_references_as_arguments_order_the_calls(gate: Gate) -> None:
    @snakepit.remote
    def first() -> int:
        gate.wait()
        return 1

    chain = first.remote()
    for _ in range(20):
        chain = add.remote(chain, 1)
    assert snakepit.wait([chain], timeout=0) == ([], [chain])
    gate.open()
    assert snakepit.get(chain) == 21


def test_one_reference_twice_and_a_diamond() -> None:
    one = add.remote(0, 1)
    left, right = add.remote(one, one), add.remote(one, 5)
    assert snakepit.get(add.remote(left, right, one)) == 9
    assert snakepit.get([one, one, one]) == [1, 1, 1]


def test_several_returns() -> None:
    @snakepit.remote(num_returns=3)
    def three() -> Any:
        return "a", "b", "c"

    a, b, c = three.remote()
    assert snakepit.get([c, b, a]) == ["c", "b", "a"]
    assert snakepit.get(three.options(num_returns=1).remote()) == ("a", "b", "c")


def test_wrong_number_of_returns_fails_all_of_them() -> None:
    two = same.options(num_returns=2)
    for wrong in ([1, 2, 3], [1], 5):
        for ref in two.remote(wrong):
            with pytest.raises((ValueError, TypeError)):
                snakepit.get(ref)


def test_no_returns(gate: Gate) -> None:
    @snakepit.remote(num_returns=0)
    def quiet() -> int:
        gate.open()
        return 1

    assert quiet.remote() is None
    gate.wait()
    assert wait_until(resources_are_free)


def test_a_failure_without_returns_harms_nobody() -> None:
    assert fail.options(num_returns=0).remote(ValueError("unseen")) is None
    assert snakepit.get(add.remote(1)) == 11


def test_direct_calls_and_wrong_arguments_are_refused_at_once() -> None:
    with pytest.raises(TypeError, match=r"\.remote\("):
        add(1)  # type: ignore[operator]
    for args, kwargs in [((), {}), ((1,), {"a": 2})]:
        with pytest.raises(TypeError, match="a"):
            add.remote(*args, **kwargs)
    with pytest.raises(TypeError, match="too many"):
        pid.remote(1)  # type: ignore[call-arg]


def test_options_do_not_change_the_original() -> None:
    named = add.options(name="other", num_cpus=0.5, max_retries=0)
    assert snakepit.get([named.remote(1), add.remote(1)]) == [11, 11]
    with pytest.raises(ValueError, match="num_cpus"):
        add.options(num_cpus=-1)


def test_what_can_never_run_says_so() -> None:
    with pytest.raises(TaskUnschedulableError, match="CPU"):
        snakepit.get(add.options(num_cpus=64).remote(1))
    with pytest.raises(TaskUnschedulableError, match="camera"):
        snakepit.get(add.options(resources={"camera": 1}).remote(1))


def test_cpus_bound_what_runs_at_once(tmp_path: Any) -> None:
    @snakepit.remote(num_cpus=2)
    def alone(path: str) -> bool:
        os.mkdir(path)
        try:
            time.sleep(0.02)
            return True
        finally:
            os.rmdir(path)

    refs = [alone.remote(str(tmp_path / "only")) for _ in range(4)]
    assert snakepit.get(refs) == [True] * 4


def test_two_run_at_once(tmp_path: Any) -> None:
    @snakepit.remote
    def meet(mine: Gate, other: Gate) -> None:
        mine.open()
        other.wait()

    a, b = Gate(str(tmp_path / "a")), Gate(str(tmp_path / "b"))
    snakepit.get([meet.remote(a, b), meet.remote(b, a)], timeout=PATIENCE)


def test_tasks_without_cpus_need_none(gate: Gate) -> None:
    @snakepit.remote
    def hold() -> None:
        gate.wait()

    held = [hold.remote() for _ in range(2)]
    assert snakepit.get(add.options(num_cpus=0).remote(1), timeout=PATIENCE) == 11
    gate.open()
    snakepit.get(held)


def test_errors_are_of_the_users_type_and_show_where() -> None:
    with pytest.raises(ValueError, match="broken") as info:
        snakepit.get(fail.remote(ValueError("broken")))
    error: Any = info.value
    assert isinstance(error, TaskError)
    assert type(error.cause) is ValueError
    assert "raise error" in str(error) and "execution.py" not in str(error)


def test_a_failed_argument_fails_the_call_alike() -> None:
    bad = fail.remote(KeyError("k"))
    with pytest.raises(KeyError):
        snakepit.get(add.remote(add.remote(bad), 1))
    with pytest.raises(KeyError):
        snakepit.get([add.remote(1), bad])


def test_system_exit_is_an_error_like_others() -> None:
    for error in (SystemExit(3), KeyboardInterrupt()):
        with pytest.raises(TaskError) as info:
            snakepit.get(fail.remote(error))
        assert type(info.value.cause) is type(error)


def test_a_thousand_calls_keep_their_results_apart() -> None:
    refs = [add.remote(number, 0) for number in range(1000)]
    assert snakepit.get(refs) == list(range(1000))


def test_many_threads_call_at_once() -> None:
    wrong: list[Any] = []

    def work(base: int) -> None:
        for number in range(base, base + 50):
            value = snakepit.get(add.remote(number, 0), timeout=PATIENCE)
            if value != number:
                wrong.append((number, value))
        refs = [add.remote(number, 0) for number in range(base, base + 50)]
        if snakepit.get(refs, timeout=PATIENCE) != list(range(base, base + 50)):
            wrong.append(base)

    threads = [threading.Thread(target=work, args=(1000 * place,)) for place in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_results_that_nobody_wants_are_dropped() -> None:
    for number in range(200):
        add.remote(number)
    assert wait_until(lambda: not entries())
    assert wait_until(resources_are_free)
    assert not core().waiters


def test_a_class_attribute_and_a_closure_travel() -> None:
    class Local:
        factor = 3

        def times(self, value: int) -> int:
            return value * self.factor

    shift = 4

    @snakepit.remote
    def use(thing: Local, value: int) -> int:
        return thing.times(value) + shift

    assert snakepit.get(use.remote(Local(), 2)) == 10
    back = snakepit.get(same.remote(Local()))
    assert type(back) is Local


def test_a_function_may_call_itself_and_others_by_name() -> None:
    @snakepit.remote
    def fib(n: int) -> int:
        if n < 2:
            return n
        return sum(snakepit.get([fib.remote(n - 1), fib.remote(n - 2)]))

    assert snakepit.get(fib.remote(6), timeout=PATIENCE) == 8
