"""Values whose bytes travel beside the pickle stream: bytes-likes, memoryviews, numpy arrays.

Nothing is copied unless it has to be: memory that is not contiguous is. What comes back from a
read-only buffer is read-only.
"""

from __future__ import annotations

from pickle import PickleBuffer
from typing import Any, Final, cast, final

from .packed import Part

LARGE: Final = 64 * 1024
"""Bytes from which a bytes or bytearray argument travels out of band."""


def is_large(value: object) -> bool:
    """Whether a value is bytes or a bytearray worth a buffer of its own."""
    return (type(value) is bytes or type(value) is bytearray) and len(value) >= LARGE


@final
class OutOfBand:
    """Stands for a large bytes or bytearray, which pickle would copy into its stream."""

    __slots__ = ("value",)

    def __init__(self, value: bytes | bytearray) -> None:
        self.value = value

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self.value), (PickleBuffer(self.value),)


@final
class Buffers:
    """Collects the out-of-band parts of one stream, in order.

    Up to Python 3.12 the garbage collector crashes on a cycle that holds a memoryview and a
    PickleBuffer over it, and a kept traceback soon makes a cycle. So nothing here stays longer
    than it must, and a part lies over the memory itself, not over a memoryview of it.

    Attributes:
        parts: flat views of the buffers, copied only where a memoryview allows none.
    """

    __slots__ = ("parts",)

    def __init__(self) -> None:
        self.parts: list[Part] = []

    def keep(self, buffer: PickleBuffer) -> None:
        """Take a buffer from the pickler: its `buffer_callback`."""
        try:
            part = buffer.raw()
        except BufferError:
            buffer.release()
            raise
        view = part.obj
        self.parts.append(_over_memory(view) if isinstance(view, memoryview) else part)


def _over_memory(view: memoryview) -> Part:
    try:
        return view.cast("B")
    except TypeError:  # not one run in C's order, or a format that cannot be cast
        return view.tobytes("A")


def reduce_memoryview(view: memoryview) -> tuple[Any, ...]:
    """Reduce a memoryview of any shape to a buffer, its format and its shape."""
    code, shape = view.format, view.shape or ()
    if view.c_contiguous and 0 not in shape:
        flat: memoryview | bytes = view
    else:
        flat = view.tobytes()
    try:
        load_memoryview(memoryview(flat).cast("B"), code, shape)
    except (TypeError, ValueError) as error:
        raise TypeError(
            f"a memoryview of format {code!r} cannot be rebuilt; send numpy.asarray(view) instead"
        ) from error
    return load_memoryview, (PickleBuffer(flat), code, shape)


def load_memoryview(buffer: Any, code: str, shape: tuple[int, ...]) -> memoryview:
    """Rebuild a memoryview, read-only, over the buffer."""
    flat: Any = memoryview(buffer).toreadonly().cast("B")
    if code == "B" and len(shape) == 1:
        return cast(memoryview, flat)
    if 0 in shape:
        # A cast refuses zeros in a shape; no element is lost by one dimension less.
        return cast(memoryview, flat.cast(code))
    return cast(memoryview, flat.cast(code, shape))


def is_plain_array(value: Any) -> bool:
    """Whether an object is a numpy array that pickle's C code exports as one buffer.

    Tells by name, since numpy may not be loaded.
    """
    kind = type(value)
    if kind.__name__ != "ndarray" or kind.__module__ != "numpy":
        return False
    dtype, flags = value.dtype, value.flags
    return not (
        dtype.hasobject
        or dtype.metadata is not None
        or dtype.kind in "mM"
        or not (flags.c_contiguous or flags.f_contiguous)
    )


def reduce_array(array: Any) -> Any:
    """Reduce a numpy array, or a memory-mapped one, to a buffer wherever that is possible.

    Returns:
        A reduction, or NotImplemented to leave the array to numpy's own.
    """
    import numpy

    dtype, flags = array.dtype, array.flags
    if dtype.hasobject:
        return NotImplemented
    plain = array.view(numpy.ndarray)
    if not (flags.c_contiguous or flags.f_contiguous):
        plain = plain.copy()
    if dtype.kind in "mM":  # times have no buffer format
        return load_viewed, (plain.view(numpy.int64), dtype)
    return plain.__reduce_ex__(5)


def load_viewed(array: Any, dtype: Any) -> Any:
    """Rebuild an array of times from one of integers, over the same memory."""
    return array.view(dtype)
