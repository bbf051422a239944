"""A program's main function, run to an exit status: errors, signals, broken pipes, clean ends.

Purpose: what ends a script also ends its runtime, in order if there is time, and is told to
whoever started the script by the exit status that shells and supervisors expect.

How a signal ends it: the handlers only note it. What they raise is raised where Ctrl-C may strike
(SIGTERM and SIGHUP go on as a SIGINT, which the runtime holds back while it must not be torn), so
`main` unwinds as for any exception; then the runtime is shut down. From the first signal on, the
next has its default action, which is the process's end at once, and a thread ends the process
when `shutdown_timeout` is over. In both cases the zygote, which watches the driver, ends the rest.

Assumptions: it runs in the main thread, where Python's signal handlers do. Nothing relies on the
GIL.
"""

from __future__ import annotations

import os
import select
import signal
import sys
import threading
import time
from collections.abc import Callable
from functools import partial
from io import open_code
from queue import Empty, SimpleQueue
from types import FrameType, ModuleType, TracebackType
from typing import Any, Final, Literal, TextIO, final

from .api.context import is_initialized, shutdown
from .checks import check_choice, check_timeout, wrong_type
from .errors import ScriptTimeoutError
from .protocol import current
from .runtime.interrupts import unwrapped

ExitMode = Literal["auto", "exit", "return"]
MODES: Final = ("auto", "exit", "return")
SHUTDOWN_TIMEOUT: Final = 10.0

FAILED: Final = 1
_SIGNALLED: Final = 128
_HEARD: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_AT_ONCE: Final = 0.05
"""Seconds within which signals are one: timeout(1) sends to the process and to its group."""


def run_as_script(
    main: Callable[[], object],
    *,
    timeout: float | None = None,
    shutdown_timeout: float | None = SHUTDOWN_TIMEOUT,
    exit_mode: ExitMode = "auto",
    on_signal: Callable[[int], object] | None = None,
) -> int:
    """Run `main`, shut the runtime down, and end with the status that says how it went.

    The status is 0; 1 after an error, whose traceback is on stderr; what `main` gave to
    `sys.exit`; 128 + N after signal N of SIGINT, SIGTERM and SIGHUP, whatever `main` made of it
    but a `sys.exit` of its own; 1 without a word where nobody reads stdout any more. What `main`
    returns is ignored. SIGINT raises KeyboardInterrupt in it, the other two SystemExit. A second
    signal ends the process at once, by that signal. A signal that was ignored before still is.

    Args:
        main: takes nothing.
        timeout: seconds that it may take; after them `ScriptTimeoutError` is raised in it.
        shutdown_timeout: seconds from a signal, the timeout or the end of `main` until the process
            is ended by force; None: as long as it takes.
        exit_mode: "exit" raises SystemExit with the status, at the end. "return" returns it, puts
            the signals' handlers back, shuts down only a runtime that was not there before, and
            ends nothing by force. "auto" is "exit" where the caller is a script, the module
            `__main__` of an interpreter that is not interactive, and else "return": in notebooks,
            at a prompt, in tests, in a module's function.
        on_signal: is called with the first signal's number after `main` has ended for it, while
            the runtime still lives; its time counts for `shutdown_timeout`.

    Returns:
        The status, if it returns.

    Raises:
        SystemExit: in mode "exit", with the status.
        TypeError: an argument has a wrong type, or `main` is a coroutine function.
        OptionError: an argument has a value that is not allowed.
        RuntimeError: it was called in a task, an actor, or a thread other than the main one.
    """
    mode = check_choice("exit_mode", exit_mode, MODES)
    _check_callable("main", main)
    if on_signal is not None:
        _check_callable("on_signal", on_signal)
    limits = check_timeout(timeout), check_timeout(shutdown_timeout, "shutdown_timeout")
    if threading.current_thread() is not threading.main_thread():
        raise RuntimeError("run_as_script() must be called in the main thread, which has signals")
    if is_initialized() and not hasattr(current(), "shutdown"):
        raise RuntimeError("run_as_script() is for the driver, not for tasks and actors")
    caller = sys._getframe(1).f_globals.get("__name__")
    exits = mode == "exit" or (mode == "auto" and caller == "__main__" and not _interactive())
    status = _Script(*limits, exits, on_signal).run(main)
    if exits:
        raise SystemExit(status)
    return status


def execute(path: str) -> None:
    """Run a script's file as the module `__main__`, whatever its name is.

    Not by runpy, which empties the module when the script has ended: finalizers, threads and the
    shutdown still use it.
    """
    path = os.path.abspath(path)
    module = ModuleType("__main__")
    module.__file__ = path
    sys.modules["__main__"] = module
    with open_code(path) as file:
        code = compile(file.read(), path, "exec", dont_inherit=True)
    exec(code, module.__dict__)


def _check_callable(option: str, value: object) -> None:
    if not callable(value):
        raise wrong_type(option, value, "callable")
    import inspect

    if inspect.iscoroutinefunction(value):
        raise wrong_type(option, value, "a function, no coroutine function (see asyncio.run)")


def _interactive() -> bool:
    """Tell whether somebody types what this process runs: IPython has prompts too."""
    return hasattr(sys, "ps1") or bool(sys.flags.interactive)


@final
class _Script:
    """One run of a main function."""

    def __init__(
        self,
        timeout: float | None,
        shutdown_timeout: float | None,
        exits: bool,
        on_signal: Callable[[int], object] | None,
    ) -> None:
        self._timeout = timeout
        self._shutdown_timeout = shutdown_timeout
        self._exits = exits
        self._on_signal = on_signal
        self._had_runtime = is_initialized()
        self._main = threading.get_ident()
        self._pid = os.getpid()
        self._before: dict[int, Any] = {}
        # The handlers' word to the watcher: of what the library has, only this may be used in one.
        self._news: SimpleQueue[bool] = SimpleQueue()
        self._lock = threading.Lock()
        self._runs = False  # changed with the lock held
        self._overdue = False
        self._signal = 0
        self._struck = False
        self._raised: BaseException | None = None
        self._watcher = threading.Thread(target=self._watch, name="snakepit-script", daemon=True)

    def run(self, main: Callable[[], object]) -> int:
        """Run it, clean up, and return the status."""
        self._watcher.start()
        status = self._run(main)
        self._runs = False  # also where a signal has struck in the last moment
        if self._signal and self._on_signal is not None:
            _succeeds(partial(self._on_signal, self._signal))
        if (self._exits or not self._had_runtime) and not _succeeds(shutdown):
            status = status or FAILED
        status = _flush_streams(status)
        if self._exits and (self._signal or self._overdue):
            return status  # until the process has ended it is watched
        self._news.put(True)
        self._watcher.join()
        if not self._exits:
            self._restore()
        return status

    def _run(self, main: Callable[[], object]) -> int:
        try:
            try:
                self._runs = True
                self._install()
                self._news.put(False)
                main()
            finally:
                self._over()
        except SystemExit as error:
            if error is not self._raised:
                return _status_of(error)
        except KeyboardInterrupt:
            self._signal = self._signal or signal.SIGINT
        except BaseException as error:
            if not (isinstance(error, BrokenPipeError) and _nobody_reads(sys.stdout)):
                _report(error)
            if not self._signal:
                return FAILED
        if self._signal:
            return _SIGNALLED + self._signal
        return FAILED if self._overdue else 0

    def _over(self) -> None:
        """From now on no signal raises anything; in mode "exit" each ends the process at once."""
        with self._lock:
            self._runs = False
        # A system call: what the watcher has just sent is taken up before its handler is gone.
        os.sched_yield()
        self._let_go()
        self._news.put(False)

    # --- signals --------------------------------------------------------------------------

    def _install(self) -> None:
        for number in _HEARD:
            # A runtime that is there puts itself before whatever handler it finds, this one too.
            before = self._before[number] = unwrapped(signal.getsignal(number))
            if number == signal.SIGINT:  # also where it is ignored: the others come this way
                signal.signal(number, self._interrupt)
            elif before is not signal.SIG_IGN:
                signal.signal(number, self._terminate)

    def _let_go(self) -> None:
        """Have the next signal end the process at once, by its default action."""
        for number, before in self._before.items():
            signal.signal(number, before if before is signal.SIG_IGN else signal.SIG_DFL)
        if not (self._exits or self._ignores_interrupts()):
            # Where somebody types, a Ctrl-C must not end the interpreter.
            signal.signal(signal.SIGINT, signal.default_int_handler)

    def _ignores_interrupts(self) -> bool:
        return self._before.get(signal.SIGINT) is signal.SIG_IGN

    def _restore(self) -> None:
        for number, before in self._before.items():
            # None: a handler that is not Python's, and cannot be put back.
            signal.signal(number, signal.SIG_DFL if before is None else before)

    def _terminate(self, number: int, frame: FrameType | None) -> None:
        """Have SIGTERM or SIGHUP strike as a SIGINT."""
        if os.getpid() != self._pid:  # a fork, which may be ended as if this were not here
            signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(number)
        elif not self._signal:
            self._signal = number
            if self._runs:
                signal.raise_signal(signal.SIGINT)

    def _interrupt(self, number: int, frame: FrameType | None) -> None:
        if os.getpid() != self._pid:
            signal.default_int_handler(number, frame)
        elif self._overdue and not self._runs:
            self._overdue = False  # main had ended by itself when the watcher struck
        elif self._signal or self._overdue or not self._ignores_interrupts():
            if not self._overdue:
                self._signal = self._signal or number
            if self._runs and not self._struck:
                self._strike()

    def _strike(self) -> None:
        """Raise in main what is to be raised."""
        self._struck = True
        self._news.put(False)
        # What comes meanwhile finds these handlers, and changes nothing.
        time.sleep(_AT_ONCE)
        self._let_go()
        self._raised = self._reason()
        raise self._raised

    def _reason(self) -> BaseException:
        if self._signal == signal.SIGINT:
            return KeyboardInterrupt()
        if self._signal:
            return SystemExit(_SIGNALLED + self._signal)
        return ScriptTimeoutError(
            f"the script has not ended within timeout={self._timeout:g} s",
            timeout=self._timeout,
        )

    # --- the watcher's thread -------------------------------------------------------------

    def _watch(self) -> None:
        closed = self._news.get()  # main begins
        try:
            closed = closed or self._news.get(timeout=_longest(self._timeout))
        except Empty:
            with self._lock:
                if self._runs and not self._signal:
                    self._overdue = True
                    signal.pthread_kill(self._main, signal.SIGINT)
        limit = self._shutdown_timeout if self._exits else None
        end = None if limit is None else time.monotonic() + min(limit, threading.TIMEOUT_MAX)
        try:
            while not closed:
                closed = self._news.get(timeout=_until(end))
        except Empty:
            self._force()

    def _force(self) -> None:
        """End the process; the zygote ends the rest."""
        text = f"snakepit: ended by force: shutdown_timeout={self._shutdown_timeout:g} s is over\n"
        try:
            poll = select.poll()
            poll.register(2, select.POLLOUT)
            if poll.poll(0):  # a full pipe would block
                os.write(2, text.encode())
        finally:
            os._exit(_SIGNALLED + self._signal if self._signal else FAILED)


def _longest(seconds: float | None) -> float | None:
    return None if seconds is None else min(seconds, threading.TIMEOUT_MAX)


def _until(end: float | None) -> float | None:
    return None if end is None else _longest(max(0.0, end - time.monotonic()))


def _status_of(error: SystemExit) -> int:
    """Return the status that the interpreter gives a SystemExit; a text it prints."""
    if error.code is None:
        return 0
    if isinstance(error.code, int):
        return int(error.code)
    if sys.stderr is not None:
        print(error.code, file=sys.stderr)
    return FAILED


def _succeeds(step: Callable[[], object]) -> bool:
    """Take a step; show the error of one that fails."""
    try:
        step()
    except BaseException as error:
        _report(error)
        return False
    return True


def _report(error: BaseException) -> None:
    """Show an error as the interpreter would, without the frames of this module."""
    try:
        inner = _within(error.__traceback__)
        sys.excepthook(type(error), error.with_traceback(inner), inner)
    except OSError:  # nobody reads stderr either
        return


def _within(traceback: TracebackType | None) -> TracebackType | None:
    while traceback is not None and traceback.tb_frame.f_code.co_filename == __file__:
        traceback = traceback.tb_next
    return traceback


def _flush_streams(status: int) -> int:
    """Write out what is held back; a stream that cannot take it is turned to /dev/null.

    The interpreter would try again at its end, complain and change the status.
    """
    for stream in (sys.stdout, sys.stderr):
        if stream is None:
            continue
        try:
            stream.flush()
        except (OSError, ValueError) as error:
            status = status or FAILED
            _silence(stream)
            if stream is sys.stdout and not isinstance(error, BrokenPipeError):
                _report(error)
    return status


def _silence(stream: TextIO) -> None:
    try:
        null = os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC)
        try:
            os.dup2(null, stream.fileno())
        finally:
            os.close(null)
    except (OSError, ValueError):  # it was closed, or is no file
        return


def _nobody_reads(stream: TextIO | None) -> bool:
    """Tell whether a stream is a pipe or a socket whose other end is closed."""
    try:
        if stream is None:
            return False
        poll = select.poll()
        poll.register(stream.fileno(), 0)
        return any(mask & (select.POLLERR | select.POLLHUP) for _, mask in poll.poll(0))
    except (OSError, ValueError):
        return False
