"""Exceptions as data: taken apart and put together without running their `__init__`.

The built-in reduction of an exception calls its type with `args`. That fails, or silently
corrupts the message, when `__init__` takes other arguments than it hands to its base. Here an
exception is made bare, and is then given its arguments, attributes and slots.
"""

from __future__ import annotations

from types import (
    BuiltinFunctionType,
    GetSetDescriptorType,
    MemberDescriptorType,
    MethodDescriptorType,
)
from typing import Any, cast

__all__ = [
    "SnakepitError",
    "State",
    "reduce_exception",
    "rebuild_exception",
    "bare_exception",
    "constructor_args",
    "members",
    "set_state",
]


class SnakepitError(Exception):
    """Base of every error of snakepit."""

    # Found, and pickled, by the name that users know.
    __module__ = "snakepit.errors"


State = tuple[tuple[Any, ...], dict[str, Any], dict[str, Any]]
"""The arguments, the fields outside the instance's dictionary, and the dictionary."""


def reduce_exception(exc: BaseException, *, force: bool = False) -> tuple[Any, ...] | None:
    """Return a pickle reduction of an exception that does not call its `__init__`.

    Args:
        exc: the exception.
        force: also for a type that defines a reduction of its own.

    Returns:
        A reduction in pickle's terms; None if the type has its own, to be left alone.
    """
    kind = type(exc)
    if not force and (
        kind.__reduce_ex__ is not object.__reduce_ex__
        or not isinstance(kind.__reduce__, MethodDescriptorType)
        or not isinstance(getattr(kind, "__setstate__", None), MethodDescriptorType)
    ):
        return None
    state: State = (exc.args, members(exc), dict(vars(exc)))
    return rebuild_exception, (kind, *constructor_args(exc)), state, None, None, set_state


def rebuild_exception(kind: type[BaseException], *new_args: Any) -> BaseException:
    """Make an exception without calling its `__init__`, for `reduce_exception`."""
    return bare_exception(kind, new_args)


def bare_exception(kind: type[BaseException], new_args: tuple[Any, ...]) -> BaseException:
    """Make an exception by the nearest built-in `__new__`, past those that users wrote."""
    base: type = kind
    while not isinstance(base.__new__, BuiltinFunctionType):
        base = cast(type, base.__base__)
    new: Any = base.__new__
    try:
        return cast(BaseException, new(kind, *new_args))
    except TypeError:
        # MemoryError has one of its own, which makes nothing that has another base before it.
        other: Any = cast(type, kind.__base__).__new__
        return cast(BaseException, other(kind, *new_args))


def constructor_args(exc: BaseException) -> tuple[Any, ...]:
    """What `__new__` needs: groups alone insist on arguments, and cannot be given them later."""
    return (exc.message, exc.exceptions) if isinstance(exc, BaseExceptionGroup) else ()


def members(exc: BaseException) -> dict[str, Any]:
    """Return the fields outside the instance's dictionary: of built-in types, and slots."""
    found = {}
    for klass in type(exc).__mro__:
        for name, slot in vars(klass).items():
            if not isinstance(slot, (MemberDescriptorType, GetSetDescriptorType)):
                continue
            # What failed to have an attribute often cannot travel; Python's own later
            # reductions leave it out too.
            if name == "args" or name.startswith("__") or (klass, name) == (AttributeError, "obj"):
                continue
            try:
                found[name] = slot.__get__(exc)
            except AttributeError:  # a slot never set
                continue
    return found


def set_state(exc: BaseException, state: State) -> None:
    """Give a bare exception its state, past any `__setattr__` or `__setstate__` of its type."""
    args, slots, own = state
    BaseException.__setattr__(exc, "args", args)
    for name, value in slots.items():
        try:
            BaseException.__setattr__(exc, name, value)
        except (AttributeError, TypeError):  # read-only: __new__ has set it
            continue
    exc.__dict__.update(own)
