"""Pools whose workers run another Python: `Pool(interpreter=...)`, on real processes."""

from __future__ import annotations

import os
import sys
import venv
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import snakepit
from snakepit import errors
from snakepit.config import resolve
from snakepit.machine import has_gil
from snakepit.runtime.interpreter import with_gil
from tests.runtime.helpers import PATIENCE
from tests.runtime.test_interpreters import ours, program

FREE = Path(__file__).parents[2] / ".venv-3.13t" / "bin" / "python"
"""A free-threaded Python with snakepit, where `make .venv-3.13t/stamps/test` has put one."""

needs_free = pytest.mark.skipif(
    not (FREE.exists() and has_gil()),
    reason="no .venv-3.13t beside the tests, or they run without the GIL themselves",
)


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The Python of a virtual environment that has snakepit."""
    folder = tmp_path_factory.mktemp("other")
    venv.create(folder, symlinks=True)
    (site,) = folder.glob("lib/python*/site-packages")
    (site / "snakepit_is_there.pth").write_text(ours())
    return str(folder / "bin" / "python")


@pytest.fixture
def runtime(other: str) -> Iterator[Any]:
    """A runtime with a pool that has an interpreter of its own."""
    with snakepit.init(num_cpus=1, pools=[snakepit.Pool("there", interpreter=other)]) as context:
        snakepit.pool("there").await_ready(PATIENCE)
        yield context


@snakepit.remote
def where(variable: str = "") -> tuple[str, str | None]:
    return sys.executable, os.environ.get(variable)


@snakepit.remote
def parent() -> tuple[str, str]:
    return sys.executable, snakepit.get(where.remote())[0]


def get(ref: Any) -> Any:
    return snakepit.get(ref, timeout=PATIENCE)


@pytest.mark.usefixtures("runtime")
def test_its_calls_run_there_and_those_of_other_pools_do_not(other: str) -> None:
    assert get(where.options(pool="there").remote()) == (other, None)
    assert get(where.remote()) == (sys.executable, None)
    # What they call runs by the interpreter of its own pool.
    assert get(parent.options(pool="there").remote()) == (other, sys.executable)


@pytest.mark.usefixtures("runtime")
def test_a_runtime_env_adds_to_it_and_may_not_contradict_it(other: str) -> None:
    env: dict[str, Any] = {"env_vars": {"MODE": "careful"}}
    call = where.options(pool="there", runtime_env=env)
    assert get(call.remote("MODE")) == (other, "careful")
    same = where.options(pool="there", runtime_env={"py_executable": other})
    assert get(same.remote())[0] == other
    contrary = where.options(pool="there", runtime_env={"py_executable": sys.executable})
    with pytest.raises(errors.OptionError, match=r"where names py_executable=.* pool 'there' has"):
        get(contrary.remote())


def test_one_that_is_no_python_fails_its_pool_and_no_other(tmp_path: Path) -> None:
    broken = program(tmp_path / "python", "echo no licence >&2; exit 3")
    pools = [snakepit.Pool("broken", size=2, interpreter=broken), snakepit.Pool("well", size=1)]
    with snakepit.init(num_cpus=1, pools=pools):
        snakepit.pool("well").await_ready(PATIENCE)
        with pytest.raises(errors.RuntimeEnvSetupError, match="exit code 3") as caught:
            snakepit.pool("broken").await_ready(PATIENCE)
        assert broken in str(caught.value) and "no licence" in str(caught.value)
        assert get(where.options(pool="well").remote())[0] == sys.executable


@needs_free
@pytest.mark.parametrize("profile", ["process", "thread"])
def test_a_free_threaded_worker_under_a_driver_with_a_gil(
    profile: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "both_import_it.py").write_text(
        "import os, sys, threading\n"
        "barrier = threading.Barrier(2)\n"
        "def gil(): return sys._is_gil_enabled()\n"
        f"def meet(): barrier.wait({PATIENCE}); return os.getpid(), sys._is_gil_enabled()\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "both_import_it", raising=False)
    module = __import__("both_import_it")
    threads = 2 if profile == "thread" else None
    pool = snakepit.Pool(
        "free", profile=profile, size=1, threads_per_worker=threads, interpreter=FREE
    )
    # Of this pool there is no warning: warnings are errors here.
    with snakepit.init(num_cpus=1, pools=[pool]):
        gil = snakepit.remote(pool="free")(module.gil)
        assert get(gil.remote()) is False
        if threads:
            meet = snakepit.remote(pool="free")(module.meet)
            found = get([meet.remote(), meet.remote()])
            assert found[0] == found[1] and found[0][1] is False
        by_value = snakepit.remote(pool="free")(lambda: 1)
        if sys.version_info[:2] == (3, 13):
            assert get(by_value.remote()) == 1
        else:
            with pytest.raises(errors.SerializationError, match=r"cpython-3\d+"):
                get(by_value.remote())
        assert get(gil.remote()) is False
        assert get(where.options(pool="default").remote())[0] == sys.executable


# --- what is said of the GIL ----------------------------------------------------------------------


def threaded(name: str, interpreter: str | None) -> snakepit.Pool:
    return snakepit.Pool(name, profile="thread", interpreter=interpreter)


def test_the_warning_is_about_the_interpreter_of_the_pool(tmp_path: Path) -> None:
    free = program(tmp_path / "free", "echo 3.13.5 False")
    locked = program(tmp_path / "locked", "echo 3.12.1 True")
    mute = program(tmp_path / "mute", "exit 1")
    pools = [
        threaded("a", free), threaded("b", locked), threaded("c", mute), threaded("d", locked),
        threaded("e", None), snakepit.Pool("f", interpreter=locked),
    ]  # fmt: skip
    found = with_gil(resolve(pools=pools))
    assert found[0] == (locked, "3.12.1", ["b", "d"])
    assert [names for _, _, names in found[1:]] == ([["e"]] if has_gil() else [])
    # An interpreter for the whole runtime is that of pools that name none.
    config = resolve(pools=[threaded("e", None)], runtime_env={"py_executable": locked})
    assert with_gil(config) == [(locked, "3.12.1", ["e"])]


# --- bad input ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "error", "text"),
    [
        (3, TypeError, "interpreter must be a path of Python"),
        (b"python3", TypeError, "interpreter must be a path of Python"),
        ("", errors.OptionError, "interpreter must be a path of Python"),
        ("'", errors.OptionError, "a command line as a shell reads it"),
        ("/no/such/python", errors.OptionError, "one that exists"),
        ("no-such-python", errors.OptionError, "one that exists"),
        (os.path.dirname(sys.executable), errors.OptionError, "a file that may be executed"),
        (__file__, errors.OptionError, "a file that may be executed"),
    ],
    ids=str,
)
def test_wrong_interpreters_are_refused(value: Any, error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        snakepit.Pool("a", interpreter=value)


def test_a_relative_path_is_one_from_where_the_pool_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    python = program(tmp_path / "python", "exit 1")
    monkeypatch.chdir(tmp_path)
    assert snakepit.Pool("a", interpreter="./python").interpreter == python
    assert snakepit.Pool("a", interpreter="./python -O").interpreter == f"{python} -O"
