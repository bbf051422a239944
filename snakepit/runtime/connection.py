"""The driver's end of one worker: its mailbox, its control socket, and what it already has."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from typing import Any, final

from ..transport.fds import FdConnection, PeerGone
from ..transport.streams import Stream
from ..wire.codec import Encoder, decode
from ..wire.frames import FrameDecoder
from ..wire.messages import CARRIERS, Ping
from .outbox import Outbox

READ_SIZE = 64 << 10


@final
class Connection:
    """One worker, from its spawn until its death has been dealt with.

    Attributes:
        templates, codes, segments: what the worker has been sent: numbers, digests, numbers.
        theirs: the worker's own templates, by its numbers.
        imports: the version of the import paths that it was sent.
        touched: whether frames were appended since the last flush (under the runtime's lock).
        ahead, unsent: calls that it has not answered, less those that it runs beside another, and
            those not written yet.
        ended: nothing more can be read from its mailbox.
        greeted: it has said hello.
        initializes: it takes calls only when its pool's initializer has returned.
        interpreter, foreign: whose zygote it is forked from, and whether that is another one
            than the driver's.
        status: where it says what it has begun.
        distrusted: why the driver has it ended, if it does not behave.
        killed: whether the driver has it ended, for whatever reason.
        heard, probed: the last ping that it has answered, and the last probe; set by whichever
            thread reads that.
    """

    __slots__ = (
        "_control",
        "_control_lock",
        "_decoder",
        "_encode_control",
        "_mailbox",
        "ahead",
        "codes",
        "distrusted",
        "ended",
        "foreign",
        "greeted",
        "heard",
        "imports",
        "initializes",
        "interpreter",
        "killed",
        "number",
        "outbox",
        "pid",
        "probed",
        "segments",
        "slot",
        "status",
        "templates",
        "theirs",
        "touched",
        "unsent",
    )

    def __init__(
        self,
        number: int,
        slot: int,
        mailbox: Stream,
        control: socket.socket,
        stalled: Callable[[bool], None],
    ) -> None:
        mailbox.setblocking(False)
        self.number = number
        self.slot = slot
        self.pid = 0
        self.outbox = Outbox(mailbox, stalled)
        self.templates: set[int] = set()
        self.codes: set[bytes] = set()
        self.segments: set[int] = {number}
        self.theirs: dict[int, Any] = {}
        self.imports = -1
        self.touched = False
        self.ahead = 0
        self.unsent = 0
        self.ended = False
        self.greeted = False
        self.initializes = False
        self.interpreter = ""
        self.foreign = False
        self.status = memoryview(bytearray(16))
        self.distrusted = ""
        self.killed = False
        self.heard = self.probed = 0
        self._mailbox = mailbox
        self._decoder = FrameDecoder()
        self._control = FdConnection(control)
        self._control_lock = threading.Lock()
        self._encode_control = Encoder()

    @property
    def mailbox_fd(self) -> int:
        """The mailbox's descriptor, to be watched."""
        return self._mailbox.fileno()

    @property
    def control_fd(self) -> int:
        """The control socket's descriptor, to be watched."""
        return self._control.fileno()

    def read(self) -> list[Any] | None:
        """Return the messages that one read of the mailbox completes; None if there is nothing.

        Raises:
            ProtocolError: what came is none.
        """
        try:
            data = self._mailbox.recv(READ_SIZE)
        except (BlockingIOError, InterruptedError):
            return None
        except OSError:
            data = b""
        if not data:
            self.ended = True
            return None
        return [decode(body) for body in self._decoder.feed(data)]

    def tell(self, message: tuple[Any, ...], fds: tuple[int, ...] = ()) -> bool:
        """Send a message on the control socket; False if some of it must wait for room."""
        with self._control_lock:
            return self._control.send(self._encode_control(message), fds)

    def flush_control(self) -> bool:
        """Send what waited for room."""
        return self._control.flush()

    def read_control(self, take: Callable[[Any, tuple[int, ...]], None]) -> bool:
        """Give each control message with its descriptors to `take`; False at the end of file."""
        with self._control_lock:
            try:
                bodies = self._control.receive()
            except PeerGone:
                return False
            for body in bodies:
                message = decode(body)
                if type(message) is Ping:
                    # Probes are the same message, and count downwards.
                    self.heard = max(self.heard, message.number)
                    self.probed = max(self.probed, -message.number)
                    continue
                carries = type(message) in CARRIERS
                fds = self._control.take_descriptors() if carries else ()
                take(message, fds)
        return True

    def abandon(self) -> None:
        """Close both sockets in a forked child, where no lock's holder exists."""
        self._mailbox.close()
        self._control.abandon()

    def close(self) -> None:
        """Close both sockets."""
        self._mailbox.close()
        self._control.close()
