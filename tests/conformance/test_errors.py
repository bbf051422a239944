"""What a task raises, and how it arrives."""

from __future__ import annotations

from typing import Any

import pytest

from tests.conformance.marks import differs, not_inline


def test_an_error_is_a_task_error_and_of_its_own_type(ray: Any) -> None:
    @ray.remote
    def fails() -> None:
        raise ValueError("seven")

    with pytest.raises(ValueError, match="seven") as caught:
        ray.get(fails.remote())
    assert isinstance(caught.value, ray.exceptions.RayTaskError)


def test_an_error_has_its_cause(ray: Any) -> None:
    @ray.remote
    def fails() -> None:
        raise KeyError("missing")

    with pytest.raises(ray.exceptions.RayTaskError) as caught:
        ray.get(fails.remote())
    assert type(caught.value.cause) is KeyError
    assert caught.value.cause.args == ("missing",)


def test_the_text_of_an_error_has_the_remote_traceback(ray: Any) -> None:
    @ray.remote
    def fails() -> None:
        innermost = 1
        raise RuntimeError(f"number {innermost}")

    with pytest.raises(RuntimeError) as caught:
        ray.get(fails.remote())
    text = str(caught.value)
    assert "RuntimeError: number 1" in text
    assert "in fails" in text
    assert "test_errors.py" in text


def test_the_text_of_an_error_names_the_process(ray: Any) -> None:
    @ray.remote
    def fails() -> None:
        raise RuntimeError

    with pytest.raises(RuntimeError) as caught:
        ray.get(fails.remote())
    assert "pid" in str(caught.value) or "process" in str(caught.value)


def test_an_error_of_a_class_of_the_users(ray: Any) -> None:
    class Refused(Exception):
        pass

    @ray.remote
    def fails() -> None:
        raise Refused("so")

    with pytest.raises(ray.exceptions.RayTaskError) as caught:
        ray.get(fails.remote())
    assert type(caught.value.cause).__name__ == "Refused"


def test_attributes_of_an_error_travel(ray: Any) -> None:
    @ray.remote
    def fails() -> None:
        error = OSError(2, "nothing there")
        raise error

    with pytest.raises(OSError) as caught:
        ray.get(fails.remote())
    cause: Any = caught.value
    assert cause.cause.errno == 2


def test_an_error_passes_through_tasks_that_take_it_as_an_argument(ray: Any, tally: Any) -> None:
    @ray.remote
    def fails() -> int:
        raise ZeroDivisionError("origin")

    @ray.remote
    def uses(x: int) -> int:
        tally.add()
        return x

    with pytest.raises(ZeroDivisionError, match="origin"):
        ray.get(uses.remote(uses.remote(fails.remote())))
    assert tally.count == 0


def test_an_error_passes_through_tasks_that_get_it(ray: Any) -> None:
    @ray.remote
    def fails() -> int:
        raise ZeroDivisionError("origin")

    @ray.remote
    def outer() -> int:
        return int(ray.get(fails.remote()))

    with pytest.raises(ZeroDivisionError, match="origin"):
        ray.get(outer.remote())


def test_a_task_catches_the_error_of_another(ray: Any) -> None:
    @ray.remote
    def fails() -> int:
        raise ZeroDivisionError

    @ray.remote
    def outer() -> str:
        try:
            ray.get(fails.remote())
        except ZeroDivisionError:
            return "caught"
        return "missed"

    assert ray.get(outer.remote()) == "caught"


def test_an_error_can_be_got_again(ray: Any) -> None:
    @ray.remote
    def fails() -> int:
        raise KeyError("again")

    ref = fails.remote()
    for _ in range(2):
        with pytest.raises(KeyError):
            ray.get(ref)


def test_an_exception_that_is_returned_is_a_value(ray: Any) -> None:
    @ray.remote
    def returns() -> Exception:
        return KeyError("a value")

    assert isinstance(ray.get(returns.remote()), KeyError)


def test_stop_iteration_does_not_end_a_loop_of_the_callers(ray: Any) -> None:
    @ray.remote
    def fails() -> int:
        raise StopIteration

    with pytest.raises(ray.exceptions.RayTaskError):
        ray.get(fails.remote())


def test_an_assertion_error_arrives(ray: Any) -> None:
    @ray.remote
    def fails() -> None:
        raise AssertionError("not so")

    with pytest.raises(AssertionError, match="not so"):
        ray.get(fails.remote())


def test_a_worker_goes_on_after_an_error(ray: Any) -> None:
    @ray.remote
    def maybe(fail: bool) -> str:
        if fail:
            raise KeyError
        return "well"

    with pytest.raises(KeyError):
        ray.get(maybe.remote(True))
    assert ray.get(maybe.remote(False)) == "well"


def test_a_result_that_cannot_be_pickled_is_an_error(ray: Any) -> None:
    import threading

    @ray.remote
    def returns() -> Any:
        return threading.Lock()

    with pytest.raises(Exception, match="lock"):
        ray.get(returns.remote())


def test_an_argument_that_cannot_be_pickled_is_a_type_error_at_the_call(ray: Any) -> None:
    import threading

    @ray.remote
    def takes(x: Any) -> None: ...

    with pytest.raises(TypeError, match="lock"):
        takes.remote(threading.Lock())


def test_put_of_what_cannot_be_pickled_is_a_type_error(ray: Any) -> None:
    import threading

    with pytest.raises(TypeError, match="lock"):
        ray.put(threading.Lock())


def test_a_function_that_cannot_be_pickled_is_a_type_error(ray: Any) -> None:
    import threading

    lock = threading.Lock()

    @ray.remote
    def closes() -> Any:
        return lock

    with pytest.raises(TypeError, match="lock"):
        closes.remote()


def test_sys_exit_in_a_task_is_no_value(ray: Any) -> None:
    @ray.remote(max_retries=0)
    def leaves() -> None:
        raise SystemExit(3)

    with pytest.raises(ray.exceptions.RayError):
        ray.get(leaves.remote())


@not_inline("a process dies, and there is one only")
def test_a_task_whose_worker_dies_is_a_worker_crashed_error(ray: Any) -> None:
    import os

    @ray.remote(max_retries=0)
    def dies() -> None:
        os._exit(1)

    with pytest.raises(ray.exceptions.WorkerCrashedError):
        ray.get(dies.remote())


@not_inline("a process dies, and there is one only")
@differs(
    "A death's error has the fields `exit_code`, `signal`, `stderr` and `pid`.",
    because="Ray tells of potential causes in a sentence, on which a program cannot act.",
)
def test_a_death_says_how(ray: Any, expect: Any) -> None:
    import os

    @ray.remote(max_retries=0)
    def dies() -> None:
        os._exit(17)

    with pytest.raises(ray.exceptions.WorkerCrashedError) as caught:
        ray.get(dies.remote())
    assert getattr(caught.value, "exit_code", None) == expect(snakepit=17, ray=None)
