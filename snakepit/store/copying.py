"""Copies buffers into shared memory, with the GIL released, on several cores when it pays.

A large copy is cut into one stretch per thread and no finer: after each stretch a thread needs
the GIL again, which a busy Python thread may withhold for milliseconds.

Guarantee: when a function here returns or raises, no thread writes any more; an interrupt that
arrives meanwhile is raised after the last byte. Sources stay exported, hence unchanged in size
and place, for as long as they are read. None of it relies on the GIL.
"""

from __future__ import annotations

import ctypes
import os
import threading
from collections.abc import Callable, Sequence
from pickle import PickleBuffer
from typing import Final, NamedTuple, TypeAlias, final

from snakepit.store.platform import round_up

Part: TypeAlias = bytes | bytearray | memoryview | PickleBuffer
Flat: TypeAlias = bytes | memoryview
Copy: TypeAlias = Callable[[Sequence[int], Sequence[Flat]], None]
"""Copies each source to its address, as `copy_all` does."""

PARALLEL_FROM: Final = 8 << 20
"""Bytes from which starting a thread (some 50 µs) costs less than it saves."""

_MOST_THREADS: Final = 4
_CUT: Final = 4096


class _Stretch(NamedTuple):
    target: int
    source: int
    length: int


class _PyBuffer(ctypes.Structure):
    """Py_buffer, as CPython's stable ABI lays it out since 3.11."""

    _fields_ = (
        ("buf", ctypes.c_void_p),
        ("obj", ctypes.c_void_p),
        ("len", ctypes.c_ssize_t),
        ("itemsize", ctypes.c_ssize_t),
        ("readonly", ctypes.c_int),
        ("ndim", ctypes.c_int),
        ("format", ctypes.c_char_p),
        ("shape", ctypes.c_void_p),
        ("strides", ctypes.c_void_p),
        ("suboffsets", ctypes.c_void_p),
        ("internal", ctypes.c_void_p),
    )


_get_buffer: Final = ctypes.pythonapi.PyObject_GetBuffer
_get_buffer.argtypes = (ctypes.py_object, ctypes.POINTER(_PyBuffer), ctypes.c_int)
_release_buffer: Final = ctypes.pythonapi.PyBuffer_Release
_release_buffer.argtypes = (ctypes.POINTER(_PyBuffer),)
_release_buffer.restype = None


@final
class _Exported:
    """The addresses of some buffers, read-only ones too, valid until `close`."""

    __slots__ = ("_held", "addresses")

    def __init__(self, sources: Sequence[Flat]) -> None:
        self._held: list[_PyBuffer] = []
        self.addresses: list[int] = []
        try:
            for source in sources:
                view = _PyBuffer()
                _get_buffer(source, view, 0)
                self._held.append(view)
                self.addresses.append(view.buf or 0)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        while self._held:
            _release_buffer(self._held.pop())


def flatten(part: Part) -> Flat:
    """Returns a part as one run of bytes, copied only where its memory is not one run.

    A memoryview is never wrapped: up to Python 3.12 the garbage collector crashes on a cycle with
    a memoryview that another exports from, and a full store's error, kept, makes such a cycle.

    Args:
        part: Anything that the store takes.

    Returns:
        `part` itself if it is bytes, else a one-dimensional view of unsigned bytes.

    Raises:
        ValueError: The buffer was released.
    """
    if type(part) is bytes:
        return part
    if type(part) is memoryview:
        return _flat_view(part)
    wrapped = part if isinstance(part, PickleBuffer) else PickleBuffer(part)
    try:
        return wrapped.raw()
    except BufferError:
        return memoryview(wrapped).tobytes()


def _flat_view(view: memoryview) -> Flat:
    if view.format == "B" and view.ndim == 1 and view.c_contiguous:
        return view
    try:
        return view.cast("B")
    except TypeError:  # not one run in C's order, nothing in it, or of a format of its own
        return view.tobytes("A")


def copy(target: int, source: Part) -> None:
    """Copies one buffer to an address.

    Args:
        target: Where to, an address with room for all of it.
        source: Where from.
    """
    copy_all([target], [flatten(source)])


def copy_all(targets: Sequence[int], sources: Sequence[Flat]) -> None:
    """Copies several buffers, sharing all of their bytes between threads when they are many.

    Args:
        targets: An address for each source.
        sources: Flat buffers.
    """
    total = sum(map(len, sources))
    threads = min(_MOST_THREADS, _cores()) if total >= PARALLEL_FROM else 1
    exported = _Exported(sources)
    try:
        stretches = [
            _Stretch(target, address, len(source))
            for target, address, source in zip(targets, exported.addresses, sources)
            if len(source)
        ]
        if threads == 1:
            _move(stretches)
        else:
            _in_parallel(_shares(stretches, total, threads))
    finally:
        exported.close()


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _move(stretches: Sequence[_Stretch]) -> None:
    for target, source, length in stretches:
        ctypes.memmove(target, source, length)


def _shares(stretches: Sequence[_Stretch], total: int, count: int) -> list[list[_Stretch]]:
    """Cuts the work into at most `count` shares of like size, at whole pages."""
    goal = round_up(-(-total // count), _CUT)
    shares: list[list[_Stretch]] = [[]]
    room = goal
    for target, source, length in stretches:
        done = 0
        while done < length:
            if not room:
                shares.append([])
                room = goal
            step = min(room, length - done)
            shares[-1].append(_Stretch(target + done, source + done, step))
            done += step
            room -= step
    return shares


def _in_parallel(shares: Sequence[Sequence[_Stretch]]) -> None:
    helpers: list[threading.Thread] = []
    own = list(shares[0])
    try:
        for share in shares[1:]:
            helper = threading.Thread(target=_move, args=(share,), name="snakepit-copy")
            helpers.append(helper)  # before it starts: an interrupt may come in between
            try:
                helper.start()
            except RuntimeError:  # the system or the interpreter's end allows no new thread
                own += share
        _move(own)
    finally:
        _join(helpers)


def _join(helpers: Sequence[threading.Thread]) -> None:
    interrupt: BaseException | None = None
    for helper in helpers:
        while helper.is_alive():
            try:
                helper.join()
            except BaseException as error:  # a signal's handler raised; their target is ours still
                interrupt = error
    if interrupt is not None:
        raise interrupt
