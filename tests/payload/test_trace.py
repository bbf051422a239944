"""Tracebacks as the user should read them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from snakepit.errors import task_error
from snakepit.payload import pack, trace, unpack
from snakepit.payload.trace import remote_traceback


def caught(call: Callable[[], Any]) -> BaseException:
    try:
        call()
    except BaseException as error:
        return error
    raise AssertionError("nothing was raised")


class CallsBack:
    """Runs user code from inside of the package."""

    def __reduce__(self) -> Any:
        raise KeyboardInterrupt("from the user")


def test_own_frames_are_hidden() -> None:
    text = remote_traceback(caught(lambda: pack(CallsBack(), what="a value")))
    assert "from the user" in text
    assert "__reduce__" in text
    assert "dumps.py" not in text
    assert "pickler.py" not in text


def test_own_frames_are_shown_when_there_are_no_others() -> None:
    error = caught(lambda: unpack([b"garbage"]))
    assert error.__traceback__ is not None
    error.__traceback__ = error.__traceback__.tb_next.tb_next  # type: ignore[union-attr]
    assert "loads.py" in remote_traceback(error)


def test_causes_contexts_and_groups_are_pruned_too() -> None:
    def fail() -> None:
        try:
            pack(CallsBack(), what="a value")
        except KeyboardInterrupt as inner:
            raise ExceptionGroup("g", [RuntimeError("leaf")]) from inner

    text = remote_traceback(caught(fail))
    assert "from the user" in text
    assert "leaf" in text
    assert "direct cause" in text
    assert "dumps.py" not in text


def test_a_cycle_of_causes_ends() -> None:
    first, second = ValueError(1), ValueError(2)
    first.__cause__, second.__cause__ = second, first
    assert "ValueError: 1" in remote_traceback(first)


def test_the_chain_ends_at_a_task_error() -> None:
    inner = task_error(
        ValueError("cause"), task_name="f", pid=1, remote_traceback="the remote text"
    )

    def fail() -> None:
        raise RuntimeError("outer") from inner

    text = remote_traceback(caught(fail))
    assert text.count("the remote text") == 1
    assert "ValueError: cause" not in text
    assert text.rstrip().endswith("RuntimeError: outer")


def test_a_very_long_text_is_cut() -> None:
    text = remote_traceback(ValueError("x" * 10 * trace.MOST_CHARACTERS))
    assert len(text) < trace.MOST_CHARACTERS + 100
    assert "left out" in text
