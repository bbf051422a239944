"""A worker that is no process: it reads a real mailbox and does what its script says.

Like a real one it takes its calls in order, one at a time: while one is unanswered the next is not
begun, and while its mailbox is full it does not read. Unlike a real one it lives inside the thread
that pumps, which is what makes each run the same.
"""

from __future__ import annotations

import os
import select
import socket
from collections import deque
from collections.abc import Callable, Generator, Iterable, Sequence
from threading import RLock
from typing import Any, Final, TypeAlias, final

from ..transport.fds import FdConnection, PeerGone
from ..wire import messages as wire
from ..wire.codec import Encoder, decode
from ..wire.frames import FrameDecoder
from .memory import MemoryStream

FIRST_PID: Final = 1 << 30
"""Numbers beyond those that any kernel gives: no process can be meant."""

_READ_SIZE: Final = 256 << 10

Step: TypeAlias = Callable[["ScriptedWorker", wire.Execute], Any]
"""What a worker does with a call.

A plain function does it at once. A generator may wait: each `yield wire.Value` (or another kind of
message) is given the next message of that kind.
"""


@final
class ScriptedWorker:
    """One worker of a `FakeZygote`, which makes it.

    Everything here may be called from a script, and from a test's own thread as well.

    Attributes:
        number, pid, slot, label: as the driver knows them; the pid is nobody's.
        received: every message so far, of both sockets.
        queue: calls that have not begun.
        current: the call that has begun and is not answered; None when idle.
        mailbox: this end of the mailbox, for faults on what the worker sends.
        alive: False from its death on.
    """

    def __init__(
        self,
        spawn: wire.Spawn,
        mailbox: MemoryStream,
        control: int,
        page: memoryview,
        script: Step,
        lock: RLock,
        report: Callable[[wire.Died], None],
        watch: Callable[[int, int | None], None],
    ) -> None:
        mailbox.setblocking(False)
        self.number = spawn.number
        self.slot = spawn.slot
        self.label = spawn.label
        self.pid = FIRST_PID + spawn.number
        self.received: list[Any] = []
        self.queue: deque[wire.Execute] = deque()
        self.current: wire.Execute | None = None
        self.mailbox = mailbox
        self.alive = True
        self.templates: dict[int, wire.Template] = {}
        self.codes: dict[bytes, wire.Payload] = {}
        self._control = FdConnection(socket.socket(fileno=control))
        self._page = page.cast("Q")
        self._script = script
        self._lock = lock
        self._report = report
        self._watch = watch
        self._decoder = FrameDecoder()
        self._encode = Encoder()
        self._unsent = b""
        self._waiting: list[tuple[type[Any], Generator[type[Any], Any, None]]] = []
        self._leaving = False
        watch(mailbox.fileno(), select.EPOLLIN)
        watch(self._control.fileno(), select.EPOLLIN)

    def __repr__(self) -> str:
        state = "alive" if self.alive else "dead"
        return f"<ScriptedWorker {self.number} {state} queue={len(self.queue)}>"

    # --- what a script says -----------------------------------------------------------------

    def hello(self, version: int = wire.VERSION) -> None:
        """Say that the worker is ready, in this version of the protocol."""
        self.send(wire.Hello(version, self.number, self.pid))

    def send(self, *messages: tuple[Any, ...]) -> None:
        """Send messages on the mailbox."""
        self.write(b"".join(map(self.frame, messages)))

    def frame(self, message: tuple[Any, ...]) -> bytes:
        """Return the bytes of a message, to send in pieces or to spoil."""
        with self._lock:
            return self._encode(message)

    def write(self, data: bytes) -> None:
        """Send bytes on the mailbox, whether or not they are a message."""
        with self._lock:
            if self.alive:
                self._unsent += data
                self._flush()

    def tell(self, message: tuple[Any, ...], fds: Sequence[int] = ()) -> None:
        """Send a message on the control socket with descriptors, which are closed here."""
        with self._lock:
            self._control.send(self._encode(message), fds)

    def reply(self, *values: Any) -> None:
        """Answer the current call with a value for each of its returns."""
        from ..payload import pack

        payloads = [_inline(pack(value, what="a scripted reply")) for value in values]
        self.answer(wire.OK, payloads)

    def fail(self, error: BaseException, *, retry: bool = False) -> None:
        """Answer the current call with an exception; with `retry` as one that is retried."""
        from ..payload import pack_exception

        packed = pack_exception(error, task_name=self.name, pid=self.pid)
        self.answer(wire.RETRYABLE if retry else wire.ERROR, [_inline(packed)])

    def answer(self, outcome: int, payloads: list[wire.Payload]) -> None:
        """Answer the current call, and begin the next.

        Raises:
            LookupError: no call has begun.
        """
        with self._lock:
            self.send(self.result(outcome, payloads))
            self.current = None
            self._advance()

    def result(self, outcome: int = wire.OK, payloads: Iterable[wire.Payload] = ()) -> wire.Result:
        """Return the message that would answer the current call.

        Raises:
            LookupError: no call has begun.
        """
        if self.current is None:
            raise LookupError(f"worker {self.number} has begun no call")
        return wire.Result(self.current.call, outcome, list(payloads), [], 100, [])

    @property
    def name(self) -> str:
        """The name of the current call's function, or nothing."""
        current = self.current
        return self.templates[current.template].name if current is not None else ""

    def arguments(self) -> tuple[list[Any], dict[str, Any]]:
        """Return the arguments of the current call.

        Raises:
            LookupError: no call has begun, or they lie in the store, which is not mapped here.
        """
        from ..payload import unpack

        if self.current is None:
            raise LookupError(f"worker {self.number} has begun no call")
        args, kwargs = unpack(_parts(self.current.args))
        args = list(args)
        for where, _, payload in self.current.deps:
            if isinstance(where, int):
                args[where] = unpack(_parts(payload))
            else:
                kwargs[where] = unpack(_parts(payload))
        return args, kwargs

    def function(self) -> Any:
        """Return the function of the current call, a task's or an actor's class."""
        from ..payload import unpack_code

        if self.current is None:
            raise LookupError(f"worker {self.number} has begun no call")
        return unpack_code(_parts(self.codes[self.templates[self.current.template].code]))

    def hang_up(self) -> None:
        """Close the mailbox, as a worker does that is about to end."""
        with self._lock:
            self._unsent = b""
            if self.mailbox.fileno() >= 0:
                self._watch(self.mailbox.fileno(), None)
                self.mailbox.close()

    def die(self, code: int = -9, stderr: str = "") -> None:
        """End: with this exit code, or if negative by this signal. The zygote reports it."""
        with self._lock:
            if not self.alive:
                return
            self.alive = False
            self.close()
            self._report(wire.Died(self.number, self.pid, code, stderr))

    # --- inside -----------------------------------------------------------------------------

    def close(self) -> None:
        """Close both ends without a word."""
        with self._lock:
            self.hang_up()
            if self._control.fileno() >= 0:
                self._watch(self._control.fileno(), None)
                self._control.close()
            self._waiting.clear()

    @property
    def fds(self) -> tuple[int, int]:
        """The descriptors of both ends; negative once closed."""
        return self.mailbox.fileno(), self._control.fileno()

    def serve(self) -> None:
        """Do what the two sockets allow; the zygote calls it."""
        if self.alive:
            self._serve_control()
        if self.alive and self.mailbox.fileno() >= 0:
            self._flush()
            if not self._unsent:
                self._read()

    def _flush(self) -> None:
        while self._unsent:
            try:
                sent = self.mailbox.send(self._unsent)
            except BlockingIOError:
                break
            except OSError:
                self._unsent = b""
                break
            self._unsent = self._unsent[sent:]
        if self.mailbox.fileno() >= 0:
            wanted = select.EPOLLOUT if self._unsent else select.EPOLLIN
            self._watch(self.mailbox.fileno(), wanted)

    def _read(self) -> None:
        try:
            data = self.mailbox.recv(_READ_SIZE)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self.hang_up()  # The driver has gone, and with it all that a worker is for.
            return
        for body in self._decoder.feed(data):
            self._take(decode(body))

    def _serve_control(self) -> None:
        try:
            bodies = self._control.receive()
        except PeerGone:
            self._watch(self._control.fileno(), 0)
            return
        for body in bodies:
            message = decode(body)
            if type(message) in wire.CARRIERS:
                for fd in self._control.take_descriptors():
                    os.close(fd)
            self._take(message)

    def _take(self, message: Any) -> None:
        self.received.append(message)
        kind = type(message)
        if kind is wire.Execute:
            self.queue.append(message)
            self._advance()
        elif kind is wire.Define:
            self.templates[message.number] = wire.Template(*message.template)
        elif kind is wire.Code:
            self.codes[message.digest] = message.payload
        elif kind is wire.GiveBack:
            self._give_back()
        elif kind is wire.Ping:
            self.tell(message)
        elif kind is wire.Exit:
            self._leaving = True
            self._advance()
        for waiting in reversed(self._waiting):
            if waiting[0] is kind:
                self._waiting.remove(waiting)
                self._go_on(waiting[1], message)
                return

    def _give_back(self) -> None:
        if self.queue:
            calls = [execute.call for execute in self.queue]
            self.queue.clear()
            self.send(wire.GivenBack(calls))

    def _advance(self) -> None:
        """Begin the next call, if none is under way."""
        if self.current is not None or not self.alive:
            return
        if self.queue:
            self.current = execute = self.queue.popleft()
            # As a real worker does: the id first, then the sequence that announces it.
            self._page[1] = execute.call
            self._page[0] = execute.sequence
            steps = self._script(self, execute)
            if isinstance(steps, Generator):
                self._go_on(steps, None)
        elif self._leaving:
            self.die(0)

    def _go_on(self, steps: Generator[type[Any], Any, None], message: Any) -> None:
        try:
            kind = steps.send(message)
        except StopIteration:
            return
        self._waiting.append((kind, steps))


def _inline(packed: Any) -> wire.Payload:
    parts = [bytes(part) for part in packed.parts]
    return parts[0] if len(parts) == 1 else parts


def _parts(payload: wire.Payload) -> list[Any]:
    if type(payload) is bytes:
        return [payload]
    if payload and type(payload[0]) is int:
        raise LookupError("the value lies in the store, which a scripted worker does not map")
    return list(payload)
