"""Exceptions always arrive: as themselves, or as a description."""

from __future__ import annotations

import errno
import pathlib
import subprocess
import sys
import threading
from importlib import import_module
from typing import Any

import pytest

from snakepit.errors import CauseUnavailableError, TaskError
from snakepit.payload import note_reference, pack_exception, unpack_exception


class NeedsArguments(ValueError):
    def __init__(self, code: int, *, why: str) -> None:
        super().__init__(f"code {code}")
        self.code, self.why = code, why


class WrongReduction(KeyError):
    def __init__(self, a: int, b: int) -> None:
        super().__init__(a)
        self.b = b

    def __reduce__(self) -> Any:
        return WrongReduction, (1,)


class Cyclic(Exception):
    def __init__(self) -> None:
        super().__init__("round")
        self.me = self


class Holding(Exception):
    def __init__(self) -> None:
        super().__init__("held")
        self.lock = threading.Lock()


class Hostile(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no text")

    def __reduce_ex__(self, protocol: object) -> Any:
        raise SystemExit("no pickle")


class Reference:
    def __reduce__(self) -> Any:
        note_reference(5)
        return int, (5,)


def raised(exc: BaseException) -> BaseException:
    try:
        raise exc
    except BaseException as error:
        return error


def arrive(exc: BaseException) -> TaskError:
    packed = pack_exception(raised(exc), task_name="work", pid=9)
    return unpack_exception([bytes(part) for part in packed.parts])


@pytest.mark.parametrize(
    "exc",
    [
        ValueError("x"),
        NeedsArguments(3, why="so"),
        WrongReduction(1, 2),
        OSError(errno.ENOENT, "gone", "/a/file"),
        UnicodeDecodeError("utf-8", b"\xff", 0, 1, "bad"),
        ExceptionGroup("several", [NeedsArguments(3, why="so"), OSError(2, "x")]),
        KeyboardInterrupt(),
        SystemExit(2),
    ],
    ids=lambda e: type(e).__name__,
)
def test_exceptions_arrive_as_themselves(exc: BaseException) -> None:
    error = arrive(exc)
    assert type(error.cause) is type(exc)
    assert repr(error.cause.args) == repr(exc.args)
    assert repr(vars(error.cause)) == repr(vars(exc))
    assert isinstance(error, type(exc)) == isinstance(exc, Exception)
    assert (error.task_name, error.pid) == ("work", 9)
    assert "raise exc" in str(error)
    assert type(exc).__name__ in str(error)


def test_an_os_error_keeps_its_fields() -> None:
    error = arrive(FileNotFoundError(errno.ENOENT, "gone", "/a/file"))
    assert isinstance(error, FileNotFoundError)
    assert (error.errno, error.strerror, error.filename) == (errno.ENOENT, "gone", "/a/file")


def test_local_and_cyclic_exceptions_arrive() -> None:
    class Local(LookupError):
        pass

    error = arrive(Local("x"))
    assert isinstance(error, Local)
    cause = arrive(Cyclic()).cause
    assert isinstance(cause, Cyclic)
    assert cause.me is cause


@pytest.mark.parametrize("exc", [Holding(), Hostile()], ids=["holding", "hostile"])
def test_what_cannot_travel_is_described(exc: Exception) -> None:
    error = arrive(exc)
    assert isinstance(error, TaskError)
    assert isinstance(error.cause, CauseUnavailableError)
    assert error.cause.kind.endswith(type(exc).__name__)
    assert error.cause.reason
    assert type(exc).__name__ in str(error)


def test_the_description_says_text_and_reason() -> None:
    cause = arrive(Holding()).cause
    assert isinstance(cause, CauseUnavailableError)
    assert cause.text == "held"
    assert "lock" in cause.reason


def test_what_cannot_be_read_here_is_described(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "sp_gone_module.py").write_text("class Gone(Exception): pass\n")
    monkeypatch.syspath_prepend(tmp_path)
    gone = import_module("sp_gone_module").Gone("x")
    packed = pack_exception(raised(gone), task_name="work", pid=9)
    del sys.modules["sp_gone_module"]
    monkeypatch.undo()
    error = unpack_exception(packed.parts)
    assert isinstance(error.cause, CauseUnavailableError)
    assert error.cause.kind == "sp_gone_module.Gone"
    assert "sp_gone_module" in error.cause.reason


def test_an_exception_may_hold_arrays_and_references() -> None:
    import numpy as np

    packed = pack_exception(ValueError(np.arange(3), Reference()), task_name="w", pid=1)
    assert packed.refs == (5,)
    assert packed.uses_numpy
    assert len(packed.parts) == 2
    assert unpack_exception(packed.parts).args[0].tolist() == [0, 1, 2]


CALLER = """
import subprocess, sys
from snakepit.payload import pack_code, unpack_exception

class Mine(ValueError):
    def __init__(self, code, *, why):
        super().__init__(f"code {code}")
        self.why = why

def work():
    raise Mine(3, why="so")

stream = pack_code(work).packed.parts[0]
worker = [sys.executable, "-c", sys.argv[1]]
reply = subprocess.run(worker, input=stream, capture_output=True, check=True).stdout
try:
    raise unpack_exception([reply])
except Mine as error:
    assert type(error.cause) is Mine
    print(error.why, error.args)
"""
WORKER = """
import subprocess
import sys
from snakepit.payload import pack_exception, unpack_code
try:
    unpack_code([sys.stdin.buffer.read()])()
except Exception as error:
    packed = pack_exception(error, task_name="work", pid=1)
    sys.stdout.buffer.write(packed.parts[0])
"""


def test_an_exception_type_of_main_is_the_same_type_again_at_home() -> None:
    done = subprocess.run(
        [sys.executable, "-c", CALLER, WORKER], capture_output=True, text=True, check=True
    )
    assert done.stdout == "so ('code 3',)\n"


def test_each_time_a_new_error() -> None:
    parts = pack_exception(ValueError(1), task_name="w", pid=1).parts
    assert unpack_exception(parts) is not unpack_exception(parts)


def test_an_error_of_another_task_passes_through() -> None:
    error = arrive(raised(arrive(NeedsArguments(1, why="so"))))
    assert isinstance(error, NeedsArguments)
    assert isinstance(error.cause, TaskError)
    assert isinstance(error.cause.cause, NeedsArguments)
    assert error.why == "so"
    assert str(error).count("NeedsArguments: code 1") == 1


def test_a_cancelling_interrupt_is_not_swallowed() -> None:
    class Interrupted(Exception):
        def __reduce__(self) -> Any:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        pack_exception(Interrupted(), task_name="w", pid=1)


def test_an_error_that_went_through_hundreds_of_tasks_stays_small() -> None:
    error: BaseException = ValueError("at the bottom")
    size = 0
    for depth in range(300):
        packed = pack_exception(raised(error), task_name=f"task {depth}", pid=depth + 1)
        size = max(size, sum(len(part) for part in packed.parts))
        error = unpack_exception(packed.parts)
    assert size < 1 << 20
    assert isinstance(error, ValueError)
    assert isinstance(error, TaskError)
    assert error.task_name == "task 299"
    text = str(error)
    assert text.count("at the bottom") and "left out" in text
    links: BaseException | None = error
    while isinstance(links, TaskError):
        links = links.cause
    assert type(links) is ValueError and links.args == ("at the bottom",)
