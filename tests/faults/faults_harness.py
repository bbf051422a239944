"""Drivers to be hurt, and ways to look at what is left of them."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import snakepit
from snakepit.protocol import current

PATIENCE_S = 30.0
MARKER = "SNAKEPIT_FAULTS_TEST"
SOAK = os.environ.get("SNAKEPIT_TEST_SOAK") == "1"
"""Whether tests take the sizes and times of `make soak-faults`."""


def scaled(small: Any, full: Any) -> Any:
    """Choose a size or a time: the full one in `make soak-faults`, else the small one."""
    return full if SOAK else small


def wait_until(condition: Callable[[], Any], timeout: float = PATIENCE_S) -> bool:
    """Wait until something outside this process is true; return whether it came true in time."""
    end = time.monotonic() + timeout
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.002)
    return True


def driver() -> Any:
    """The runtime of this process, with its insides."""
    runtime: Any = current()
    assert runtime is not None
    return runtime


def is_alive(pid: int) -> bool:
    """Whether a process runs; a zombie does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def bearing(text: str) -> dict[int, str]:
    """Living processes with `text` in their environment, with their command lines."""
    found = {}
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and text.encode() in (entry / "environ").read_bytes():
                command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode()
                found[int(entry.name)] = command[:200]
        except OSError:
            continue
    return {pid: command for pid, command in found.items() if is_alive(pid)}


def works_on(tasks: int = 4) -> None:
    """The runtime takes fresh tasks, and everything that was used is free again."""

    @snakepit.remote
    def double(x: int) -> int:
        return 2 * x

    expected = [2 * x for x in range(tasks)]
    assert snakepit.get([double.remote(x) for x in range(tasks)], timeout=PATIENCE_S) == expected
    settles()


def settles() -> None:
    """Wait until the scheduler's resources are all free."""
    resources = driver()._core.scheduler.resources
    assert wait_until(lambda: resources.free == resources.total), resources.free


def empties() -> None:
    """Wait until the scheduler knows no object any more."""
    core = driver()._core

    def is_empty() -> bool:
        core.update(lambda: None)
        return not core.entries

    assert wait_until(is_empty), core.entries


def store_empties() -> None:
    """Wait until no object and no byte of the store is left, once what is free is given back."""
    gc.collect()  # an error and the frames of its traceback hold one another, and references
    empties()
    memory = driver()._core.memory
    driver()._core.update(memory.trim)
    assert wait_until(lambda: memory.ledger.used() == 0), memory.ledger.used()
    assert not memory.adopted


def script(body: str, folder: Path) -> str:
    """Write a driver's script; return its path."""
    path = folder / "driver.py"
    path.write_text(textwrap.dedent(body))
    return str(path)


@contextmanager
def driving(
    body: str, folder: Path, *, marker: str = "", **options: Any
) -> Iterator[subprocess.Popen[str]]:
    """Run a driver of its own; kill it at the end if it still runs."""
    env = {**os.environ, MARKER: marker or str(os.getpid())}
    options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options}
    command = [sys.executable, "-W", "error", script(body, folder)]
    with subprocess.Popen(command, env=env, text=True, **options) as process:
        try:
            yield process
        finally:
            if process.poll() is None:
                process.kill()


def drive(body: str, folder: Path, **options: Any) -> str:
    """Run a driver to its end, which must be a good one; return what it printed."""
    with driving(body, folder, **options) as process:
        out, err = process.communicate(timeout=2 * PATIENCE_S)
    assert process.returncode == 0, f"{process.returncode}\n{out[-2000:]}\n{err[-4000:]}"
    assert isinstance(out, str)
    return out
