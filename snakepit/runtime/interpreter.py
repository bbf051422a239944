"""The command line of a zygote: the driver's own interpreter, or another, and what it imports from.

The driver's own is started as the driver was, with its flags and its sys.path. Another one keeps
its own sys.path, for it has its own standard library and packages, and has the flags that its
command says.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from typing import Final

from ..checks import INTERPRETER
from ..config import Config
from ..machine import has_gil
from ..pools import THREAD
from ..runtime_env import Pairs

# The zygote imports from where the driver imports; its command line ends in the driver's path.
_BOOTSTRAP: Final = (
    "import sys; sys.path[:] = sys.argv.pop().split(chr(10)); "
    "from snakepit.workers.zygote import main; main()"
)
# The working directory, where anything may lie, is no place to import snakepit from.
_FOREIGN_BOOTSTRAP: Final = (
    "import sys; sys.path[:] = [entry for entry in sys.path if entry]; "
    "from snakepit.workers.zygote import main; main()"
)

_QUESTION: Final = (
    "import sys; print('.'.join(map(str, sys.version_info[:3])), "
    "getattr(sys, '_is_gil_enabled', lambda: True)())"
)

ANSWER: Final = 10.0
"""Seconds within which another interpreter must say whether it has a GIL."""

_PLAIN: Final = str.maketrans("", "", "/._-")


def own_interpreter() -> str:
    """Return the command of the interpreter that runs here."""
    program = sys.executable or ""
    if program.isascii() and program.translate(_PLAIN).isalnum():
        return program
    from shlex import quote  # here, for most paths need none

    return quote(program)


def home_interpreter(env: Pairs) -> str:
    """Return the interpreter of whatever names none, in a runtime of this environment."""
    return dict(env).get(INTERPRETER, "") or own_interpreter()


def with_gil(config: Config) -> list[tuple[str, str, list[str]]]:
    """Return the interpreters of thread pools that have a GIL: each with version and pools."""
    usual = home_interpreter(config.runtime_env)
    pools: dict[str, list[str]] = {}
    for pool in config.pools:
        if pool.profile == THREAD:
            pools.setdefault(pool.interpreter or usual, []).append(pool.name)
    found = []
    for interpreter, names in pools.items():
        if interpreter == own_interpreter():
            version = ".".join(map(str, sys.version_info[:3])) if has_gil() else ""
            interpreter = sys.executable
        else:
            version = _version_with_gil(interpreter)
        if version:
            found.append((interpreter, version, names))
    return found


def _version_with_gil(interpreter: str) -> str:
    """Ask another interpreter; "" if it has no GIL, or does not say.

    Why one cannot be asked is told by those who wait for its workers.
    """
    import subprocess
    from shlex import split

    with suppress(OSError, subprocess.SubprocessError):
        asked = subprocess.run(
            [*split(interpreter), "-S", "-c", _QUESTION],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=ANSWER,
        )
        version, _, gil = asked.stdout.strip().partition(" ")
        return version if gil == "True" else ""
    return ""


def command(interpreter: str, arguments: Sequence[str]) -> list[str]:
    """Return the command line of a zygote.

    Args:
        interpreter: as a shell would read it; "" for the one that runs here.
        arguments: what the zygote is told.

    Raises:
        OSError: nobody knows what interpreter runs here.
    """
    if interpreter:
        from shlex import split

        return [*split(interpreter), "-c", _FOREIGN_BOOTSTRAP, *arguments]
    if not sys.executable:
        raise OSError("sys.executable does not name the running interpreter")
    path = [os.getcwd() if entry == "" else entry for entry in sys.path if isinstance(entry, str)]
    return [sys.executable, *_flags(), "-c", _BOOTSTRAP, *arguments, "\n".join(path)]


def path_for_others(path: list[str]) -> list[str]:
    """Return what of sys.path is of use to another interpreter: the user's own folders."""
    import site
    import sysconfig

    paths = sysconfig.get_paths()
    library = paths["platstdlib"]
    version = f"python{sys.version_info.major}{sys.version_info.minor}.zip"
    ours = {paths[name] for name in ("stdlib", "platstdlib", "purelib", "platlib")}
    ours |= {os.path.join(library, "lib-dynload"), os.path.join(os.path.dirname(library), version)}
    ours |= {*site.getsitepackages(), site.getusersitepackages()}
    ours |= {os.path.join(sys.base_prefix, sys.platlibdir, version)}
    return [entry for entry in path if entry not in ours]


def _flags() -> list[str]:
    """Return the flags that make another process of this interpreter behave like this one."""
    flags = sys.flags
    letters = {
        "I": flags.isolated,
        "E": flags.ignore_environment and not flags.isolated,
        "s": flags.no_user_site and not flags.isolated,
        "P": flags.safe_path and not flags.isolated,
        "S": flags.no_site,
        "B": flags.dont_write_bytecode,
        "b": flags.bytes_warning,
        "O": flags.optimize,
    }
    found = [f"-{letter * int(count)}" for letter, count in letters.items() if count]
    found += [f"-W{option}" for option in sys.warnoptions]
    for name, value in sys._xoptions.items():
        found += ["-X", name if value is True else f"{name}={value}"]
    return found
