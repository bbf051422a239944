"""The zygote's loop: forks workers, reads what they write, reaps them, ends them with the driver.

Purpose: one warm process per run, from which a ready worker costs a fork.

Guarantees:
* Within moments of the driver's end, however it ended, every process that this one ever started
  has ended as well, detached daemons included, and then the zygote itself. So has what the driver
  started to be a zygote of another interpreter, and hangs.
* Each `Spawn` is answered by `Spawned` or `SpawnFailed`, and each `Spawned` followed by one `Died`
  unless a `Stop` comes first. `Died` is sent after the worker's process group was killed and what
  it wrote was taken up.
* It never blocks on the driver or on a worker, and makes no wake-ups when idle.

Assumptions: it has one thread, since a fork copies only one, and since the workers' parent-death
signal is tied to the forking thread. The driver's end is told by a pidfd of it; end of file on the
channel ends the run too, but a forked child of the driver may hold the channel open. Nothing
here relies on the GIL.
"""

from __future__ import annotations

import gc
import os
import select
import selectors
import signal
import socket
import sys
from collections.abc import Callable
from errno import EINVAL, EMFILE
from importlib import import_module
from time import monotonic
from typing import Any, Final, final

from snakepit.store.status import LINE, line_of, map_area
from snakepit.transport.fds import FdConnection, PeerGone
from snakepit.transport.handover import CHANNEL, DRIVER, Settings
from snakepit.wire.codec import Encoder, decode
from snakepit.wire.messages import (
    VERSION,
    Areas,
    Credit,
    Died,
    Hung,
    Preload,
    Signal,
    Spawn,
    Spawned,
    SpawnFailed,
    Started,
    Stop,
)

from .hang import SIGNAL
from .output import STDERR, STDOUT, LabelledLines, Relay, Stream, mark_of
from .reaper import end_all, ended_children, signal_group
from .spawn import Birth

NAME: Final = "snakepit-zygote"
"""What this process is called in ps and top."""

_IDLE_BEFORE_CLEANING: Final = 0.5
_DRIVER_ENDS: Final = 500
"""Milliseconds from the end of its sockets to the end of a process that ends."""

HEARD: Final = (signal.SIGCHLD, signal.SIGTERM)
"""The signals that the loop must be told of, by `wakeup`."""


@final
class _Worker:
    __slots__ = ("err", "number", "out", "pid")

    def __init__(self, number: int, out: Stream, err: Stream) -> None:
        self.number = number
        self.pid = 0
        self.out = out
        self.err = err


@final
class Zygote:
    """The loop of one run.

    Args:
        settings: from the driver.
        wakeup: reading end of the pipe that signals are written to.
    """

    def __init__(self, settings: Settings, wakeup: int) -> None:
        self._settings = settings
        self._slots = 0
        self._status = memoryview(b"")
        self._ledger = -1
        self._channel = FdConnection(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM, 0, CHANNEL))
        self._encode = Encoder()
        self._relay = Relay(self._send_frame)
        self._mark = mark_of(settings.run)
        self._by_pid: dict[int, _Worker] = {}
        self._by_number: dict[int, _Worker] = {}
        self._clean_at: float | None = None
        self._has_cleaned = False
        self._watches_room = False
        self._running = True
        self._stopped = False
        self._wakeup = wakeup
        self._selector = selectors.DefaultSelector()
        self._watch(self._channel.fileno(), self._on_channel)
        self._watch(wakeup, self._on_signal)
        if settings.has_pidfd:
            self._watch(DRIVER, self._on_driver_end)

    def serve(self) -> Birth | None:
        """Serve the driver until the end; return there with None, and in each worker with a Birth.

        In a worker every signal is still blocked, and this object must live on: its end would
        close descriptors by numbers that are others' by then, and would write to each page that
        its tables lie on, which the worker shares with the zygote as long as nobody does.
        """
        self._send(Started(VERSION, os.getpid()))
        while self._running:
            for key, _ in self._next_events():
                birth: Birth | None = key.data(key.fd)
                if birth is not None:
                    return birth
        return None

    def end_workers(self) -> None:
        """Kill and reap every process that this one is the parent of, until there is none."""
        known = list(self._by_pid)
        self._by_pid.clear()
        self._by_number.clear()
        end_all(known)
        if not self._stopped and self._driver_is_dead():
            _end_unready(self._settings.run)
            _leave_register(self._settings.run)

    def _driver_is_dead(self) -> bool:
        """Tell whether the end of the channel was the driver's, which follows in a moment."""
        if not self._settings.has_pidfd:
            return False
        poll = select.poll()
        poll.register(DRIVER, select.POLLIN)
        return bool(poll.poll(_DRIVER_ENDS))

    # --- the loop ----------------------------------------------------------------------------

    def _next_events(self) -> list[tuple[selectors.SelectorKey, int]]:
        timeout = None
        if self._clean_at is not None:
            timeout = max(0.0, self._clean_at - monotonic())
        events = self._selector.select(timeout)
        if not events and self._clean_at is not None:
            self._clean_at = None
            _clean_dead_runs()
        return events

    def _watch(self, fd: int, callback: Callable[[int], Birth | None]) -> None:
        self._selector.register(fd, selectors.EVENT_READ, callback)

    def _send(self, message: tuple[Any, ...]) -> None:
        self._send_frame(self._encode(message))

    def _send_frame(self, frame: bytes) -> None:
        if not self._channel.send(frame):
            self._watch_room()

    def _watch_room(self) -> None:
        """Ask for writability only while frames wait for it."""
        if self._watches_room == self._channel.pending:
            return
        self._watches_room = not self._watches_room
        events = selectors.EVENT_READ
        if self._watches_room:
            events |= selectors.EVENT_WRITE
        self._selector.modify(self._channel.fileno(), events, self._on_channel)

    def _on_channel(self, _: int) -> Birth | None:
        if self._watches_room:
            self._channel.flush()
            self._watch_room()
        try:
            bodies = self._channel.receive()
        except PeerGone:
            self._running = False
            return None
        for body in bodies:
            birth = self._act(decode(body))
            if birth is not None:
                return birth
        return None

    def _on_driver_end(self, _: int) -> None:
        self._running = False

    def _on_signal(self, fd: int) -> None:
        numbers = os.read(fd, 4096)
        if signal.SIGTERM in numbers:
            self._stop()
        else:
            self._reap()

    def _act(self, message: Any) -> Birth | None:
        match message:
            case Areas():
                self._share(message.slots)
            case Spawn():
                return self._spawn(message)
            case Signal():
                worker = self._by_number.get(message.number)
                if worker is not None:
                    signal_group(worker.pid, message.signal)
            case Hung():
                self._hangs(message)
            case Credit():
                self._relay.credit(message.size)
            case Preload():
                _preload(message.modules)
            case Stop():
                self._stop()
            case _:
                raise TypeError(f"the zygote has no use for {message!r}")
        return None

    def _share(self, slots: int) -> None:
        """Take what all workers share."""
        status, self._ledger = self._channel.take_descriptors()
        self._slots = slots
        self._status = map_area(status, slots * LINE)
        os.close(status)

    def _hangs(self, message: Hung) -> None:
        worker = self._by_number.get(message.number)
        if worker is not None:
            worker.err.note(message.text)
            # It alone: what it has started is ended when it has.
            os.kill(worker.pid, SIGNAL)

    # --- birth -------------------------------------------------------------------------------

    def _spawn(self, message: Spawn) -> Birth | None:
        """Fork and return None; in the child, which keeps the descriptors, return its birth."""
        fds = self._channel.take_descriptors()
        try:
            birth = self._fork(message, fds)
        except OSError as error:
            self._send(SpawnFailed(message.number, str(error)))
            birth = None
        if birth is None:
            for fd in fds:
                os.close(fd)
        return birth

    def _fork(self, message: Spawn, fds: tuple[int, ...]) -> Birth | None:
        number, slot, label, env = message
        run, open_files = self._settings[:2]
        slots = self._slots
        if len(fds) != 2:
            raise OSError(EMFILE, f"{os.strerror(EMFILE)}: the worker's sockets were lost")
        if not 0 <= slot < slots:
            raise OSError(EINVAL, f"slot {slot} is not one of the status area's {slots}")
        worker, writers = self._open_worker(number, label)
        status = line_of(self._status, slot)
        birth = Birth(
            number, slot, run, label, env, slots, status, *fds, *writers,
            self._ledger, os.getpid(), open_files,
        )  # fmt: skip
        # A signal before the child has its own handlers would reach the zygote's wake-up pipe.
        unblocked = signal.pthread_sigmask(signal.SIG_BLOCK, HEARD)
        # A collection in the child would write to every page that the tables here lie on.
        gc.freeze()
        pid = -1
        try:
            pid = os.fork()
        finally:
            if pid:
                signal.pthread_sigmask(signal.SIG_SETMASK, unblocked)
                for fd in writers:
                    os.close(fd)
            if pid < 0:
                self._drain(worker)
        if not pid:
            return birth
        self._adopt(worker, pid)
        return None

    def _open_worker(self, number: int, label: str) -> tuple[_Worker, tuple[int, int]]:
        """Return a worker without a process, its streams watched, and their writing ends."""
        ends: list[int] = []
        relay = self._relay if self._settings.log_to_driver else None
        try:
            ends += os.pipe()
            ends += os.pipe()
            out, out_writer, err, err_writer = ends
            streams: list[Stream] = []
            for fd, which in ((out, STDOUT), (err, STDERR)):
                os.set_blocking(fd, False)
                stream = Stream(fd, number, which, LabelledLines(self._mark, label), relay)
                self._watch(fd, self._reader(stream))
                streams.append(stream)
        except OSError:
            for fd in ends:
                self._forget(fd)
                os.close(fd)
            raise
        return _Worker(number, *streams), (out_writer, err_writer)

    def _adopt(self, worker: _Worker, pid: int) -> None:
        worker.pid = worker.out.pid = worker.err.pid = pid
        self._by_pid[pid] = self._by_number[worker.number] = worker
        self._send(Spawned(worker.number, pid))
        if not self._has_cleaned:
            self._has_cleaned = True
            self._clean_at = monotonic() + _IDLE_BEFORE_CLEANING

    def _reader(self, stream: Stream) -> Callable[[int], None]:
        def read(_: int) -> None:
            # An end earlier in this round may have closed it.
            if stream.fd >= 0 and not stream.read():
                self._close(stream)

        return read

    # --- death -------------------------------------------------------------------------------

    def _reap(self) -> None:
        for pid, code in ended_children():
            worker = self._by_pid.pop(pid, None)
            if worker is None:  # a daemon that was handed down to this process
                continue
            del self._by_number[worker.number]
            self._drain(worker)
            self._send(Died(worker.number, pid, code, worker.err.tail))

    def _drain(self, worker: _Worker) -> None:
        self._close(worker.out)
        self._close(worker.err)

    def _close(self, stream: Stream) -> None:
        if stream.fd >= 0:
            stream.drain()
            self._forget(stream.fd)
            stream.close()

    def _forget(self, fd: int) -> None:
        if fd in self._selector.get_map():
            self._selector.unregister(fd)

    def _stop(self) -> None:
        """End every worker, hand over all that they wrote, and leave the loop."""
        workers = list(self._by_pid.values())
        self.end_workers()
        for worker in workers:
            self._drain(worker)
        self._deliver()
        self._running = False
        self._stopped = True

    def _deliver(self) -> None:
        """Send everything that waits, for as long as the driver takes it and lives."""
        with selectors.DefaultSelector() as selector:
            selector.register(self._channel.fileno(), selectors.EVENT_WRITE)
            if self._settings.has_pidfd:
                selector.register(DRIVER, selectors.EVENT_READ)
            while True:
                if self._channel.flush():
                    frame = self._relay.next_frame()
                    if frame is None:
                        return
                    self._channel.send(frame)
                elif any(key.fd == DRIVER for key, _ in selector.select()):
                    return


def _clean_dead_runs() -> None:
    try:
        from snakepit.transport.orphans import clean_dead_runs

        clean_dead_runs()
    except (OSError, ImportError):
        return  # No descriptor is left, or no memory: what dead runs left is the next zygote's.


def _end_unready(run: str) -> None:
    from snakepit.transport.orphans import end_unready

    end_unready(run, NAME)


def _leave_register(run: str) -> None:
    from snakepit.registry import remove

    remove(run)


def _preload(modules: list[str]) -> None:
    for name in modules:
        try:
            import_module(name)
        except Exception as error:
            # Whatever it is: the worker that needs it will raise this where the user sees it, and
            # that no descriptor is left to read it with may pass.
            sys.stderr.write(f"cannot preload {name}: {error}\n")
    gc.freeze()
