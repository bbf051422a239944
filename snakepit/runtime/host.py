"""What the driver needs of a zygote, so that a scripted one can stand in for it.

`ZygoteClient` is the real one; `snakepit.testing.FakeZygote` keeps its workers in this process.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from ..deadline import Deadline
from ..transport.streams import Channels


class Zygote(Protocol):
    """Forks workers and tells of their ends; `ZygoteClient` says what each method promises."""

    @property
    def exit_code(self) -> int | None:
        """How it ended; None while it runs."""
        ...

    @property
    def pid(self) -> int:
        """The process that was started."""
        ...

    def fileno(self) -> int:
        """Return the descriptor that is readable when `receive` has something."""
        ...

    def channels(self) -> Channels:
        """Return the ends of a new worker's streams; the handed ones travel with its `Spawn`."""
        ...

    def send(self, message: tuple[Any, ...], fds: Sequence[int] = ()) -> bool:
        """Queue a message; return whether everything has left."""
        ...

    def flush(self) -> bool:
        """Send what fits; return whether everything has left."""
        ...

    def receive(self) -> list[Any]:
        """Return the messages that have arrived.

        Raises:
            ZygoteGone: it has ended.
        """
        ...

    def status(self, slot: int) -> memoryview:
        """Return the 64 bytes that the worker in `slot` writes its status to."""
        ...

    def startup_text(self) -> str:
        """Return what it printed itself."""
        ...

    def stop(self, deadline: Deadline, deliver: Callable[[Any], object] | None = None) -> None:
        """End every process of the run, then the zygote."""
        ...

    def kill(self, deadline: Deadline | None = None) -> None:
        """End them at once, delivering nothing."""
        ...

    def close(self) -> None:
        """Close this process's descriptors."""
        ...


class StartZygote(Protocol):
    """Starts a zygote; see `ZygoteClient.start`."""

    def __call__(
        self,
        *,
        run: str,
        slots: int,
        ledger_fd: int,
        env: Mapping[str, str],
        log_to_driver: bool,
        interpreter: str,
    ) -> Zygote:
        """Return at once; the readiness arrives as `Started`.

        Raises:
            RuntimeStartError: there can be none.
        """
        ...
