"""From a fork of the zygote to a worker: nothing of the zygote's is left but its memory.

What is restored is what the driver's own children would have: signal handlers and mask, the soft
limit of open files, a session and a process group of its own. What is added: death with the
zygote, the run's mark in the environment, and streams that end in the zygote.
"""

from __future__ import annotations

import gc
import os
import signal
import socket
import sys
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final, NamedTuple, NoReturn

from snakepit.checks import LIMITS
from snakepit.transport.handover import MARK

from .output import mark_of
from .platform import die_with_parent, name_process
from .streams import WorkerOutput

Entry = Callable[["WorkerSetup"], Any]

_MOST_FILES: Final = 1 << 20
_DEFAULTED: Final = ("SIGCHLD", "SIGTERM", "SIGHUP", "SIGQUIT")


class WorkerSetup(NamedTuple):
    """What a worker begins with.

    `mailbox` and `control` are connected Unix stream sockets; `status` is the 64 bytes of
    the worker's slot in the shared status area; `ledger` a descriptor of the store's ledger, which
    has `slots` slots; `output` takes the label of what runs.
    """

    number: int
    slot: int
    run: str
    label: str
    slots: int
    mailbox: socket.socket
    control: socket.socket
    status: memoryview
    ledger: int
    output: WorkerOutput


class Birth(NamedTuple):
    """What the zygote knows of a worker at its fork."""

    number: int
    slot: int
    run: str
    label: str
    env: Sequence[tuple[str, str]]
    slots: int
    status: memoryview
    mailbox: int
    control: int
    stdout: int
    stderr: int
    ledger: int
    zygote: int
    open_files: int


def become_worker(birth: Birth, entry: Entry) -> NoReturn:
    """Turn this freshly forked process into a worker, run `entry`, and end with its exit code.

    Args:
        birth: made by the zygote before the fork; every signal is blocked.
        entry: takes the setup; its result, an integer or None, is the exit code.
    """
    code = 1
    output: WorkerOutput | None = None
    try:
        os.setsid()
        die_with_parent(birth.zygote)
        mailbox, control, ledger = _keep_descriptors(birth)
        _restore_limits(birth.open_files)
        os.environ.update(dict(birth.env))
        limits = os.environ.pop(LIMITS, "")
        os.environ[MARK] = f"{birth.run}:{birth.number}"
        output = WorkerOutput(mark_of(birth.run), birth.label)
        output.install()
        _restore_signals()
        _tell_apart(birth.number)
        if limits:
            from .limits import set_up

            set_up(limits)
        setup = WorkerSetup(
            birth.number,
            birth.slot,
            birth.run,
            birth.label,
            birth.slots,
            socket.socket(socket.AF_UNIX, socket.SOCK_STREAM, 0, fileno=mailbox),
            socket.socket(socket.AF_UNIX, socket.SOCK_STREAM, 0, fileno=control),
            birth.status,
            ledger,
            output,
        )
        code = _exit_code(entry(setup))
    except SystemExit as exit:
        code = _exit_code(exit.code)
    except BaseException:
        _report()
    finally:
        _leave(code, output)


def _leave(code: int, output: WorkerOutput | None) -> NoReturn:
    try:
        if output is not None:
            output.flush()
    except (OSError, ValueError):  # nobody reads any more, or the user closed the stream
        code = code or 1
    finally:
        os._exit(code)


def _exit_code(result: object) -> int:
    if result is None:
        return 0
    if isinstance(result, int):
        return result & 0xFF
    sys.stderr.write(f"{result}\n")
    return 1


def _report() -> None:
    import traceback

    traceback.print_exc()


def _keep_descriptors(birth: Birth) -> tuple[int, int, int]:
    """Close all but what the worker uses; give that the lowest numbers, which select() needs."""
    os.dup2(birth.stdout, 1)
    os.dup2(birth.stderr, 2)
    wanted = (birth.mailbox, birth.control, birth.ledger)
    close_others(wanted)
    import fcntl

    low: dict[int, int] = {}
    for fd in sorted(wanted):
        moved = fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 3)
        if moved < fd:
            os.close(fd)
            low[fd] = moved
        else:
            os.close(moved)
            low[fd] = fd
    return low[birth.mailbox], low[birth.control], low[birth.ledger]


def close_others(wanted: Iterable[int]) -> None:
    """Close every descriptor from 3 on that is not wanted."""
    start = 3
    for fd in sorted(wanted):
        os.closerange(start, fd)
        start = fd + 1
    import resource

    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    os.closerange(start, _MOST_FILES if hard < 0 else min(hard, _MOST_FILES))


def _restore_limits(open_files: int) -> None:
    import resource

    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if open_files > 0:
        resource.setrlimit(resource.RLIMIT_NOFILE, (open_files, hard))


def _restore_signals() -> None:
    signal.set_wakeup_fd(-1)
    for name in _DEFAULTED:
        signal.signal(getattr(signal, name), signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())


def _tell_apart(number: int) -> None:
    name_process(f"snakepit-{number}")
    gc.enable()
    # `random` seeds itself at each fork; numpy does not.
    numpy_random = sys.modules.get("numpy.random")
    if numpy_random is not None:
        numpy_random.seed()
    import faulthandler

    # Of the thread that crashed alone: the others' frames would push the user's last words out.
    faulthandler.enable(2, all_threads=False)
