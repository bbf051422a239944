"""Workers of another interpreter: `runtime_env={"py_executable": ...}`, on real processes."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
import sysconfig
import venv
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import snakepit
from snakepit import errors, protocol, runtime_env
from snakepit.payload import bytecode, pickler
from snakepit.payload.bytecode import TAG
from snakepit.runtime import zygotes
from tests.runtime.helpers import PATIENCE, wait_until


def program(path: Path, text: str) -> str:
    """Write a program; return how it is named."""
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return str(path)


def ours() -> str:
    """The line of a .pth file that makes this checkout's packages importable."""
    return f"import site; site.addsitedir({sysconfig.get_path('purelib')!r})\n"


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The Python of a virtual environment that has snakepit, and a module of its own."""
    folder = tmp_path_factory.mktemp("other")
    venv.create(folder, symlinks=True)
    (site,) = folder.glob("lib/python*/site-packages")
    (site / "snakepit_is_there.pth").write_text(ours())
    (site / "only_there.py").write_text("WHERE = __file__\n")
    return str(folder / "bin" / "python")


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The Python of a virtual environment without snakepit."""
    folder = tmp_path_factory.mktemp("bare")
    venv.create(folder, symlinks=True)
    return str(folder / "bin" / "python")


@pytest.fixture(scope="module", autouse=True)
def one_runtime(runtime: Any) -> Iterator[Any]:
    """One for all tests of this module, but for those that say otherwise."""
    yield runtime


@snakepit.remote
def where(module: str = "") -> tuple[str, int, str]:
    if module:
        return __import__(module).WHERE, os.getpid(), sys.prefix
    return sys.executable, os.getpid(), sys.prefix


@snakepit.remote
class Resident:
    def where(self) -> tuple[str, int]:
        return sys.executable, os.getpid()

    def child(self) -> str:
        return snakepit.get(where.remote())[0]

    def context(self) -> Any:
        return snakepit.get_runtime_context().runtime_env


def get(ref: Any) -> Any:
    return snakepit.get(ref, timeout=PATIENCE)


def by(python: str, **fields: Any) -> Any:
    return where.options(runtime_env={"py_executable": python, **fields})


def core_zygotes() -> Any:
    runtime: Any = protocol.current()
    return runtime._processes.zygotes


def zygote(python: str) -> int:
    """The process that an interpreter's workers are forked from."""
    pid: int = core_zygotes().of(shlex.join([python])).zygote.pid
    return pid


# --- another interpreter --------------------------------------------------------------------


def test_tasks_and_actors_run_in_it_and_what_they_call(other: str) -> None:
    executable, _, prefix = get(by(other).remote())
    assert executable == other and prefix != sys.prefix
    actor = Resident.options(runtime_env={"py_executable": other}).remote()
    assert get(actor.where.remote())[0] == get(actor.child.remote()) == other
    assert get(actor.context.remote()) == {"py_executable": other}
    assert get(where.remote())[0] == sys.executable


def test_it_imports_from_its_own_packages_and_the_users_folders(
    other: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert get(by(other).remote("only_there"))[0].startswith(
        os.path.dirname(os.path.dirname(other))
    )
    with pytest.raises(ModuleNotFoundError):
        get(where.remote("only_there"))
    (tmp_path / "users_own.py").write_text("WHERE = 'the folder'\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert get(by(other).remote("users_own"))[0] == "the folder"


def test_values_go_both_ways(other: str) -> None:
    import numpy as np

    array = np.arange(300_000.0)
    total = snakepit.remote(lambda given: (given.sum(), given * 2))
    call = total.options(runtime_env={"py_executable": other})
    for given in (array, snakepit.put(array)):
        found, doubled = get(call.remote(given))
        assert found == array.sum() and (doubled == array * 2).all()


def test_the_drivers_own_needs_no_second_zygote() -> None:
    executable, _, prefix = get(by(sys.executable).remote())
    assert (executable, prefix) == (sys.executable, sys.prefix)
    assert core_zygotes().of(shlex.join([sys.executable])) is core_zygotes().home
    assert get(by(sys.executable).remote())[0] == sys.executable


def test_other_fields_of_the_environment_hold_in_it(other: str, tmp_path: Path) -> None:
    def read() -> tuple[str | None, str]:
        return os.environ.get("LEVEL"), os.getcwd()

    env = {"py_executable": other, "env_vars": {"LEVEL": "1"}, "working_dir": str(tmp_path)}
    assert get(snakepit.remote(read).options(runtime_env=env).remote()) == ("1", str(tmp_path))


def test_its_zygote_is_replaced_and_its_end_is_no_business_of_others(other: str) -> None:
    at_home = core_zygotes().home.zygote.pid
    actor = Resident.options(
        runtime_env={"py_executable": other}, max_restarts=1, max_task_retries=-1
    ).remote()
    assert get(actor.where.remote())[0] == other
    old = zygote(other)
    os.kill(old, signal.SIGKILL)
    # The actor's present process may answer still: it ends a moment later.
    assert wait_until(lambda: get(actor.where.remote())[0] == other and zygote(other) != old)
    assert get(by(other).remote())[0] == other
    assert core_zygotes().home.zygote.pid == at_home


# --- none that can be had ------------------------------------------------------------------


def refused(python: str, match: str) -> None:
    """The call and the actor fail for the reason; what needs it not goes on."""
    with pytest.raises(errors.RuntimeEnvSetupError, match=match) as caught:
        get(by(python).remote())
    assert python in str(caught.value)
    with pytest.raises(errors.ActorDiedError, match=match):
        get(Resident.options(runtime_env={"py_executable": python}).remote().where.remote())
    assert get(where.remote())[0] == sys.executable


def test_one_without_snakepit_says_what_is_missing(bare: str) -> None:
    refused(bare, r"(?s)snakepit must be installed there.*No module named 'snakepit'")


def test_what_is_no_python_shows_what_it_printed(tmp_path: Path) -> None:
    refused(program(tmp_path / "python", "echo no licence >&2; exit 3"), r"(?s)code 3.*no licence")
    refused(program(tmp_path / "true", "exit 0"), "exit code 0")


def test_what_the_system_cannot_run(tmp_path: Path) -> None:
    path = tmp_path / "python"
    path.write_bytes(b"\x7fELF no program")
    path.chmod(0o755)
    refused(str(path), "cannot start")


def test_what_starts_python_elsewhere(tmp_path: Path, other: str) -> None:
    wrapper = program(tmp_path / "wrapper", f'{shlex.quote(other)} "$@"; exit $?')
    refused(wrapper, "in between; name the interpreter")
    becomes = program(tmp_path / "becomes", f'exec {shlex.quote(other)} "$@"')
    assert get(by(becomes).remote())[0] == other


def test_what_hangs_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(zygotes, "ANSWER", 0.2)
    refused(program(tmp_path / "python", "exec sleep 1000"), "within 0.2 s")


def test_another_snakepit(tmp_path: Path, other: str) -> None:
    trick = "import snakepit.wire.messages as wire, sys; wire.VERSION = 1; exec(sys.argv.pop(1))"
    python = program(tmp_path / "python", f'shift; exec {other} -c "{trick}" "$@"')
    refused(python, "another snakepit than the driver, which speaks version 1")


def test_command_lines(other: str) -> None:
    def flag() -> int:
        return sys.flags.optimize

    call = snakepit.remote(flag).options(runtime_env={"py_executable": f"{other} -OO"})
    assert get(call.remote()) == 2


# --- whole runtimes ------------------------------------------------------------------------

PROGRAM = """
import os, signal, sys
import snakepit

python, does, hangs = sys.argv[1:]

@snakepit.remote
def where():
    return sys.executable

if does == "home":
    snakepit.init(num_cpus=1, runtime_env={"py_executable": python})
    print(snakepit.get(where.remote()))
elif does == "refused":
    snakepit.init(num_cpus=1, runtime_env={"py_executable": python})
    try:
        snakepit.get(where.remote())
    except snakepit.errors.RuntimeFailedError as error:
        print(error)
else:
    snakepit.init(num_cpus=1)
    print(snakepit.get(where.options(runtime_env={"py_executable": python}).remote()))
    waits = where.options(runtime_env={"py_executable": hangs}).remote()
    if does == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
snakepit.shutdown()
"""


def run_driver(python: str, does: str, tmp_path: Path) -> str:
    """Run a driver; return what it printed when no process of it is left."""
    path = tmp_path / "driver.py"
    path.write_text(PROGRAM)
    hangs = program(tmp_path / "hangs", "exec sleep 1000")
    driver = subprocess.Popen(
        [sys.executable, str(path), python, does, hangs], stdout=subprocess.PIPE, text=True
    )
    said, _ = driver.communicate(timeout=2 * PATIENCE)
    assert wait_until(lambda: not bearing(f"SNAKEPIT_RUN={driver.pid}-".encode()))
    return said


def bearing(mark: bytes) -> list[str]:
    """The processes that have a mark in their environment."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and mark in (entry / "environ").read_bytes():
                found.append(entry.name)
        except OSError:
            continue
    return found


def test_a_runtime_of_it_has_all_workers_there(other: str, tmp_path: Path) -> None:
    assert run_driver(other, "home", tmp_path) == f"{other}\n"


def test_a_runtime_of_one_that_cannot_be_had_fails(bare: str, tmp_path: Path) -> None:
    said = run_driver(bare, "refused", tmp_path)
    assert "snakepit must be installed" in said and bare in said and "No module named" in said


@pytest.mark.parametrize("end", ["shutdown", "kill"])
def test_all_end_with_the_driver_also_what_hangs(other: str, end: str, tmp_path: Path) -> None:
    assert run_driver(other, end, tmp_path) == f"{other}\n"


# --- bytecode ------------------------------------------------------------------------------


@pytest.mark.parametrize("what", ["function", "argument", "class", "hook"])
def test_code_of_another_version_is_refused_before_it_is_built(
    what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The driver's code says that another Python made it."""
    assert get(apply.remote(int)) == 0  # Its own definition is pickled here, and only once.
    monkeypatch.setattr(pickler, "TAG", "cpython-399")
    monkeypatch.setattr(runtime_env, "_TAG", "cpython-399")
    calls: dict[str, Callable[[], Any]] = {
        "function": lambda: snakepit.remote(lambda: 1).remote(),
        "argument": lambda: apply.remote(lambda: 1),
        "class": lambda: snakepit.remote(Local).remote().call.remote(),
        "hook": lambda: where.options(runtime_env={"worker_process_setup_hook": hook}).remote(),
    }

    class Local:
        def call(self) -> int:
            return 1

    def hook() -> None:
        pass

    with pytest.raises(errors.SnakepitError, match=f"from cpython-399 to {TAG} .* the other's byt"):
        get(calls[what]())


def test_code_of_another_version_in_a_result(monkeypatch: pytest.MonkeyPatch) -> None:
    made = get(apply.remote(lambda: lambda: 1))
    assert made() == 1
    monkeypatch.setattr(bytecode, "TAG", "cpython-399")
    with pytest.raises(errors.SerializationError, match=f"from {TAG} to cpython-399"):
        get(apply.remote(lambda: lambda: 1))


@snakepit.remote
def apply(function: Any) -> Any:
    return function()
