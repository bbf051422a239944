"""What a pool has each of its workers do before its first call."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from snakepit.wire.messages import Ready

from .mailbox import Mailbox


def run_initializer(
    load: Callable[[Sequence[Any]], Any], parts: Sequence[Any], mailbox: Mailbox
) -> None:
    """Call the function and say so; whatever it raises ends the worker, and is its last word.

    Args:
        load: turns the parts of a definition into the function.
        parts: those of the initializer.
        mailbox: where the driver is told.
    """
    try:
        load(parts)()
    except Exception as error:
        error.add_note("This is the initializer of the worker's pool: the worker cannot start.")
        raise
    mailbox.send(Ready())
