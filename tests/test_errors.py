"""The error tree, and TaskError's double nature."""

from __future__ import annotations

import asyncio
import copy
import dataclasses
import errno
import json
import os
import pickle
import subprocess
import sys
import traceback
from collections.abc import Callable
from typing import Any

import pytest

from snakepit import errors, exceptions
from snakepit.errors import TaskError, task_error

SYSTEM = [
    errors.SnakepitError("m"),
    errors.WorkerCrashedError("m", exit_code=3, stderr="boom", running="f", pid=7, call="f"),
    errors.PoisonedCallError("m", signal="SIGSEGV", attempts=3),
    errors.PoolFailedError("m", pool="main", cool_down=5.0, restarts=6, period=60.0, exit_code=1),
    errors.CircuitOpenError("m", pool="main", retry_after=3.0, signal="SIGSEGV"),
    errors.PoolSaturatedError("m", pool="main", limit=5),
    errors.PoolDeadlockError("m", pool="main"),
    errors.PoolDrainingError("m", pool="main"),
    errors.QueueTimeoutError("m", pool="main", timeout=1.5),
    errors.UnknownPoolError("m"),
    errors.WorkerBusyError("m", session="s"),
    errors.SessionWorkerUnavailableError("m", session="s"),
    errors.SessionClosedError("m", session="s"),
    errors.SessionQuotaExceededError("m", limit=3),
    errors.ActorDiedError("m", actor="A", error="text", signal="SIGKILL", pid=4),
    errors.ActorUnavailableError("m", actor="A"),
    errors.ActorAlreadyExistsError("m"),
    errors.PendingCallsLimitExceeded("m"),
    errors.TaskCancelledError("m", call="f"),
    errors.TaskTimeoutError("m", call="f", timeout=1.5),
    errors.GetTimeoutError("m", timeout=1.5),
    errors.ScriptTimeoutError("m", timeout=1.5),
    errors.ObjectLostError("m", reference="ab"),
    errors.ObjectStoreFullError(2_000_000_000, 5, 7000),
    errors.StaleReferenceError("m"),
    errors.NestingDepthError("m"),
    errors.TaskUnschedulableError("m"),
    errors.ActorUnschedulableError("m"),
    errors.SerializationError("m", path="args[0].lock"),
    errors.NotSupportedError("not here"),
    errors.RuntimeEnvSetupError("it failed"),
    errors.OptionError("m"),
    errors.RuntimeStartError("m"),
    errors.RuntimeClosedError("m"),
    errors.RuntimeFailedError("m", exit_code=3, stderr="boom", restarts=6, period=60.0),
    errors.ForkedRuntimeError("m"),
    errors.ProtocolError("m"),
    errors.CauseUnavailableError("a.B", "text", "why"),
]
COPIERS: list[Callable[[Any], Any]] = [
    lambda value: pickle.loads(pickle.dumps(value)),
    copy.copy,
    copy.deepcopy,
]


class WithArguments(ValueError):
    def __init__(self, code: int, *, extra: list[int]) -> None:
        super().__init__(f"code {code}")
        self.code = code
        self.extra = extra


class WithSlots(Exception):
    __slots__ = ("x",)

    def __init__(self, x: int) -> None:
        self.x = x


@dataclasses.dataclass(frozen=True)
class Frozen(Exception):
    a: int


class Many(ExceptionGroup[Exception]):
    code: int

    def __new__(cls, problems: list[Exception], code: int) -> Many:
        self = super().__new__(cls, "many", problems)
        self.code = code
        return self


class WithNew(Exception):
    def __new__(cls, a: int, b: int) -> WithNew:
        return super().__new__(cls)

    def __init__(self, a: int, b: int) -> None:
        self.a = a


class Registering(Exception):
    def __init_subclass__(cls, *, needed: str) -> None:
        raise AssertionError("no subclass of a user's type is to be registered")


class OwnReduction(Exception):
    def __init__(self, a: int, b: int) -> None:
        self.a, self.b = a, b

    def __reduce_ex__(self, protocol: object) -> tuple[Any, ...]:
        return OwnReduction, (self.a, self.b)


class OwnNames(Exception):
    """Has attributes by the names of TaskError's."""

    def __init__(self) -> None:
        super().__init__("named")
        self.pid = "mine"


def caught(call: Callable[[], Any]) -> Exception:
    try:
        call()
    except Exception as error:
        return error.with_traceback(None)
    raise AssertionError("nothing was raised")


MIXED: list[Exception] = [
    ValueError("x"),
    KeyError("k"),
    WithArguments(3, extra=[1]),
    WithSlots(5),
    Frozen(3),
    WithNew(1, 2),
    Registering("r"),
    OwnReduction(1, 2),
    OwnNames(),
    Many([ValueError(1), KeyError(2)], 7),
    ExceptionGroup("several", [OSError(2, "z")]),
    caught(lambda: os.stat("/nowhere/to/be/found")),
    caught(lambda: b"\xff".decode()),
    caught(lambda: compile("1+", "file", "exec")),
    caught(lambda: json.loads("{")),
    caught(lambda: object().nothing),  # type: ignore[attr-defined]
    ImportError("m", name="n", path="p"),
    BlockingIOError(errno.EAGAIN, "x", 5),
    subprocess.CalledProcessError(1, "command"),
    asyncio.IncompleteReadError(b"a", 5),
    errors.GetTimeoutError("late", timeout=2),
    errors.ObjectStoreFullError(1, 2, 3),
]
ALONE: list[BaseException] = [
    KeyboardInterrupt("stop"),
    SystemExit(3),
    GeneratorExit(),
    asyncio.CancelledError(),
    StopIteration(4),
    StopAsyncIteration(),
    BaseExceptionGroup("group", [KeyboardInterrupt()]),
]


def wrapped(cause: BaseException, task: str = "f", text: str = "Traceback\nE: x\n") -> TaskError:
    return task_error(cause, task_name=task, pid=12, remote_traceback=text)


def fields(error: BaseException) -> dict[str, Any]:
    plain = {name: repr(value) for name, value in vars(error).items()}
    for name in ("errno", "filename", "reason", "start", "lineno", "x", "name", "message"):
        plain[name] = repr(getattr(error, name, None))
    return plain


@pytest.mark.parametrize("error", SYSTEM, ids=lambda e: type(e).__name__)
@pytest.mark.parametrize("copier", COPIERS)
def test_system_errors_keep_their_fields(
    error: errors.SnakepitError, copier: Callable[[Any], Any]
) -> None:
    again = copier(error)
    assert type(again) is type(error)
    assert str(again) == str(error)
    assert vars(again) == vars(error)
    assert again.args == error.args


def test_every_class_has_an_example_and_a_public_name() -> None:
    public = {getattr(errors, name) for name in errors.__all__}
    assert public == {type(error) for error in SYSTEM} | {errors.ActorError, TaskError}
    assert all(issubclass(kind, errors.SnakepitError) for kind in public)


@pytest.mark.parametrize(
    ("kind", "builtin"),
    [
        (errors.GetTimeoutError, TimeoutError),
        (errors.SerializationError, TypeError),
        (errors.OptionError, ValueError),
        (errors.ActorAlreadyExistsError, ValueError),
    ],
)
def test_errors_that_are_also_built_in_ones(kind: type, builtin: type) -> None:
    assert issubclass(kind, builtin)


def test_a_full_store_says_sizes_and_what_to_do() -> None:
    text = str(errors.ObjectStoreFullError(2_500_000_000, 1200, 3_000_000))
    assert "2.5 GB" in text
    assert "1.2 kB" in text
    assert "3 MB" in text
    assert "object_store_memory" in text
    assert "12 bytes" in str(errors.ObjectStoreFullError(12))


def test_rays_names_are_aliases() -> None:
    assert exceptions.RayError is errors.SnakepitError
    assert exceptions.RayTaskError is TaskError
    assert exceptions.RayActorError is errors.ActorError
    assert exceptions.WorkerCrashedError is errors.WorkerCrashedError
    assert all(hasattr(exceptions, name) for name in exceptions.__all__)


@pytest.mark.parametrize("cause", MIXED, ids=lambda e: type(e).__name__)
def test_a_task_error_is_also_the_users_exception(cause: Exception) -> None:
    made = wrapped(cause)
    for error in (made, *(copier(made) for copier in COPIERS)):
        assert isinstance(error, TaskError)
        assert isinstance(error, type(cause))
        assert repr(error.args) == repr(cause.args)
        assert type(error.cause) is type(cause)
        assert fields(error.cause) == fields(cause)
        assert error.__cause__ is error.cause
        mine = fields(error)
        assert {name: mine[name] for name in fields(cause)} == fields(cause)
        assert str(error) == "f failed in worker process 12\n\nTraceback\nE: x"
        with pytest.raises(type(cause)):
            raise error


@pytest.mark.parametrize("cause", ALONE, ids=lambda e: type(e).__name__)
def test_control_flow_is_not_mixed_in(cause: BaseException) -> None:
    made = wrapped(cause)
    for error in (made, copy.copy(made), pickle.loads(pickle.dumps(made))):
        assert type(error) is TaskError
        assert type(error.cause) is type(cause)
        assert repr(error.cause.args) == repr(cause.args)


def test_one_with_a_constructor_of_its_own_is_mixed_in() -> None:
    error = task_error(MemoryError("no room"), task_name="f", pid=1, remote_traceback="")
    assert isinstance(error, MemoryError) and isinstance(error, TaskError)
    assert error.args == ("no room",)


def test_types_that_refuse_to_be_mixed_leave_a_plain_task_error() -> None:
    class Meta(type):
        def __new__(cls, name: str, bases: tuple[type, ...], body: dict[str, Any]) -> Meta:
            if len(bases) > 1:
                raise TypeError("only one base")
            return super().__new__(cls, name, bases, body)

    class Sole(Exception, metaclass=Meta):
        pass

    cause = Sole("x")
    error = wrapped(cause)
    assert type(error) is TaskError
    assert error.cause is cause


def test_the_mixed_type_is_made_once() -> None:
    assert type(wrapped(ValueError(1))) is type(wrapped(ValueError(2)))
    assert type(wrapped(ValueError(1))).__name__ == "TaskError(ValueError)"


def test_the_users_attributes_win_and_cause_stays() -> None:
    error = wrapped(OwnNames())
    assert vars(error)["pid"] == "mine"
    assert error.task_name == "f"
    assert "worker process 12" in str(error)
    assert isinstance(error.cause, OwnNames)


def test_a_group_can_be_split() -> None:
    with pytest.raises(ExceptionGroup) as info:
        try:
            raise wrapped(ExceptionGroup("g", [ValueError(1), KeyError(2)]))
        except* ValueError as group:
            assert len(group.exceptions) == 1
    assert isinstance(info.value.exceptions[0], KeyError)


def test_an_error_that_passes_through_a_second_task_shows_each_traceback_once() -> None:
    inner = wrapped(ValueError("deep"), "inner", "Traceback inner\nValueError: deep")
    outer = wrapped(inner, "outer", f"Traceback outer\nTaskError: {inner}")
    for error in (outer, pickle.loads(pickle.dumps(outer)), copy.deepcopy(outer)):
        assert type(error) is type(inner)
        assert error.task_name == "outer"
        assert isinstance(error.cause, TaskError)
        assert error.cause.task_name == "inner"
        assert type(error.cause.cause) is ValueError
        assert str(error).count("Traceback inner") == 1
        assert str(error).count("Traceback outer") == 1


def test_notes_are_kept_and_not_doubled() -> None:
    cause = ValueError("x")
    cause.add_note("by the user")
    error = wrapped(cause)
    assert error.cause is cause
    assert not hasattr(error, "__notes__")
    error.add_note("later")
    assert pickle.loads(pickle.dumps(error)).__notes__ == ["later"]


def test_an_uncaught_task_error_reads_well() -> None:
    error = wrapped(ValueError("x"), text="Traceback (most recent call last):\nValueError: x\n")
    text = "".join(traceback.format_exception(error))
    assert "snakepit.errors.TaskError(ValueError): f failed in worker process 12" in text
    assert text.endswith("ValueError: x\n")


def test_without_a_traceback_the_message_still_says_what_was_raised() -> None:
    assert "ValueError: x" in str(wrapped(ValueError("x"), text=""))


def test_errors_load_nothing_that_costs() -> None:
    code = (
        "import sys; before = set(sys.modules); import snakepit.errors, snakepit.faults;"
        "print(*sorted(set(sys.modules) - before))"
    )
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.split()
    assert not {"inspect", "logging", "cloudpickle", "dataclasses", "traceback"} & set(loaded)
