"""Environments as they are made: what is allowed, what is refused and how."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from snakepit.errors import NotSupportedError, OptionError
from snakepit.runtime_env import DIRECTORY, HOOK, MODULES, RuntimeEnv, merged, told
from snakepit.runtime_env import check_runtime_env as check


def pairs(**fields: Any) -> dict[str, str]:
    return dict(check("runtime_env", fields))


def test_pairs_are_the_same_for_the_same_environment(tmp_path: Path) -> None:
    one = check("runtime_env", {"env_vars": {"B": "1", "A": "2"}, "working_dir": str(tmp_path)})
    two = check("runtime_env", {"working_dir": tmp_path, "env_vars": {"A": "2", "B": "1"}})
    assert one == two == (("A", "2"), ("B", "1"), (DIRECTORY, str(tmp_path)))
    assert check("runtime_env", {}) == check("runtime_env", {"env_vars": {}, "pip": None}) == ()


def test_paths_are_made_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "inner").mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert pairs(working_dir="inner") == pairs(working_dir="~/inner")
    assert pairs(working_dir=".") == {DIRECTORY: str(tmp_path)}


def test_modules_are_what_must_be_on_the_path(tmp_path: Path) -> None:
    package, folder = tmp_path / "package", tmp_path / "folder"
    for each in (package, folder):
        each.mkdir()
    (package / "__init__.py").touch()
    (folder / "module.py").touch()
    found = pairs(py_modules=[package, str(folder), folder / "module.py", json])
    path = json.loads(found[MODULES])
    assert path[:2] == [str(tmp_path), str(folder)] and len(path) == 3
    assert (Path(path[2]) / "json").is_dir()
    assert pairs(py_modules=[]) == {}


def test_hooks() -> None:
    assert pairs(worker_process_setup_hook="package.module.run") == {
        HOOK: "name:package.module.run"
    }
    assert pairs(worker_process_setup_hook=lambda: None)[HOOK].startswith("pickle:")


@pytest.mark.parametrize(
    ("fields", "error", "text"),
    [
        ({"env_var": {}}, OptionError, "no field 'env_var'; it has: env_vars, working_dir, py_mod"),
        ({"env_vars": ["A"]}, TypeError, r"\['env_vars'\] must be a dictionary of strings"),
        ({"env_vars": {"A": 1}}, TypeError, r"\['env_vars'\]\['A'\] must be a string, not 1"),
        ({"env_vars": {1: "A"}}, TypeError, "a name in"),
        ({"env_vars": {"": "A"}}, OptionError, "a name in"),
        ({"env_vars": {"A=B": "A"}}, OptionError, "names without ="),
        ({"env_vars": {"A": "\0"}}, OptionError, "without a zero byte"),
        ({"env_vars": {"A": "\udcff"}}, OptionError, r"\['A'\] must be text that UTF-8 can encode"),
        ({"env_vars": {"SNAKEPIT_RUN": "1"}}, OptionError, "other than those of snakepit's own"),
        ({"working_dir": "/no/such/folder"}, OptionError, "must be a path that exists"),
        ({"working_dir": __file__}, OptionError, "must be a folder"),
        ({"working_dir": 3}, TypeError, "must be a path"),
        ({"working_dir": b"/"}, TypeError, "must be a path, not b"),
        ({"working_dir": "s3://box/a.zip"}, NotSupportedError, "only local paths"),
        ({"py_modules": "folder"}, TypeError, "must be a list of paths"),
        ({"py_modules": ["/no/such"]}, OptionError, r"\['py_modules'\]\[0\] must be a path that"),
        ({"worker_process_setup_hook": "run"}, OptionError, "must be a function or its name"),
        ({"worker_process_setup_hook": "a.b-c"}, OptionError, "must be a function or its name"),
        ({"worker_process_setup_hook": 3}, TypeError, "must be a function"),
        ({"excludes": "a"}, TypeError, "must be a list of strings"),
        ({"pip": ["numpy"]}, NotSupportedError, r"\['pip'\] is not available"),
        ({"uv": ["numpy"]}, NotSupportedError, r"\['uv'\] is not available"),
        ({"conda": "base"}, NotSupportedError, r"\['conda'\] is not available"),
        ({"container": {"image": "x"}}, NotSupportedError, r"\['container'\] is not available"),
        ({"image_uri": "x"}, NotSupportedError, r"\['image_uri'\] is not available"),
        ({"py_executable": "python '\udcff'"}, OptionError, "must be text that UTF-8 can encode"),
        ({"py_executable": 3}, TypeError, "must be a path of Python, or a command line"),
        ({"py_executable": b"/"}, TypeError, "must be a path of Python, or a command line"),
        ({"py_executable": ""}, OptionError, "must be a path of Python, or a command line"),
        ({"py_executable": "a 'b"}, OptionError, r"as a shell reads it \(No closing quotation"),
        ({"py_executable": "/no/such/python"}, OptionError, "one that exists, not '/no/such/pyth"),
        ({"py_executable": "no-such-python"}, OptionError, "one that exists, not 'no-such-python"),
        ({"py_executable": __file__}, OptionError, "that may be executed, not '.*test_runtime_en"),
        ({"py_executable": "/"}, OptionError, "that may be executed, not '/'"),
    ],
)
def test_what_is_wrong_is_named(fields: Any, error: type[Exception], text: str) -> None:
    for make in (lambda: check("runtime_env", fields), lambda: RuntimeEnv(**fields)):
        with pytest.raises(error, match=text):
            make()


def test_a_folder_whose_name_is_no_text_is_named(tmp_path: Path) -> None:
    folder = tmp_path / "\udcff"
    folder.mkdir()
    with pytest.raises(OptionError, match=r"\['working_dir'\] must be text that UTF-8 can encode"):
        check("runtime_env", {"working_dir": folder})


def test_it_must_be_a_dictionary() -> None:
    with pytest.raises(TypeError, match="runtime_env must be a dictionary with env_vars, working"):
        check("runtime_env", "env")


def test_a_hook_that_cannot_be_pickled_is_named() -> None:
    import threading

    lock = threading.Lock()
    with pytest.raises(TypeError, match="a function that can be pickled"):
        check("runtime_env", {"worker_process_setup_hook": lambda: lock})


def test_inner_fields_win_and_variables_one_by_one(tmp_path: Path) -> None:
    outer = check("runtime_env", {"env_vars": {"A": "1", "B": "1"}, "working_dir": "/"})
    inner = check("runtime_env", {"env_vars": {"B": "2"}, "working_dir": tmp_path})
    both = {"env_vars": {"A": "1", "B": "2"}, "working_dir": str(tmp_path)}
    assert told(merged(outer, inner)) == both
    assert merged(outer, ()) == merged((), outer) == outer


def test_it_tells_what_it_was_made_from(tmp_path: Path) -> None:
    made = RuntimeEnv(
        env_vars={"A": "1"},
        py_modules=[str(tmp_path)],
        worker_process_setup_hook="package.run",
        excludes=["*.bin"],
        pip=None,
    )
    assert isinstance(made, dict) and "pip" not in made
    assert told(check("runtime_env", made)) == {
        "env_vars": {"A": "1"},
        "py_modules": [str(tmp_path)],
        "worker_process_setup_hook": "package.run",
    }
    function = check("runtime_env", {"worker_process_setup_hook": lambda: None})
    assert told(function) == {"worker_process_setup_hook": "a function"}
