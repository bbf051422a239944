"""Which call the present thread or coroutine runs, where several run in one process."""

from __future__ import annotations

from contextvars import ContextVar
from typing import Final

CALL: Final[ContextVar[int]] = ContextVar("snakepit_call", default=0)
"""The call's id, or 0; a call that runs alone, in the main thread, is on `Interruption.stack`."""
