"""The environment of worker processes: variables, working directory, modules, hook, interpreter.

An environment is checked when it is made, and travels as pairs of strings, which a process has
among its variables when it begins: those of `env_vars` as they are, and for the rest four of our
own, which the worker takes out before anything of the user's runs (`workers/surroundings.py`).
Pairs that are the same mean the same processes, so they are sorted.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from types import ModuleType
from typing import Any, Final, TypeAlias, final

from .checks import INTERPRETER, check_name, check_text, wrong_type, wrong_value
from .errors import NotSupportedError, OptionError

__all__ = ["RuntimeEnv"]

Pairs: TypeAlias = tuple[tuple[str, str], ...]

PREFIX: Final = "SNAKEPIT_ENV_"
DIRECTORY: Final = "SNAKEPIT_ENV_WORKING_DIR"
MODULES: Final = "SNAKEPIT_ENV_PY_MODULES"
HOOK: Final = "SNAKEPIT_ENV_SETUP_HOOK"

# Which Python's bytecode a hook that is sent by value has.
_TAG: Final = sys.implementation.cache_tag

_UNAVAILABLE: Final[dict[str, str]] = {
    "pip": "packages are not installed: install them where this program runs",
    "uv": "packages are not installed: install them where this program runs",
    "conda": "no other environment is activated: start this program in the one that it needs",
    "container": "workers run where the driver runs",
    "image_uri": "workers run where the driver runs",
    "config": "there is nothing to be set up that takes time",
}
"""What Ray has and this version has not, and what to do."""


@final
class RuntimeEnv(dict[str, Any]):
    """A checked environment, which is a dictionary of what it was made from."""

    def __init__(self, **fields: Any) -> None:
        """Check the fields; None is as good as left out.

        Args:
            fields: `env_vars`, variables by name; `working_dir`, a local folder that becomes the
                working directory and is first on sys.path; `py_modules`, local packages, modules
                and folders to import from; `worker_process_setup_hook`, a function without
                arguments, or its dotted name, that runs before a process's first call;
                `py_executable`, the Python that the processes run, a path or a command line that
                becomes it (exec); `excludes`, which says what not to copy, and nothing is copied.

        Raises:
            TypeError: a field has a wrong type.
            OptionError: a field is unknown or has a value that is not allowed.
            NotSupportedError: a field is one of Ray's that is not available.
        """
        super().__init__({name: value for name, value in fields.items() if value is not None})
        check_runtime_env("runtime_env", self)


def check_runtime_env(option: str, value: object) -> Pairs:
    """Return an environment as pairs.

    Raises:
        TypeError: it or one of its fields has a wrong type.
        OptionError: a field is unknown or has a value that is not allowed.
        NotSupportedError: a field is one of Ray's that is not available.
    """
    if not isinstance(value, Mapping):
        raise wrong_type(option, value, f"a dictionary with {', '.join(_CHECKS)}")
    found: dict[str, str] = {}
    for name, field in value.items():
        check = _CHECKS.get(name)
        if check is not None:
            if field is not None:
                found.update(check(f"{option}[{name!r}]", field))
        elif name not in _UNAVAILABLE:
            raise OptionError(f"{option} has no field {name!r}; it has: {', '.join(_CHECKS)}")
        elif field:
            raise NotSupportedError(f"{option}[{name!r}] is not available: {_UNAVAILABLE[name]}")
    return tuple(sorted(found.items()))


def merged(outer: Pairs, inner: Pairs) -> Pairs:
    """Return an environment inside another: its own fields win, variables one by one."""
    if not outer or not inner:
        return outer or inner
    return tuple(sorted({**dict(outer), **dict(inner)}.items()))


def modules_of(text: str) -> list[str]:
    """Return the folders that the variable `MODULES` names."""
    import json

    folders: list[str] = json.loads(text)
    return folders


def told(pairs: Pairs) -> dict[str, Any]:
    """Return the dictionary that an environment's pairs were made from, paths made absolute."""
    all_of_it = dict(pairs)
    found: dict[str, Any] = {}
    variables = {name: text for name, text in pairs if not name.startswith(PREFIX)}
    if variables:
        found["env_vars"] = variables
    if DIRECTORY in all_of_it:
        found["working_dir"] = all_of_it[DIRECTORY]
    if MODULES in all_of_it:
        found["py_modules"] = modules_of(all_of_it[MODULES])
    if HOOK in all_of_it:
        kind, _, text = all_of_it[HOOK].partition(":")
        found["worker_process_setup_hook"] = text if kind == "name" else "a function"
    if INTERPRETER in all_of_it:
        found["py_executable"] = all_of_it[INTERPRETER]
    return found


# --- fields ----------------------------------------------------------------------------------


def _variables(option: str, value: object) -> dict[str, str]:
    if not isinstance(value, Mapping):
        raise wrong_type(option, value, "a dictionary of strings")
    for name, text in value.items():
        check_name(f"a name in {option}", name)
        if not isinstance(text, str):
            raise wrong_type(f"{option}[{name!r}]", text, "a string")
        check_text(f"{option}[{name!r}]", text)
        if "=" in name or "\0" in name or "\0" in text:
            raise wrong_value(option, value, "names without = and strings without a zero byte")
        if name.startswith("SNAKEPIT_"):
            raise wrong_value(f"a name in {option}", name, "other than those of snakepit's own")
    return dict(value)


def _local(option: str, value: object) -> str:
    if not isinstance(value, (str, os.PathLike)):
        raise wrong_type(option, value, "a path")
    path = str(os.fspath(value))
    if "://" in path:
        raise NotSupportedError(
            f"{option}={path!r}: only local paths are available; fetch it before"
        )
    path = os.path.abspath(os.path.expanduser(path))
    if not os.path.exists(path):
        raise wrong_value(option, value, "a path that exists")
    return path


def _directory(option: str, value: object) -> dict[str, str]:
    path = check_text(option, _local(option, value))
    if not os.path.isdir(path):
        raise wrong_value(option, value, "a folder")
    return {DIRECTORY: path}


def _modules(option: str, value: object) -> dict[str, str]:
    if not isinstance(value, (list, tuple)):
        raise wrong_type(option, value, "a list of paths and modules")
    folders = [_importable(f"{option}[{place}]", item) for place, item in enumerate(value)]
    if not folders:
        return {}
    import json  # here, for most environments name none

    return {MODULES: json.dumps(list(dict.fromkeys(folders)))}


def _importable(option: str, value: object) -> str:
    """Return what must be on sys.path for a package, a module, or what a folder holds."""
    if isinstance(value, ModuleType):
        value = next(iter(getattr(value, "__path__", ())), None) or value.__file__
    path = _local(option, value)
    if path.endswith(".py") or os.path.exists(os.path.join(path, "__init__.py")):
        return os.path.dirname(path)
    return path


def _hook(option: str, value: object) -> dict[str, str]:
    if isinstance(value, str):
        if not all(map(str.isidentifier, value.split("."))) or "." not in value:
            raise wrong_value(option, value, "a function or its name, as in 'package.module.name'")
        return {HOOK: f"name:{value}"}
    if not callable(value):
        raise wrong_type(option, value, "a function without arguments, or its dotted name")
    return {HOOK: f"pickle:{_pickled(option, value)}"}


def _pickled(option: str, value: Callable[..., Any]) -> str:
    from base64 import b64encode

    import cloudpickle

    try:
        return f"{_TAG}:{b64encode(cloudpickle.dumps(value)).decode()}"
    except Exception as error:
        raise wrong_type(option, value, f"a function that can be pickled ({error})") from error


def _interpreter(option: str, value: object) -> dict[str, str]:
    return {INTERPRETER: check_interpreter(option, value)}


def check_interpreter(option: str, value: object) -> str:
    """Return the command of a Python, its program by its absolute path.

    Raises:
        TypeError: it is neither a path nor a command line.
        OptionError: there is no such program.
    """
    import shlex
    import shutil

    if not isinstance(value, (str, os.PathLike)):
        raise wrong_type(option, value, "a path of Python, or a command line that begins with it")
    try:
        words = shlex.split(value) if isinstance(value, str) else [str(os.fspath(value))]
    except ValueError as error:
        raise wrong_value(option, value, f"a command line as a shell reads it ({error})") from None
    if not words or "\0" in "".join(words):
        raise wrong_value(option, value, "a path of Python, or a command line that begins with it")
    check_text(option, "".join(words))
    program = os.path.expanduser(words[0])
    found = shutil.which(program)
    if found is None:
        allowed = "a file that may be executed" if os.path.exists(program) else "one that exists"
        raise wrong_value(option, value, f"a path of Python, or its name in PATH: {allowed}")
    return shlex.join([os.path.abspath(found), *words[1:]])


def _excludes(option: str, value: object) -> dict[str, str]:
    if not isinstance(value, (list, tuple)) or not all(isinstance(each, str) for each in value):
        raise wrong_type(option, value, "a list of strings")
    return {}


_CHECKS: Final[dict[str, Callable[[str, Any], dict[str, str]]]] = {
    "env_vars": _variables,
    "working_dir": _directory,
    "py_modules": _modules,
    "worker_process_setup_hook": _hook,
    "py_executable": _interpreter,
    "excludes": _excludes,
}
