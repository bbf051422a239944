"""The entry of workers that die as planned (see `kill_points`): real ones, with a trap in one part.

Each point has the part of a worker in which it lies; that part is replaced by one that does the
same and counts. All the other parts are the usual ones.
"""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Callable, Sequence
from typing import Any, Final, NoReturn, TypeAlias, final

from ..config import environment
from ..payload import unpack_code
from ..store.copying import Flat, copy_all
from ..wire import messages as wire
from ..wire.codec import decode
from ..wire.frames import FrameDecoder
from ..workers.process import Seams
from ..workers.process import main as serve
from ..workers.spawn import WorkerSetup
from .kill_points import KillPlan, KillPoint, Tally, heard


def main(setup: WorkerSetup) -> int:
    """Serve as a worker until told to end, or until the plan says die."""
    plan, tally = heard(environment())
    setup, seams = _ARMS[plan.point](setup, Trap(plan, tally))
    return serve(setup, seams)


@final
class Trap:
    """The point of a plan: each passing is counted, and some kill."""

    __slots__ = ("_plan", "_tally")

    def __init__(self, plan: KillPlan, tally: Tally) -> None:
        self._plan = plan
        self._tally = tally

    @property
    def point(self) -> KillPoint:
        """Where it lies."""
        return self._plan.point

    def due(self) -> bool:
        """Count a passing; tell whether it kills."""
        return self._plan.kills(self._tally.count())

    def step(self) -> None:
        """Count a passing, and die if it kills."""
        if self.due():
            die()


def die() -> NoReturn:
    """End this process as `kill -9` does."""
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError("unreachable: nobody outlives SIGKILL")


Arm: TypeAlias = Callable[[WorkerSetup, Trap], tuple[WorkerSetup, Seams]]


# --- the mailbox: calls, nested ones and replies ----------------------------------------------

_TURNS_ON: Final[dict[KillPoint, type[Any]]] = {
    KillPoint.HALF_CALL: wire.Submit,
    KillPoint.BEFORE_REPLY: wire.Result,
    KillPoint.HALF_REPLY: wire.Result,
    KillPoint.AFTER_REPLY: wire.Result,
}
"""The kind of message that each point about sending turns on."""


@final
class _Mailbox(socket.socket):
    """A worker's end of its mailbox; what is written to it in one piece are whole frames."""

    trap: Trap
    decoder: FrameDecoder

    def recv(self, size: int, flags: int = 0, /) -> bytes:
        """Receive, and look for calls in it."""
        data = super().recv(size, flags)
        if self.trap.point is KillPoint.CALL_READ:
            for body in self.decoder.feed(data):
                if type(decode(body)) is wire.Execute:
                    self.trap.step()
        return data

    def sendall(self, data: Any, flags: int = 0, /) -> None:
        """Send all of `data`, as far as the trap lets it."""
        point = self.trap.point
        kinds = [type(decode(body)) for body in FrameDecoder().feed(bytes(data))]
        if _TURNS_ON.get(point) not in kinds:
            super().sendall(data, flags)
        elif self.trap.due():
            # Counted before the reply is there, so that whoever has it can rely on the count.
            size = len(data) if point is KillPoint.AFTER_REPLY else len(data) // 2
            if point is not KillPoint.BEFORE_REPLY:
                super().sendall(memoryview(data)[:size], flags)
            die()
        else:
            super().sendall(data, flags)


def _arm_mailbox(setup: WorkerSetup, trap: Trap) -> tuple[WorkerSetup, Seams]:
    mailbox = _Mailbox(fileno=setup.mailbox.detach())
    mailbox.trap = trap
    mailbox.decoder = FrameDecoder()
    return setup._replace(mailbox=mailbox), Seams()


# --- the control socket: descriptors ----------------------------------------------------------


@final
class _Control(socket.socket):
    """A worker's end of its control socket, which its control thread reads."""

    trap: Trap
    page: memoryview

    def sendmsg(self, buffers: Any, ancdata: Any = (), *rest: Any) -> int:
        """Send; with descriptors it may be the last thing that this process does."""
        sent = super().sendmsg(buffers, ancdata, *rest)
        if ancdata and self.trap.point is KillPoint.DESCRIPTOR_SENT:
            self.trap.step()
        return sent

    def recvmsg(self, *sizes: int) -> tuple[bytes, list[tuple[int, int, bytes]], int, Any]:
        """Receive; nobody may see what came with it."""
        received = super().recvmsg(*sizes)
        if received[1] and self.trap.point is KillPoint.DESCRIPTOR_TAKEN and self.trap.due():
            # The main thread goes its own way: let it come to the call that the driver sent next,
            # or each run would be another.
            while not self.page[0]:
                os.sched_yield()
            die()
        return received


def _arm_control(setup: WorkerSetup, trap: Trap) -> tuple[WorkerSetup, Seams]:
    control = _Control(fileno=setup.control.detach())
    control.trap = trap
    control.page = setup.status.cast("Q")
    return setup._replace(control=control), Seams()


# --- the status page: what has begun ----------------------------------------------------------


@final
class _Page:
    """A worker's status page, to which it writes a call's id, then the sequence that counts."""

    __slots__ = ("_page", "_trap")

    def __init__(self, page: memoryview, trap: Trap) -> None:
        self._page = page
        self._trap = trap

    def cast(self, form: str) -> _Page:
        return _Page(self._page.cast(form), self._trap)  # type: ignore[call-overload]

    def __setitem__(self, place: int, value: int) -> None:
        if place == 0:
            self._trap.step()
        self._page[place] = value


def _arm_page(setup: WorkerSetup, trap: Trap) -> tuple[WorkerSetup, Seams]:
    page: Any = _Page(setup.status, trap)
    return setup._replace(status=page), Seams()


# --- the user's code --------------------------------------------------------------------------


@final
class _Actor:
    """An actor whose methods step on the trap."""

    __slots__ = ("_actor", "_trap")

    def __init__(self, actor: Any, trap: Trap) -> None:
        self._actor = actor
        self._trap = trap

    def __getattr__(self, name: str) -> Any:
        return _trapped(getattr(self._actor, name), self._trap)


def _trapped(function: Callable[..., Any], trap: Trap) -> Callable[..., Any]:
    def call(*args: Any, **kwargs: Any) -> Any:
        trap.step()
        return function(*args, **kwargs)

    return call


def _arm_code(setup: WorkerSetup, trap: Trap) -> tuple[WorkerSetup, Seams]:
    def load(parts: Sequence[Any]) -> Any:
        code = unpack_code(parts)
        if not isinstance(code, type):
            return _trapped(code, trap)
        make = _trapped(code, trap)
        return lambda *args, **kwargs: _Actor(make(*args, **kwargs), trap)

    return setup, Seams(load=load)


# --- the store --------------------------------------------------------------------------------


def _arm_copy(setup: WorkerSetup, trap: Trap) -> tuple[WorkerSetup, Seams]:
    def copy(targets: Sequence[int], sources: Sequence[Flat]) -> None:
        if trap.due():
            copy_all(targets, [memoryview(source)[: len(source) // 2] for source in sources])
            die()
        copy_all(targets, sources)

    return setup, Seams(copy=copy)


_ARMS: Final[dict[KillPoint, Arm]] = {
    KillPoint.DESCRIPTOR_TAKEN: _arm_control,
    KillPoint.CALL_READ: _arm_mailbox,
    KillPoint.BEFORE_EXEC: _arm_page,
    KillPoint.IN_EXEC: _arm_code,
    KillPoint.HALF_CALL: _arm_mailbox,
    KillPoint.DESCRIPTOR_SENT: _arm_control,
    KillPoint.EXTENT_HALF_WRITTEN: _arm_copy,
    KillPoint.BEFORE_REPLY: _arm_mailbox,
    KillPoint.HALF_REPLY: _arm_mailbox,
    KillPoint.AFTER_REPLY: _arm_mailbox,
}
