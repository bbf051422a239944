"""A zygote whose workers are scripted and live in this process.

Purpose: the driver's shell meets it where it would meet `ZygoteClient`. Its descriptor is an epoll
set of all its workers' ends, so whoever pumps the driver serves the workers too, by `receive`.

Guarantees:
* Workers act only inside `receive` and inside a test's own calls of their methods; there is no
  thread and no clock.
* `send` takes no lock that `receive` holds while a script runs: the driver calls it under its own.

Assumptions: commands pass through a deque; what workers do is guarded by one lock. Nothing relies
on the GIL.
"""

from __future__ import annotations

import os
import select
import signal
import socket
import threading
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Final, final

from ..deadline import Deadline
from ..runtime.zygote import ZygoteGone
from ..store.status import LINE, line_of
from ..transport.handover import STACKS
from ..transport.streams import Channels
from ..wire import messages as wire
from .memory import CAPACITY, MemoryStream, memory_pair
from .workers import ScriptedWorker, Step

PID: Final = (1 << 30) - 1

Birth = Callable[[ScriptedWorker], Any]


@final
class FakeZygote:
    """Stands in for a `ZygoteClient`; `scripted_runtime` makes them.

    Args:
        script: what each worker does with a call.
        slots: how many workers there may be.
        birth: what a new worker does first; by default it says hello.
        capacity: bytes that a mailbox holds in either direction.

    Attributes:
        workers: every worker so far by its number, the dead ones too.
        spawns: the workers asked for so far.
        asked: every message that the driver sent.
        spawn_failure: while set, no worker can be forked, for this reason.
        paused: while set, whoever asks for a worker waits for `resume`.
        pid: the process that it would be.
        exit_code: how it ended; None while it runs.
        printed: what it printed itself, for the reason of a failure.
    """

    def __init__(
        self,
        script: Step,
        slots: int,
        birth: Birth = ScriptedWorker.hello,
        capacity: int = CAPACITY,
    ) -> None:
        self.workers: dict[int, ScriptedWorker] = {}
        self.asked: list[Any] = []
        self.spawn_failure = ""
        self.paused = False
        self.pid = PID
        self.exit_code: int | None = None
        self.printed = ""
        self._script = script
        self._birth = birth
        self._capacity = capacity
        self._status = memoryview(bytearray(slots * LINE))
        self._ends: dict[int, MemoryStream] = {}
        self._commands: deque[tuple[Any, tuple[int, ...]]] = deque()
        self._held: deque[tuple[wire.Spawn, tuple[int, ...]]] = deque()
        self._news: deque[Any] = deque([wire.Started(wire.VERSION, PID)])
        self._masks: dict[int, int] = {}
        self._lock = threading.RLock()
        self._epoll = select.epoll()
        self._bell = os.eventfd(1, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._epoll.register(self._bell, select.EPOLLIN)

    @property
    def spawns(self) -> int:
        """How many workers the driver has asked for."""
        return sum(type(message) is wire.Spawn for message in self.asked)

    # --- what the driver calls --------------------------------------------------------------

    def fileno(self) -> int:
        """See `ZygoteClient.fileno`."""
        return -1 if self._epoll.closed else self._epoll.fileno()

    def channels(self) -> Channels:
        """See `ZygoteClient.channels`: a mailbox in memory, and a socket pair that takes fds."""
        ours, theirs = memory_pair(self._capacity)
        try:
            control, their_control = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        except OSError:
            ours.close()
            theirs.close()
            raise
        self._ends[theirs.fileno()] = theirs
        return Channels(ours, control, (theirs.fileno(), their_control.detach()))

    def send(self, message: tuple[Any, ...], fds: Sequence[int] = ()) -> bool:
        """See `ZygoteClient.send`."""
        self.asked.append(message)
        self._commands.append((message, tuple(fds)))
        self._ring()
        return True

    def flush(self) -> bool:
        """See `ZygoteClient.flush`; everything has left already."""
        return True

    def receive(self) -> list[Any]:
        """See `ZygoteClient.receive`; the workers act meanwhile."""
        with self._lock:
            try:
                os.eventfd_read(self._bell)
            except BlockingIOError:
                pass  # A worker's end is what made the set readable.
            while self._commands:
                self._obey(*self._commands.popleft())
            ready = {fd for fd, _ in self._epoll.poll(0)}
            for worker in list(self.workers.values()):
                if not ready.isdisjoint(worker.fds):
                    worker.serve()
            if self.exit_code is not None and not self._news:
                raise ZygoteGone("end of file")
            return [self._news.popleft() for _ in range(len(self._news))]

    def status(self, slot: int) -> memoryview:
        """See `ZygoteClient.status`."""
        return line_of(self._status, slot)

    def startup_text(self) -> str:
        """See `ZygoteClient.startup_text`."""
        return self.printed

    def stop(self, deadline: Deadline, deliver: Callable[[Any], object] | None = None) -> None:
        """See `ZygoteClient.stop`."""
        with self._lock:
            news = [self._news.popleft() for _ in range(len(self._news))]
            self._end(0)
        if deliver is not None:
            for message in news:
                deliver(message)

    def kill(self, deadline: Deadline | None = None) -> None:
        """See `ZygoteClient.kill`."""
        with self._lock:
            self._end(-signal.SIGKILL)

    def close(self) -> None:
        """See `ZygoteClient.close`."""
        with self._lock:
            self._end(0)
            if self._bell >= 0:
                bell, self._bell = self._bell, -1
                os.close(bell)
                self._epoll.close()

    # --- what a test calls ------------------------------------------------------------------

    def crash(self, code: int = -signal.SIGKILL, printed: str = "") -> None:
        """End the zygote, and with it its workers, of whose death it says nothing."""
        with self._lock:
            self.printed = printed
            self._news.clear()
            self._end(code)
        self._ring()

    def resume(self) -> None:
        """Fork the workers that were asked for while `paused`."""
        self.paused = False
        with self._lock:
            while self._held:
                self._fork(*self._held.popleft())
        self._ring()

    def report(self, message: Any) -> None:
        """Send a message to the driver, as `Output` or whatever a zygote may say."""
        self._news.append(message)
        self._ring()

    # --- inside -----------------------------------------------------------------------------

    def _ring(self) -> None:
        if self._bell >= 0:
            os.eventfd_write(self._bell, 1)

    def _obey(self, message: Any, fds: tuple[int, ...]) -> None:
        kind = type(message)
        if kind is wire.Spawn:
            if self.paused:
                self._held.append((message, fds))
            else:
                self._fork(message, fds)
        elif kind is wire.Signal and message.signal != STACKS:
            worker = self.workers.get(message.number)
            if worker is not None:
                worker.die(-message.signal)

    def _fork(self, spawn: wire.Spawn, fds: tuple[int, ...]) -> None:
        mailbox, control = self._ends.pop(fds[0]), fds[1]
        if self.spawn_failure or self.exit_code is not None:
            mailbox.close()
            os.close(control)
            if self.exit_code is None:
                self._news.append(wire.SpawnFailed(spawn.number, self.spawn_failure))
            return
        page = self.status(spawn.slot)
        worker = self.workers[spawn.number] = ScriptedWorker(
            spawn, mailbox, control, page, self._script, self._lock, self.report, self._watch
        )
        self._news.append(wire.Spawned(spawn.number, worker.pid))
        self._birth(worker)

    def _watch(self, fd: int, mask: int | None) -> None:
        """Watch a worker's descriptor for these events; None: it is about to be closed."""
        known = self._masks.get(fd)
        if mask is None:
            if self._masks.pop(fd, None) is not None:
                self._epoll.unregister(fd)
        elif known is None:
            self._masks[fd] = mask
            self._epoll.register(fd, mask)
        elif known != mask:
            self._masks[fd] = mask
            self._epoll.modify(fd, mask)

    def _end(self, code: int) -> None:
        if self.exit_code is None:
            self.exit_code = code
        while self._commands:
            _, fds = self._commands.popleft()
            self._close_handed(fds)
        while self._held:
            self._close_handed(self._held.popleft()[1])
        for worker in self.workers.values():
            worker.alive = False
            worker.close()
        for mailbox in self._ends.values():
            mailbox.close()
        self._ends.clear()

    def _close_handed(self, fds: tuple[int, ...]) -> None:
        if fds:
            self._ends.pop(fds[0]).close()
            os.close(fds[1])
