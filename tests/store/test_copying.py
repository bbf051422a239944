from __future__ import annotations

import _thread
import array
import ctypes
import signal
import threading
from itertools import pairwise
from pickle import PickleBuffer

import numpy as np
import pytest

from snakepit.store import copying
from snakepit.store.copying import PARALLEL_FROM, copy, copy_all, flatten


def target_of(nbytes: int) -> ctypes.Array[ctypes.c_char]:
    return ctypes.create_string_buffer(nbytes + 1)


def pattern(nbytes: int) -> bytes:
    return np.random.default_rng(nbytes).integers(0, 256, nbytes, dtype=np.uint8).tobytes()


@pytest.mark.parametrize(
    "source",
    [
        b"some bytes",
        bytearray(b"some bytes"),
        memoryview(b"some bytes"),
        memoryview(bytearray(b"some bytes")),
        PickleBuffer(b"some bytes"),
        memoryview(array.array("H", [1, 2, 3])),
    ],
    ids=lambda source: type(source).__name__,
)
def test_any_source_read_only_or_not(source: copying.Part) -> None:
    expected = bytes(memoryview(source).cast("B"))
    target = target_of(len(expected))
    copy(ctypes.addressof(target), source)
    assert target.raw == expected + b"\0"


def test_arrays_are_stored_as_they_lie_and_gaps_are_left_out() -> None:
    grid = np.arange(24, dtype=np.int32).reshape(4, 6)
    assert bytes(flatten(memoryview(grid))) == grid.tobytes()
    fortran = np.asfortranarray(grid)
    assert bytes(flatten(PickleBuffer(fortran))) == fortran.tobytes(order="F")
    assert bytes(flatten(memoryview(grid[::2, ::3]))) == grid[::2, ::3].tobytes()
    view = flatten(memoryview(grid))
    assert isinstance(view, memoryview) and view.obj is not None
    assert np.shares_memory(np.frombuffer(view, np.int32), grid), "contiguous: no copy"


def test_bytes_pass_as_they_are_and_empty_ones_too() -> None:
    data = b"x"
    assert flatten(data) is data
    copy(0, b"")
    copy(0, memoryview(b""))


def test_a_released_buffer_is_refused() -> None:
    buffer = PickleBuffer(b"gone")
    buffer.release()
    with pytest.raises(ValueError):
        flatten(buffer)


@pytest.mark.parametrize("cores", [1, 2, 3, 8])
@pytest.mark.parametrize("extra", [-1, 0, 1, 12345])
def test_large_copies_in_several_threads(
    monkeypatch: pytest.MonkeyPatch, cores: int, extra: int
) -> None:
    monkeypatch.setattr(copying, "_cores", lambda: cores)
    data = pattern(PARALLEL_FROM + extra)
    parts = [data[:1], data[1:5000], b"", data[5000:9_000_001], data[9_000_001:]]
    parts = [part for part in parts if part is not None]
    target = target_of(len(data))
    base = ctypes.addressof(target)
    targets = []
    for part in parts:
        targets.append(base)
        base += len(part)
    copy_all(targets, parts)
    assert target.raw[:-1] == data
    assert threading.active_count() == 1


def test_shares_cover_all_without_overlap() -> None:
    stretches = [copying._Stretch(0, 0, 10), copying._Stretch(100_000, 100_000, 50_001)]
    shares = copying._shares(stretches, 50_011, 4)
    assert len(shares) == 4
    covered = sorted((s.target, s.target + s.length) for share in shares for s in share)
    assert sum(end - start for start, end in covered) == 50_011
    assert all(left[1] <= right[0] for left, right in pairwise(covered))


def test_where_no_thread_can_start_the_caller_copies_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(copying, "_cores", lambda: 4)
    monkeypatch.setattr(threading.Thread, "start", refuse)
    data = pattern(PARALLEL_FROM)
    target = target_of(len(data))
    copy(ctypes.addressof(target), data)
    assert target.raw[:-1] == data


def test_an_interrupt_is_raised_only_after_the_last_byte(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(copying, "_cores", lambda: 2)
    gate = threading.Event()
    genuine = copying._move
    caller = threading.current_thread()

    def slow(share: list[copying._Stretch]) -> None:
        if threading.current_thread() is caller:
            try:
                _thread.interrupt_main()
                genuine(share)
            finally:
                gate.set()
        else:
            gate.wait()
            genuine(share)

    monkeypatch.setattr(copying, "_move", slow)
    data = pattern(PARALLEL_FROM)
    target = target_of(len(data))
    # Ignored when the suite runs in the background of a shell.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            copy(ctypes.addressof(target), data)
    finally:
        signal.signal(signal.SIGINT, before)
    assert threading.active_count() == 1
    assert target.raw[len(data) // 2 : -1] == data[len(data) // 2 :], "the helper's half is whole"


def test_sources_are_let_go() -> None:
    source = bytearray(100)
    target = target_of(100)
    copy(ctypes.addressof(target), source)
    source.append(1)  # would raise BufferError while exported
