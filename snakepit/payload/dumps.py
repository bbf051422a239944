"""From values to parts.

Plain data goes straight to pickle's C code, and so do numpy arrays; all else takes cloudpickle,
which knows functions and classes without an importable name. A shallow look decides: whatever it
does not recognise takes the slow path, which is right for every value.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pickle import dumps
from types import NoneType
from typing import Any, Final

from ..errors import DescriptorLimitError, RuntimeClosedError
from .buffers import LARGE, Buffers, OutOfBand, is_large, is_plain_array
from .packed import Packed, Part

_SCALARS: Final = frozenset({int, float, complex, bool, str, NoneType})
_ATOMS: Final = _SCALARS | {bytes, bytearray}
_GROUPS: Final = frozenset({tuple, list, set, frozenset, dict})
_WIDEST: Final = 8  # beyond it, looking at every member costs more than the slow path does

_PLAIN, _BUFFERS, _OTHER = range(3)

_NUMPY_SEARCH: Final = 1 << 20

_new = tuple.__new__

NO_ARGUMENTS: Final = dumps(((), {}), 5)
"""What `pack_call` makes of a call without arguments; both sides know it when they see it."""


def pack(value: Any, *, what: str, root: str = "value") -> Packed:
    """Turn a value into parts.

    Args:
        value: anything that can be pickled.
        what: what it is to the user, such as "the result of f"; for messages.
        root: how the path to an offending attribute begins.

    Returns:
        Its parts and what is known about them.

    Raises:
        SerializationError: some of it cannot be pickled; its `path` says what.
    """
    if type(value) in _SCALARS:
        return _new(Packed, ([dumps(value, 5)], (), False, ()))
    single = OutOfBand(value) if is_large(value) else value
    return _pack(single, 1, what, {root: value})


def pack_call(args: tuple[Any, ...], kwargs: dict[str, Any], *, what: str = "call") -> Packed:
    """Turn the arguments of a call into parts; `unpack` gives the pair back.

    Args:
        args: the positional arguments.
        kwargs: the named ones.
        what: the name of what is called; for messages.

    Returns:
        The parts, with plain scalars in little more than the time that pickle takes.

    Raises:
        SerializationError: an argument cannot be pickled; its `path` says what.
    """
    if not args and not kwargs:
        return _new(Packed, ([NO_ARGUMENTS], (), False, ()))
    for value in args:
        kind = type(value)
        if kind not in _SCALARS and (kind is not bytes or len(value) >= LARGE):
            break
    else:
        for value in kwargs.values():
            if type(value) not in _SCALARS:
                break
        else:
            return _new(Packed, ([dumps((args, kwargs), 5)], (), False, ()))
    sent = args, kwargs
    if any(map(is_large, args)) or any(map(is_large, kwargs.values())):
        sent = _out_of_band(args, kwargs)
    return _pack(sent, 2, f"the arguments of {what}", {"args": args, "kwargs": kwargs})


def _pack(value: Any, depth: int, what: str, roots: dict[str, Any]) -> Packed:
    buffers = Buffers()
    refs: tuple[int, ...] = ()
    lent: list[Any] = []
    try:
        grade = _grade(value, depth)
        if grade == _PLAIN:
            return Packed([dumps(value, 5)], (), False)
        if grade == _BUFFERS:
            stream = dumps(value, 5, buffer_callback=buffers.keep)
        else:
            stream, refs = _slow_pickler()(value, buffers, lent=lent)
        return finish(stream, buffers, refs, tuple(lent))
    except (MemoryError, DescriptorLimitError, RuntimeClosedError):
        raise
    except Exception as error:
        lent.clear()
        from .culprit import explain

        raise explain(error, what, roots) from error


@cache
def _slow_pickler() -> Callable[..., tuple[bytes, tuple[int, ...]]]:
    from .pickler import dump  # cached, since asking the import system anew takes 1 µs

    return dump


def finish(
    stream: bytes, buffers: Buffers, refs: tuple[int, ...], lent: tuple[Any, ...] = ()
) -> Packed:
    """Make the parts of a stream and its buffers."""
    parts: list[Part] = [stream, *buffers.parts]
    # A guess that may fail either way; a stream of megabytes is not searched to its end for it.
    return Packed(parts, refs, stream.find(b"numpy", 0, _NUMPY_SEARCH) >= 0, lent)


def _grade(value: Any, depth: int) -> int:
    """Tell which pickler a value needs, by a look at its upper levels."""
    kind = type(value)
    if kind in _ATOMS:
        return _PLAIN
    if kind in _GROUPS:
        if depth < 0 or len(value) > _WIDEST:
            return _OTHER
        worst = _PLAIN
        for member in (*value, *value.values()) if kind is dict else value:
            if type(member) not in _ATOMS:
                worst = max(worst, _grade(member, depth - 1))
        return worst
    if kind is OutOfBand or is_plain_array(value):
        return _BUFFERS
    return _OTHER


def _out_of_band(
    args: tuple[Any, ...], kwargs: dict[str, Any]
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Replace large bytes; one that is passed twice stays one object."""
    replaced: dict[int, OutOfBand] = {}

    def replace(value: Any) -> Any:
        return replaced.setdefault(id(value), OutOfBand(value)) if is_large(value) else value

    return tuple(map(replace, args)), {name: replace(value) for name, value in kwargs.items()}
