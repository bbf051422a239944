"""Code by value, which runs only in the minor version of Python that compiled it."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any, Final

from ..errors import SerializationError

TAG: Final = sys.implementation.cache_tag or sys.implementation.name
"""Names the bytecode of this interpreter, such as cpython-311."""


def load_code(tag: str, make: Callable[..., Any], arguments: tuple[Any, ...]) -> Any:
    """Build a code object, which another interpreter may have taken apart.

    Raises:
        SerializationError: that one's bytecode is not this one's, which would crash on it.
    """
    if tag != TAG:
        raise SerializationError(other_bytecode("a function or class", tag))
    return make(*arguments)


def other_bytecode(what: str, tag: str) -> str:
    """Say that something with code in it cannot be used here."""
    return (
        f"{what} was sent by value from {tag} to {TAG} ({sys.executable}), which cannot run the "
        "other's bytecode. Put it into a module that both can import, by runtime_env's py_modules "
        "or working_dir: then only its name is sent"
    )
