"""runtime_env: what processes begin with."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.conformance.marks import differs, not_inline


@not_inline("environments are refused, since they change the process")
def test_a_variable_of_a_task(ray: Any) -> None:
    @ray.remote(runtime_env={"env_vars": {"CONFORMANCE": "task"}})
    def look() -> Any:
        return os.environ.get("CONFORMANCE")

    assert ray.get(look.remote()) == "task"


@not_inline("environments are refused, since they change the process")
def test_a_variable_of_one_call(ray: Any) -> None:
    @ray.remote
    def look() -> Any:
        return os.environ.get("CONFORMANCE")

    special = look.options(runtime_env={"env_vars": {"CONFORMANCE": "call"}})
    assert ray.get([look.remote(), special.remote()]) == [None, "call"]


@not_inline("environments are refused, since they change the process")
def test_a_variable_of_an_actor(ray: Any) -> None:
    @ray.remote
    class Looks:
        def look(self) -> Any:
            return os.environ.get("CONFORMANCE")

    looks = Looks.options(runtime_env={"env_vars": {"CONFORMANCE": "actor"}}).remote()
    assert ray.get(looks.look.remote()) == "actor"


@not_inline("environments are refused, since they change the process")
def test_tasks_of_a_task_inherit_its_variables(ray: Any) -> None:
    @ray.remote
    def inner() -> Any:
        return os.environ.get("CONFORMANCE")

    @ray.remote(runtime_env={"env_vars": {"CONFORMANCE": "outer"}})
    def outer() -> Any:
        return ray.get(inner.remote())

    assert ray.get(outer.remote()) == "outer"


@not_inline("environments are refused, since they change the process")
def test_an_interpreter(ray: Any) -> None:
    @ray.remote(runtime_env={"py_executable": sys.executable})
    def look() -> Any:
        return sys.executable

    assert ray.get(look.remote()) == sys.executable


@not_inline("environments are refused, since they change the process")
@differs(
    "`py_modules` and `working_dir` of a task or an actor may be local paths.",
    because="on one machine each worker sees them; Ray uploads them, for a whole job only.",
)
@pytest.mark.parametrize("option", ["py_modules", "working_dir"])
def test_local_paths(ray: Any, expect: Any, tmp_path: Path, option: str) -> None:
    package = tmp_path / "conformance_package"
    package.mkdir()
    (package / "__init__.py").write_text("VALUE = 'found'\n")

    def look() -> Any:
        import importlib

        return importlib.import_module("conformance_package").VALUE

    given = {"py_modules": [str(package)], "working_dir": str(tmp_path)}
    try:
        outcome = ray.get(ray.remote(runtime_env={option: given[option]})(look).remote())
    except ValueError:
        outcome = "refused"
    assert outcome == expect(snakepit="found", ray="refused")


@pytest.mark.parametrize(
    "env",
    [{"env_vars": {"A": 1}}, {"env_vars": "A=1"}, {"working_dir": 5}, {"py_modules": "one"}],
    ids=str,
)
def test_wrong_values_are_refused(ray: Any, env: Any) -> None:
    def f() -> None: ...

    with pytest.raises((TypeError, ValueError)):
        ray.remote(f).options(runtime_env=env).remote()


@not_inline("environments are refused, since they change the process")
def test_a_runtime_env_is_a_mapping(ray: Any) -> None:
    import importlib

    made = importlib.import_module(f"{ray.__name__}.runtime_env").RuntimeEnv(
        env_vars={"CONFORMANCE": "made"}
    )
    assert made["env_vars"] == {"CONFORMANCE": "made"}

    @ray.remote(runtime_env=made)
    def look() -> Any:
        return os.environ.get("CONFORMANCE")

    assert ray.get(look.remote()) == "made"


@not_inline("environments are refused, since they change the process")
def test_the_context_knows_its_environment(ray: Any) -> None:
    @ray.remote(runtime_env={"env_vars": {"CONFORMANCE": "known"}})
    def known() -> Any:
        return ray.get_runtime_context().runtime_env["env_vars"]["CONFORMANCE"]

    assert ray.get(known.remote()) == "known"
