"""The zygote's process: what it is made of before its loop begins (see `nursery`)."""

from __future__ import annotations

import gc
import os
import resource
import signal
import sys
from importlib import import_module
from typing import Final, NoReturn

from snakepit.transport.handover import CHANNEL, DRIVER, STACKS, Settings

from .hang import die_with_stacks_on_signal
from .nursery import HEARD, NAME, Zygote
from .platform import adopt_orphans, name_process
from .spawn import Birth, Entry, become_worker, close_others

# A Ctrl-C or a closed terminal is the driver's business.
_DEAF_TO: Final = (signal.SIGINT, signal.SIGHUP, signal.SIGQUIT)
_WARM: Final = ("cloudpickle", "faulthandler", "msgpack", "pickle", "snakepit.payload.pickler")


def _find(entry: str) -> Entry:
    module, _, name = entry.partition(":")
    found: Entry = getattr(import_module(module), name)
    return found


def _listen_to_signals() -> int:
    """Have SIGCHLD and SIGTERM written to a pipe; return its reading end."""
    reader, writer = os.pipe()
    for fd in (reader, writer):
        os.set_blocking(fd, False)
    signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    for number in HEARD:
        signal.signal(number, lambda *_: None)
    return reader


def _prepare(settings: Settings) -> None:
    for number in _DEAF_TO:
        signal.signal(number, signal.SIG_IGN)
    if os.getsid(0) != os.getpid():  # where posix_spawn cannot make a session
        os.setsid()
    adopt_orphans()
    name_process(NAME)
    given = (CHANNEL, DRIVER) if settings.has_pidfd else (CHANNEL,)
    close_others(given)
    for fd in given:
        os.set_inheritable(fd, False)
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _run(settings: Settings) -> tuple[Birth, Entry, Zygote] | None:
    """Prepare and serve; return in each worker what it begins with, and here None.

    What a worker must not let go of comes with it (see `Zygote.serve`).
    """
    _prepare(settings)
    for name in _WARM:
        import_module(name)
    entry = _find(settings.entry)
    # Here and not in each worker: it is inherited, and costs them no memory of their own.
    import faulthandler

    faulthandler.register(STACKS, 2)
    die_with_stacks_on_signal()
    gc.freeze()
    zygote = Zygote(settings, _listen_to_signals())
    pid = os.getpid()
    try:
        birth = zygote.serve()
    finally:
        if os.getpid() == pid:
            zygote.end_workers()
    return None if birth is None else (birth, entry, zygote)


def main() -> NoReturn:
    """Be the zygote of the run that the command line describes, and in each child its worker."""
    gc.disable()  # a collection before a fork would only scatter holes over pages to be shared
    code = 1
    try:
        settings = Settings.parse(sys.argv[1:])
        sys.argv[:] = ["snakepit-worker"]
        born = _run(settings)
        if born is not None:
            become_worker(*born[:2])
        code = 0
    except BaseException:
        import traceback

        traceback.print_exc()
    finally:
        os._exit(code)
