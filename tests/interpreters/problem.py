"""What went wrong, in the caller's terms, and how the steps run commands."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

SHOWN_LINES = 15


class InterpreterUnavailable(Exception):
    """An interpreter can neither be found nor built; the text says why and what to do."""


def run(
    command: Sequence[str | Path], *, cwd: Path | None = None, env: Mapping[str, str] | None = None
) -> str:
    """Run one step without a terminal, and say what it said if it fails.

    Args:
        command: the program and its arguments.
        cwd: where it runs.
        env: its environment; this process's by default.

    Returns:
        Its standard output.

    Raises:
        InterpreterUnavailable: it is not there, or it failed.
    """
    words = [str(word) for word in command]
    try:
        done = subprocess.run(
            words,
            cwd=cwd,
            env=None if env is None else dict(env),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
        )
    except OSError as error:
        raise InterpreterUnavailable(f"cannot run {words[0]}: {error.strerror}") from error
    if done.returncode:
        said = "\n".join((done.stdout + done.stderr).splitlines()[-SHOWN_LINES:])
        raise InterpreterUnavailable(f"{' '.join(words)}: exit {done.returncode}\n{said}")
    return done.stdout
