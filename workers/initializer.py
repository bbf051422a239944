"""What a pool has each of its workers do before its first call."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any


def run_initializer(load: Callable[[Sequence[Any]], Any], parts: Sequence[Any]) -> None:
    """Unpickle the function and call it; whatever it raises ends the worker, and is its last word.

    Args:
        load: turns the parts of a definition into the function.
        parts: those of the initializer.
    """
    try:
        load(parts)()
    except Exception as error:
        error.add_note("This is the initializer of the worker's pool: the worker cannot start.")
        raise
