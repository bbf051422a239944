"""Each way to fail × each place in a call × each kind of call: the exact error, and life goes on.

All cases share one runtime, whose pool has seen hundreds of deaths by the end.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import pytest
from crash_strikes import LAST_WORDS, Actor, OnDumpError, OnEnd, OnLoad, double, task
from faults_harness import PATIENCE_S, is_alive, settles, store_empties

import snakepit
from snakepit import errors

pytestmark = pytest.mark.shares_runtime

Fields = dict[str, Any]


class Way(NamedTuple):
    """How a process ends, as its error tells."""

    exit_code: int | None
    signal: str | None
    text: str
    advice: str


ENDS = {
    "segfault": Way(None, "SIGSEGV", "was killed by SIGSEGV", "Native code crashed"),
    "abort": Way(None, "SIGABRT", "was killed by SIGABRT", "Native code gave up"),
    "exit": Way(3, None, "exited with code 3", "called os._exit"),
    "kill": Way(None, "SIGKILL", "was killed by SIGKILL", "out-of-memory killer"),
}
RAISES = {"sys.exit": SystemExit, "raise": ValueError}
WHERE = ("arguments", "run", "result", "exception", "collect", "finalizer", "write")
IGNORED = ("collect", "finalizer")
"""Where Python itself throws an exception away."""

ARRAY = np.arange(100_000.0)


@pytest.fixture(scope="module", autouse=True)
def runtime() -> Iterator[None]:
    snakepit.init(num_cpus=2, log_to_driver=False)
    try:
        yield
        store_empties()
        settles()
    finally:
        snakepit.shutdown()


def matrix(*kinds: str) -> pytest.MarkDecorator:
    cases = [
        pytest.param(kind, where, how, stored, id=f"{kind}-{where}-{how}{'-stored' * stored}")
        for kind in kinds
        for where in WHERE
        for how in (*ENDS, *RAISES)
        for stored in (False, True)
        if (where != "write" or stored) and (where != "result" or kind != "constructor")
    ]
    return pytest.mark.parametrize(("kind", "where", "how", "stored"), cases)


def charge(where: str, how: str) -> Any:
    """What travels with the arguments to strike there."""
    return {"arguments": OnLoad, "finalizer": OnEnd}.get(where, lambda how: None)(how)


def same(value: Any, other: Any) -> bool:
    return bool(np.array_equal(value, other))


@matrix("task", "method", "constructor")
def test_the_matrix(kind: str, where: str, how: str, stored: bool) -> None:
    value = ARRAY if stored else 7
    args = (where, how, value, charge(where, how))
    actor: Any = None
    if kind == "task":
        struck, name = task.remote(*args), "task"
        pending, expected = double.remote(4), 8
    else:
        actor = Actor.remote(*args) if kind == "constructor" else Actor.remote()
        name = "Actor" if kind == "constructor" else "Actor.method"
        plain = ("", "", value)
        struck = actor.method.remote(*(plain if kind == "constructor" else args))
        pending, expected = actor.pid.remote(), None
    if how in ENDS:
        assert_ended(struck, pending, kind, name, how)
    elif where in IGNORED:
        assert same(snakepit.get(struck, timeout=PATIENCE_S), value)
        assert_goes_on(pending, expected)
    else:
        assert_raised(struck, kind, where, how)
        if kind == "constructor":
            assert_raised(pending, kind, where, how)
        else:
            assert_goes_on(pending, expected)
    assert same(snakepit.get(double.remote(value), timeout=PATIENCE_S), 2 * value)


def assert_goes_on(pending: Any, expected: Any) -> None:
    found = snakepit.get(pending, timeout=PATIENCE_S)
    assert found == expected if expected is not None else is_alive(found)


def failure(ref: Any) -> Any:
    try:
        value = snakepit.get(ref, timeout=PATIENCE_S)
    except errors.SnakepitError as error:
        return error
    raise AssertionError(f"{value!r} is no error")


def assert_ended(struck: Any, pending: Any, kind: str, name: str, how: str) -> None:
    error, way = failure(struck), ENDS[how]
    assert type(error) is (errors.WorkerCrashedError if kind == "task" else errors.ActorDiedError)
    assert (error.exit_code, error.signal) == (way.exit_code, way.signal)
    assert error.running == name
    assert error.pid and not is_alive(error.pid)
    assert f"{LAST_WORDS} {how}\n" in error.stderr
    text = str(error)
    assert way.text in text and way.advice in text and error.stderr.rstrip() in text
    if kind == "task":
        assert (error.call, error.attempts) == ("task", 1)
        assert snakepit.get(pending, timeout=PATIENCE_S) == 8
    else:
        other = failure(pending)
        assert type(other) is errors.ActorDiedError
        for field in ("exit_code", "signal", "running", "pid", "stderr"):
            assert getattr(other, field) == getattr(error, field)


def assert_raised(ref: Any, kind: str, where: str, how: str) -> None:
    error = failure(ref)
    text = str(error)
    if kind == "constructor":
        assert type(error) is errors.ActorDiedError
        assert "was never made: its constructor raised" in text
        assert (error.exit_code, error.signal) == (None, None)
        raised = error.__cause__
    else:
        raised = error
    assert isinstance(raised, errors.TaskError)
    if where == "exception":
        # What it was is told in any case; whole, if only its own way to be pickled is wrong.
        if how == "raise":
            assert isinstance(raised, OnDumpError)
        else:
            assert isinstance(raised.cause, errors.CauseUnavailableError)
            assert "OnDumpError" in text and "SystemExit: 4" in str(raised.cause)
    elif how == "sys.exit":
        # Nobody's get() is to end the driver: it is an error as any other.
        assert type(raised) is errors.TaskError
        assert isinstance(raised.cause, SystemExit) and raised.cause.code == 4
    elif where in ("arguments", "result"):
        assert isinstance(raised, errors.SerializationError)
        assert "struck" in text
    else:
        assert isinstance(raised, ValueError)
        assert "struck" in text


@pytest.mark.parametrize("how", [*ENDS, *RAISES])
@pytest.mark.parametrize("kind", ["task", "constructor"])
def test_a_definition_that_strikes_whoever_loads_it(kind: str, how: str) -> None:
    struck, pending, name = define(kind, OnLoad(how))
    if how in ENDS:
        assert_ended(struck, pending, kind, name, how)
    else:
        assert_raised(struck, kind, "arguments", how)
        if kind == "task":
            assert_goes_on(pending, 8)
        else:
            assert_raised(pending, kind, "arguments", how)
    assert snakepit.get(double.remote(2), timeout=PATIENCE_S) == 4


def define(kind: str, charge: OnLoad) -> tuple[Any, Any, str]:
    """Call what cannot be loaded; return its result, that of a call behind it, and its name."""

    @snakepit.remote(max_retries=0, name="task")
    def loaded() -> Any:
        return charge

    @snakepit.remote
    class Loaded:
        held = charge

        def method(self) -> None:
            return None

    if kind == "task":
        return loaded.remote(), double.remote(4), "task"
    actor = Loaded.remote()
    return actor.method.remote(), actor.method.remote(), "Loaded"
