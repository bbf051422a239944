"""Whether Python runs a finalizer: what a signal's handler raises then is thrown away."""

from __future__ import annotations

from types import FrameType
from typing import Final

_NAMES: Final = ("__del__", "_finalize")


def in_finalizer(frame: FrameType | None) -> bool:
    """Tell whether a frame is a finalizer's, or was called by one."""
    while frame is not None:
        if frame.f_code.co_name in _NAMES:
            return True
        frame = frame.f_back
    return False
