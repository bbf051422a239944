"""Environments of tasks, actors and whole runtimes, on real processes."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import snakepit
from snakepit import errors
from snakepit.runtime_env import RuntimeEnv
from tests.runtime.helpers import wait_until


@pytest.fixture(scope="module")
def runtime() -> Iterator[Any]:
    """A runtime whose workers have a variable of their own."""
    try:
        yield snakepit.init(num_cpus=2, runtime_env={"env_vars": {"LEVEL": "all", "ALL": "1"}})
    finally:
        snakepit.shutdown()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a module in it."""
    made = tmp_path / "work"
    made.mkdir()
    (made / "only_here.py").write_text(
        "import os\nCALLS = []\ndef answer(): return 42\n"
        "def hook(): CALLS.append(os.getpid()); os.environ['HOOKED'] = str(len(CALLS))\n"
        "def bad(): raise RuntimeError('no licence')\n"
    )
    (made / "data.txt").write_text("data")
    return made


@snakepit.remote
def variable(name: str) -> tuple[str | None, int]:
    return os.environ.get(name), os.getpid()


def read() -> tuple[str, str, int, str]:
    import only_here  # type: ignore[import-not-found]

    with open("data.txt") as file:
        return file.read(), os.getcwd(), only_here.answer(), sys.path[0]


@snakepit.remote
class Reader:
    def read(self) -> Any:
        return read()

    def variable(self, name: str) -> str | None:
        return os.environ.get(name)

    def child(self, name: str) -> Any:
        """What a task sees that this actor starts."""
        return snakepit.get(variable.remote(name))[0]

    def context(self) -> Any:
        return snakepit.get_runtime_context().runtime_env


def test_all_workers_have_the_runtimes(runtime: Any) -> None:
    assert snakepit.get(variable.remote("LEVEL"))[0] == "all"
    assert snakepit.get(Reader.remote().variable.remote("LEVEL")) == "all"
    assert "LEVEL" not in os.environ
    assert snakepit.get_runtime_context().runtime_env["env_vars"]["LEVEL"] == "all"


def test_a_tasks_variables_are_its_own(runtime: Any) -> None:
    fast = variable.options(runtime_env={"env_vars": {"LEVEL": "task"}})
    (level, first), (same, _) = snakepit.get([fast.remote("LEVEL"), fast.remote("ALL")])
    assert (level, same) == ("task", "1")
    plain, other = snakepit.get(variable.remote("LEVEL"))
    assert plain == "all" and other != first


def test_tasks_of_one_environment_share_processes(runtime: Any) -> None:
    named = RuntimeEnv(env_vars={"LEVEL": "shared"})
    call = variable.options(runtime_env=named)
    _, first = snakepit.get(call.remote("LEVEL"))
    again = variable.options(runtime_env={"env_vars": {"LEVEL": "shared"}}, num_cpus=0.5)
    level, second = snakepit.get(again.remote("LEVEL"))
    assert level == "shared" and first == second


def test_their_processes_end_when_they_idle(runtime: Any) -> None:
    call = variable.options(runtime_env={"env_vars": {"LEVEL": "short"}})
    _, pid = snakepit.get(call.remote("LEVEL"))
    assert wait_until(lambda: not os.path.exists(f"/proc/{pid}"))


def test_a_working_directory(runtime: Any, folder: Path) -> None:
    expected = ("data", str(folder), 42, str(folder))
    call = snakepit.remote(runtime_env={"working_dir": str(folder)})(read)
    assert snakepit.get(call.remote()) == expected
    actor = Reader.options(runtime_env={"working_dir": str(folder)}).remote()
    assert snakepit.get(actor.read.remote()) == expected
    assert snakepit.get(variable.remote("PWD"))[0] is not None
    with pytest.raises((ModuleNotFoundError, FileNotFoundError)):
        snakepit.get(snakepit.remote(read).remote())


def test_modules(runtime: Any, folder: Path) -> None:
    def answer() -> int:
        import only_here

        return int(only_here.answer())

    for path in (folder, folder / "only_here.py"):
        call = snakepit.remote(runtime_env={"py_modules": [path]})(answer)
        assert snakepit.get(call.remote()) == 42


@pytest.mark.parametrize("by", ["name", "function"])
def test_a_hook_runs_once_in_each_process_before_its_first_call(
    runtime: Any, folder: Path, by: str
) -> None:
    def hook() -> None:
        os.environ["HOOKED"] = str(int(os.environ.get("HOOKED", "0")) + 1)

    env = {
        "working_dir": str(folder),
        "worker_process_setup_hook": "only_here.hook" if by == "name" else hook,
    }
    call = variable.options(runtime_env=env)
    for _ in range(2):
        assert snakepit.get(call.remote("HOOKED"))[0] == "1"
    actor = Reader.options(runtime_env=env).remote()
    assert snakepit.get([actor.variable.remote("HOOKED") for _ in range(2)]) == ["1", "1"]


def test_a_hook_that_fails_is_the_error_of_its_calls(runtime: Any, folder: Path) -> None:
    env = {"working_dir": str(folder), "worker_process_setup_hook": "only_here.bad"}
    call = variable.options(runtime_env=env)
    for _ in range(2):
        with pytest.raises(errors.RuntimeEnvSetupError, match="RuntimeError: no licence"):
            snakepit.get(call.remote("LEVEL"))
    with pytest.raises(errors.ActorDiedError, match="no licence"):
        snakepit.get(Reader.options(runtime_env=env).remote().read.remote())
    missing = variable.options(runtime_env={"worker_process_setup_hook": "no_such_module.hook"})
    with pytest.raises(errors.RuntimeEnvSetupError, match="No module named 'no_such_module'"):
        snakepit.get(missing.remote("LEVEL"))


def test_what_is_called_from_an_environment_runs_in_it(runtime: Any, folder: Path) -> None:
    env = {"env_vars": {"LEVEL": "actor"}, "working_dir": str(folder)}
    actor = Reader.options(runtime_env=env).remote()
    assert snakepit.get(actor.child.remote("LEVEL")) == "actor"
    assert snakepit.get(actor.context.remote()) == {
        "env_vars": {"ALL": "1", "LEVEL": "actor"},
        "working_dir": str(folder),
    }


def test_our_own_variables_are_not_left_to_child_processes(runtime: Any, folder: Path) -> None:
    def names() -> str:
        return subprocess.check_output(["env"], text=True)

    call = snakepit.remote(runtime_env={"working_dir": str(folder)})(names)
    assert "SNAKEPIT_ENV_" not in snakepit.get(call.remote())


def test_a_restarted_actor_has_its_environment_again(runtime: Any) -> None:
    env = {"env_vars": {"LEVEL": "kept"}}
    actor = Reader.options(runtime_env=env, max_restarts=1, max_task_retries=-1).remote()
    assert snakepit.get(actor.variable.remote("LEVEL")) == "kept"
    snakepit.kill(actor, no_restart=False)
    assert snakepit.get(actor.variable.remote("LEVEL")) == "kept"


def test_what_is_wrong_is_refused_when_it_is_said(runtime: Any) -> None:
    with pytest.raises(errors.OptionError, match=r"runtime_env\['working_dir'\] must be a path"):
        variable.options(runtime_env={"working_dir": "/no/such/folder"})
    with pytest.raises(errors.NotSupportedError, match="pip"):
        snakepit.remote(runtime_env={"pip": ["x"]})(read)
    with pytest.raises(errors.OptionError, match="no field 'env'"):
        Reader.options(runtime_env={"env": {}})
