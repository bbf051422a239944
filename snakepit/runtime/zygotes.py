"""The zygotes of one runtime, one for each interpreter: started, greeted, lost, ended.

The driver's own interpreter is known to work: workers are asked of its zygote at once. Another one
may be no Python, lack snakepit, hang, or be a program that starts a Python elsewhere: nothing is
asked of its zygote until it has said `Started`, and what comes in place of that is told as the
reason.

Each zygote has a run id of its own, the mark by which its processes are found and ended when it is
killed: what goes with one interpreter's zygote is no business of the others.
"""

from __future__ import annotations

import select
from collections.abc import Callable
from errno import EACCES, ENOENT, ENOEXEC, ENOTDIR
from functools import partial
from time import monotonic
from typing import Any, Final, final

from ..config import environment
from ..deadline import Deadline
from ..errors import ProtocolError, RuntimeStartError
from ..faults import signal_name
from ..ids import new_run
from ..wire import messages as wire
from .core import SLOTS, Core
from .host import StartZygote, Zygote
from .interpreter import own_interpreter
from .zygote import ZygoteGone

ANSWER: Final = 60.0
"""Seconds within which another interpreter's zygote must say that it is ready."""

_CANNOT_RUN: Final = frozenset({EACCES, ENOENT, ENOEXEC, ENOTDIR})


@final
class Line:
    """An interpreter's present zygote, or its last.

    Attributes:
        foreign: it is another interpreter than the one that runs here.
        greeted: it has said that it is ready.
        lost: it has ended.
    """

    __slots__ = ("foreign", "greeted", "interpreter", "lost", "zygote")

    def __init__(self, interpreter: str, foreign: bool, zygote: Zygote) -> None:
        self.interpreter = interpreter
        self.foreign = foreign
        self.zygote = zygote
        self.greeted = False
        self.lost = False


@final
class Zygotes:
    """Starts zygotes when the scheduler says so, and tells it what becomes of them."""

    def __init__(
        self,
        core: Core,
        start: StartZygote,
        take: Callable[[Line, Any], None],
        bury: Callable[[int, dict[str, Any]], None],
    ) -> None:
        """Start the one at home.

        Args:
            core: of the runtime.
            start: starts a zygote.
            take: takes what a zygote says of its workers.
            bury: is told of each worker that has ended with its zygote, and how.

        Raises:
            RuntimeStartError: the one at home cannot be started.
        """
        self._core = core
        self._start = start
        self._take = take
        self._bury = bury
        self._preloaded: set[str] = set()
        self._stopping = False
        # The interpreter of whatever names none.
        self._home = core.scheduler.placement.staff.starts.home
        self._own = own_interpreter()
        self._lines: dict[str, Line] = {}
        self._begin(self._home)
        core.start_zygote = self.start

    @property
    def home(self) -> Line:
        """The line of whatever names no interpreter."""
        return self._lines[self._home]

    def of(self, interpreter: str) -> Line:
        """Return an interpreter's line, which the scheduler had started."""
        return self._lines[interpreter]

    # --- started and greeted --------------------------------------------------------------

    def start(self, interpreter: str) -> None:
        """Start an interpreter's zygote; the core's lock is held."""
        try:
            self._begin(interpreter)
        except RuntimeStartError as error:
            self._failed_to_start(interpreter, error)
            return
        if interpreter == self._home:
            self._core.scheduler.zygotes.started(interpreter)

    def _begin(self, interpreter: str) -> None:
        core = self._core
        home = interpreter == self._home
        foreign = interpreter != self._own
        zygote = self._start(
            run=core.run if home else new_run(),
            slots=SLOTS,
            ledger_fd=core.memory.ledger.fd,
            env=environment(),
            log_to_driver=core.config.log_to_driver,
            interpreter=interpreter if foreign else "",
        )
        line = self._lines[interpreter] = Line(interpreter, foreign, zygote)
        core.pump.watch(zygote.fileno(), partial(self._heard, line))
        if foreign:
            core.pump.arm(ANSWER, partial(self._overdue, line))
        if self._preloaded:
            self.send(line, wire.Preload(sorted(self._preloaded)))

    def _failed_to_start(self, interpreter: str, error: RuntimeStartError) -> None:
        number = getattr(error.__cause__, "errno", None)
        if number in _CANNOT_RUN and interpreter != self._own:
            self._refused(interpreter, str(error), "")
        else:
            self._replace(interpreter, {"reason": str(error), "error": str(error)})

    def _greet(self, line: Line, message: wire.Started) -> None:
        zygote = line.zygote
        if line.lost or line.greeted:
            return
        if message.version != wire.VERSION:
            self._refuse(line, _other_snakepit(f"which speaks version {message.version}"))
        elif message.pid != zygote.pid:
            self._refuse(
                line,
                f"it starts Python as process {message.pid} and stays itself, as process "
                f"{zygote.pid}, in between; name the interpreter that it starts, or a program that "
                "becomes it (exec)",
            )
        else:
            line.greeted = True
            if line.interpreter != self._home:
                self._core.update(lambda: self._started(line))

    def _started(self, line: Line) -> None:
        if not self._core.closed:
            self._core.scheduler.zygotes.started(line.interpreter)

    def _overdue(self, line: Line) -> None:
        if not (line.greeted or line.lost or self._stopping):
            self._refuse(line, f"it did not become a worker's parent within {ANSWER:g} s")

    # --- heard and told -------------------------------------------------------------------

    def _heard(self, line: Line, mask: int) -> None:
        zygote = line.zygote
        if mask & select.EPOLLOUT:
            # Off first: a sender that finds no room meanwhile turns it on, and that must last.
            self._core.pump.want_write(zygote.fileno(), False)
            if not zygote.flush():
                self._core.pump.want_write(zygote.fileno(), True)
        if not mask & ~select.EPOLLOUT:
            return
        try:
            messages = zygote.receive()
        except ZygoteGone:
            self._lost(line)
            return
        except ProtocolError as error:
            if line.greeted or not line.foreign:
                raise
            self._refuse(line, _other_snakepit(f"whose messages are others: {error}"))
            return
        for message in messages:
            if type(message) is wire.Started:
                self._greet(line, message)
            else:
                self._take(line, message)

    def send(self, line: Line, message: tuple[Any, ...], fds: tuple[int, ...] = ()) -> None:
        """Send a message to a zygote, if it lives."""
        if not line.lost and not line.zygote.send(message, fds):
            self._core.pump.want_write(line.zygote.fileno(), True)

    def preload(self, module: str) -> None:
        """Have each zygote import a module before the next fork, once."""
        if module not in self._preloaded:
            self._preloaded.add(module)
            for line in [*self._lines.values()]:
                self.send(line, wire.Preload([module]))

    # --- lost -----------------------------------------------------------------------------

    def _refuse(self, line: Line, reason: str) -> None:
        """It runs, and can be no zygote: end it."""
        zygote = line.zygote
        self._core.pump.unwatch(zygote.fileno())
        zygote.kill()
        text = zygote.startup_text()
        line.lost = True
        zygote.close()
        self._core.update(lambda: self._refused(line.interpreter, reason, text))

    def _refused(self, interpreter: str, why: str, text: str) -> None:
        if not self._core.closed:
            said = f"no worker can be had of py_executable={interpreter!r}: {why}"
            cause = {"reason": said, "error": said, "stderr": text}
            self._core.scheduler.zygotes.refused(interpreter, cause)

    def _lost(self, line: Line) -> None:
        core, zygote = self._core, line.zygote
        core.pump.unwatch(zygote.fileno())
        if self._stopping:
            return
        text = zygote.startup_text()
        zygote.kill()
        end = end_of(zygote.exit_code)
        how = end["signal"] or f"exit code {zygote.exit_code}"
        reason = f"the zygote, which all workers are forked from, ended ({how})"
        if text:
            reason += f"; it printed:\n{text}"
        interpreter = line.interpreter

        orphans: list[int] = []

        def lose() -> None:
            connections = core.connections.items()
            orphans.extend(n for n, each in connections if each.interpreter == interpreter)
            line.lost = True
            core.scheduler.zygotes.lost(interpreter)

        core.update(lose)
        for number in orphans:
            self._bury(number, {"exit_code": None, "signal": "SIGKILL", "zygote": reason})
        zygote.close()
        if line.greeted or end["signal"] or not line.foreign:
            core.update(lambda: self._replace(interpreter, {**end, "stderr": text}))
        else:
            why = f"it ended with {how} before it was ready: snakepit must be installed there"
            core.update(lambda: self._refused(interpreter, why, text))

    def _replace(self, interpreter: str, cause: dict[str, Any]) -> None:
        if not self._core.closed:
            self._core.scheduler.zygotes.replace(interpreter, cause, monotonic())

    # --- the end --------------------------------------------------------------------------

    def stop(self, deadline: Deadline, deliver: Callable[[Line, Any], None]) -> None:
        """End all zygotes and their workers; `deliver` takes what they still have to say."""
        self._stopping = True
        for line in self._lines.values():
            zygote = line.zygote
            if line.lost:
                continue
            self._core.pump.unwatch(zygote.fileno())
            if line.greeted or not line.foreign:
                zygote.stop(deadline, partial(deliver, line))
            else:
                zygote.kill()  # it may be deaf to a wish
            zygote.close()

    def abandon(self) -> None:
        """In a forked child: close the sockets, touch nothing else."""
        self._stopping = True
        for line in self._lines.values():
            if not line.lost:
                line.zygote.close()


def _other_snakepit(how: str) -> str:
    return f"it has another snakepit than the driver, {how}: install the driver's version there"


def end_of(code: int | None) -> dict[str, Any]:
    """Return how a process ended, as fields of a failure."""
    if code is None or code >= 0:
        return {"exit_code": code, "signal": None}
    return {"exit_code": None, "signal": signal_name(-code)}
