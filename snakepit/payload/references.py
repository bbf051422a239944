"""Notes which references a value contains while it is packed.

A reference announces itself from its `__reduce__`, and nothing is spent on values without any.
The collector is a context variable: each thread and each nested pack has its own, with the GIL
or without it.
"""

from __future__ import annotations

from contextvars import ContextVar, Token
from typing import Final

_FOUND: Final[ContextVar[list[int] | None]] = ContextVar("snakepit_references", default=None)


def note_reference(identifier: int) -> None:
    """Tell the pack in progress that its value contains a reference; for `__reduce__`.

    Args:
        identifier: the reference's id.

    Raises:
        TypeError: no pack is in progress in this thread, so nobody would keep the object alive.
    """
    found = _FOUND.get()
    if found is None:
        raise TypeError(
            "references travel only inside arguments, results and values given to put: "
            "pickled elsewhere, nothing would keep their object alive"
        )
    found.append(identifier)


def start_collecting(found: list[int]) -> Token[list[int] | None]:
    """Have ids that are noted in this thread appended to `found`; the innermost collector wins."""
    return _FOUND.set(found)


def stop_collecting(token: Token[list[int] | None]) -> None:
    """End what `start_collecting` began; the collector around it, if any, goes on."""
    _FOUND.reset(token)
