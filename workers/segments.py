"""The segments of other processes, which come as descriptors on the control socket."""

from __future__ import annotations

import threading
from typing import Final, final

from snakepit.deadline import Deadline
from snakepit.errors import ObjectLostError
from snakepit.values import Values
from snakepit.wire.messages import Segment

ARRIVAL: Final = 10.0
"""Seconds within which a segment's descriptor must come, once a message has named it."""


@final
class Segments:
    """Has them mapped, and lets who needs one wait for it."""

    __slots__ = ("_changed",)

    def __init__(self) -> None:
        self._changed = threading.Condition()

    def arrived(self, values: Values, message: Segment, fds: tuple[int, ...]) -> None:
        """Map one; in the control thread."""
        with self._changed:
            if fds:
                values.mappings.add(message.number, fds[0], message.size)
            self._changed.notify_all()

    def wait_for(self, values: Values, number: int) -> None:
        """Wait until it is there.

        Raises:
            ObjectLostError: it does not come.
        """
        deadline = Deadline.after(ARRIVAL)
        with self._changed:
            while number not in values.mappings:
                if deadline.expired:
                    raise ObjectLostError(
                        f"segment {number} of the store did not come within {ARRIVAL} s"
                    )
                self._changed.wait(deadline.remaining())
