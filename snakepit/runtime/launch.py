"""The start of a zygote's process, which needs so little that it comes before all else.

A Python that starts and imports takes most of the time to a first result, so the process begins
while the rest of the driver is still loaded; what it needs besides (see `wire.Areas`) follows on
its channel. Hence this module imports nothing that `import snakepit` has not loaded but modules of
C and a few small ones.
"""

from __future__ import annotations

import fcntl
import os
import resource
from _socket import socketpair
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Final, final

from ..errors import RuntimeStartError
from ..transport.handover import CHANNEL, DRIVER, MARK, Settings
from .interpreter import command

DEFAULT_ENTRY: Final = "snakepit.workers.process:main"
"""What workers run, `package.module:function`."""

_THREAD_LIMITS: Final = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "BLIS_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
    "NUMEXPR_NUM_THREADS",
)
_SIGKILL: Final = 9


@final
class Launched:
    """A process that becomes a zygote, and the descriptors by which it is known here.

    Attributes:
        run: the run that it is for.
        pid: of the process, a child of this one.
        channel: the descriptor of the socket that leads to it.
        log: the descriptor of the file that it prints to.
    """

    __slots__ = ("channel", "log", "pid", "run")

    def __init__(self, run: str, pid: int, channel: int, log: int) -> None:
        self.run = run
        self.pid = pid
        self.channel = channel
        self.log = log

    def end(self) -> None:
        """End a process that nothing has been asked of, and close what leads to it."""
        for fd in (self.channel, self.log):
            os.close(fd)
        with suppress(ProcessLookupError, ChildProcessError):  # the user's own wait() was first
            os.kill(self.pid, _SIGKILL)
            os.waitpid(self.pid, 0)


def launch(
    *,
    run: str,
    env: Mapping[str, str],
    entry: str = DEFAULT_ENTRY,
    log_to_driver: bool = True,
    open_files: int = 0,
    interpreter: str = "",
) -> Launched:
    """Start the process of a zygote and return at once; see `ZygoteClient.start`.

    Raises:
        RuntimeStartError: no process could be started.
    """
    opened: list[int] = []
    try:
        ours, theirs = (end.detach() for end in socketpair())
        opened += [ours, theirs]
        driver = open_pidfd(os.getpid())
        given = {CHANNEL: theirs}
        if driver >= 0:
            opened.append(driver)
            given[DRIVER] = driver
        log = _log_file()
        opened.append(log)
        settings = Settings(run, open_files, log_to_driver, driver >= 0, entry)
        pid = _spawn(interpreter, settings, env, given, log)
        opened = [fd for fd in opened if fd not in (ours, log)]
        return Launched(run, pid, ours, log)
    except OSError as error:
        raise RuntimeStartError(
            f"the zygote, the process that workers are forked from, cannot start: {error}"
        ) from error
    finally:
        for fd in opened:
            os.close(fd)


def raise_open_files() -> int:
    """Raise this process's soft limit of open files to the hard one; return what it was."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return soft


def restore_open_files(before: int) -> None:
    """Take back what `raise_open_files` did, unless somebody has set another limit since."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == hard and before >= 0 and (before < hard or hard < 0):
        resource.setrlimit(resource.RLIMIT_NOFILE, (before, hard))


def open_pidfd(pid: int) -> int:
    """Return a descriptor of a process; -1 where there are none, or no such process."""
    try:
        return os.pidfd_open(pid) if hasattr(os, "pidfd_open") else -1
    except ProcessLookupError:
        return -1


def _log_file() -> int:
    if hasattr(os, "memfd_create"):
        return os.memfd_create("snakepit-zygote-log", os.MFD_CLOEXEC)
    import tempfile

    with tempfile.TemporaryFile() as file:
        return os.dup(file.fileno())


def _spawn(
    interpreter: str,
    settings: Settings,
    env: Mapping[str, str],
    given: Mapping[int, int],
    log: int,
) -> int:
    """Start the interpreter with descriptor `given[n]` as its n; return its pid."""
    arguments = command(interpreter, settings.arguments())
    copies: list[int] = []
    try:
        # High numbers first, so that no descriptor is overwritten before it is duplicated.
        for fd in (log, *given.values()):
            copies.append(fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, DRIVER + 1))
        actions: list[tuple[Any, ...]] = [
            (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
            (os.POSIX_SPAWN_DUP2, copies[0], 1),
            (os.POSIX_SPAWN_DUP2, copies[0], 2),
        ]
        actions += [(os.POSIX_SPAWN_DUP2, copy, fd) for copy, fd in zip(copies[1:], given)]
        env = _environment(settings.run, env, bool(interpreter))
        return _posix_spawn(arguments, env, actions)
    finally:
        for fd in copies:
            os.close(fd)


def _posix_spawn(
    arguments: list[str], env: Mapping[str, str], actions: list[tuple[Any, ...]]
) -> int:
    # A session from the first moment: a Ctrl-C at the terminal must not end a young zygote.
    try:
        return os.posix_spawn(
            arguments[0], arguments, env, file_actions=actions, setsid=True, setsigmask=()
        )
    except NotImplementedError:
        return os.posix_spawn(arguments[0], arguments, env, file_actions=actions, setsigmask=())


def _environment(run: str, env: Mapping[str, str], foreign: bool) -> dict[str, str]:
    if foreign:  # another one would look there for its standard library
        env = {name: text for name, text in env.items() if name != "PYTHONHOME"}
    # Whoever sets the first of them speaks for every library.
    limits = () if _THREAD_LIMITS[0] in env else _THREAD_LIMITS
    return {**dict.fromkeys(limits, "1"), **env, MARK: f"{run}:0"}
