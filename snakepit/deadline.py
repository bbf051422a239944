"""One deadline, threaded through everything that waits."""

from __future__ import annotations

from time import monotonic
from typing import final


@final
class Deadline:
    """A point on the monotonic clock, or never."""

    __slots__ = ("_at",)

    def __init__(self, at: float | None) -> None:
        self._at = at

    @classmethod
    def after(cls, seconds: float | None) -> Deadline:
        """Return the deadline `seconds` from now; None means never."""
        return cls(None if seconds is None else monotonic() + seconds)

    @property
    def at(self) -> float | None:
        """The moment on `time.monotonic`'s clock in seconds, or None."""
        return self._at

    def remaining(self) -> float | None:
        """Return the seconds left, at least 0.0, or None for never."""
        return None if self._at is None else max(0.0, self._at - monotonic())

    @property
    def expired(self) -> bool:
        """Whether the moment has passed."""
        return self._at is not None and monotonic() >= self._at


NEVER = Deadline(None)
"""The deadline that does not come."""
