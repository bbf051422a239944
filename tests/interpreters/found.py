"""Interpreters that this machine has: on PATH, and where pyenv keeps what it built."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

# Asked of each candidate; a name on PATH may be a shim that runs another version, or none.
QUESTION = (
    "import sys, sysconfig; import ctypes, ssl, venv, zlib;"
    " print(*sys.version_info[:2], int(bool(sysconfig.get_config_var('Py_GIL_DISABLED'))))"
)
ANSWER_WITHIN_S = 60


class Version(NamedTuple):
    """A minor version of Python, with the GIL or without: `3.13`, `3.13t`."""

    major: int
    minor: int
    free_threaded: bool

    @classmethod
    def parse(cls, text: str) -> Version:
        """Read `3.13` or `3.13t`.

        Raises:
            ValueError: it is neither.
        """
        found = re.fullmatch(r"(\d+)\.(\d+)(t?)", text)
        if found is None:
            raise ValueError(f"{text!r} is no version, as 3.12, 3.13 and 3.13t are")
        return cls(int(found[1]), int(found[2]), bool(found[3]))

    def __str__(self) -> str:
        return f"{self.major}.{self.minor}{'t' * self.free_threaded}"


def is_version(python: Path, version: Version) -> bool:
    """Whether this program runs, is that version, and can make a virtual environment."""
    try:
        done = subprocess.run(
            [python, "-I", "-c", QUESTION],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=ANSWER_WITHIN_S,
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    wanted = [str(version.major), str(version.minor), str(int(version.free_threaded))]
    return done.stdout.split() == wanted


def candidates(version: Version) -> Iterator[Path]:
    """Yield what may be that interpreter, the likeliest first."""
    yield Path(sys.executable)
    name = f"python{version}"
    for folder in os.get_exec_path():
        yield Path(folder, name)
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv", "versions")
    yield from sorted(pyenv.glob(f"*/bin/{name}"), reverse=True)


def find(version: Version) -> Path | None:
    """Return an interpreter of that version on this machine, or None."""
    for python in candidates(version):
        if python.exists() and is_version(python, version):
            return python
    return None
