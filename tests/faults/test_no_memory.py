"""The system gives no memory for the store: an error where it is wanted, and life goes on."""

from __future__ import annotations

import errno
import os
import resource
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from faults_harness import PATIENCE_S, drive, driver, empties, wait_until, works_on

import snakepit
from snakepit import errors

SIZE = 1_000_000


def no_room(fd: int, offset: int, length: int) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@snakepit.remote(max_restarts=0)
class Poor:
    """An actor whose process can be denied memory."""

    def __init__(self) -> None:
        self.genuine: Callable[..., Any] = os.posix_fallocate

    def deny(self, yes: bool) -> int:
        os.posix_fallocate = no_room if yes else self.genuine
        return os.getpid()

    def give(self) -> bytes:
        return bytes(SIZE)

    def put(self) -> int:
        return len(snakepit.get(snakepit.put(bytes(SIZE))))

    def call(self) -> int:
        return snakepit.get(length.remote(bytes(SIZE)))


@snakepit.remote
def length(data: bytes) -> int:
    return len(data)


def store_is_empty() -> None:
    core = driver()._core
    core.update(core.memory.trim)
    assert wait_until(lambda: core.memory.ledger.used() == 0), core.memory.ledger.used()


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.ENOMEM])
def test_none_for_the_driver(runtime: Any, code: int, monkeypatch: pytest.MonkeyPatch) -> None:
    @snakepit.remote
    def by_value() -> int:
        return len(blob)

    def refuse(fd: int, offset: int, size: int) -> None:
        raise OSError(code, os.strerror(code))

    blob = os.urandom(SIZE)
    with monkeypatch.context() as patch:
        patch.setattr(os, "posix_fallocate", refuse)
        for use in (
            lambda: snakepit.put(bytes(SIZE)),
            lambda: length.remote(bytes(SIZE)),
            by_value.remote,
        ):
            with pytest.raises(errors.ObjectStoreFullError):
                use()
        works_on()  # what is small needs no store
    assert snakepit.get([length.remote(bytes(SIZE)), by_value.remote()], timeout=PATIENCE_S) == [
        SIZE,
        SIZE,
    ]
    works_on()


def test_none_for_a_worker(runtime: Any) -> None:
    poor = Poor.remote()
    pid = snakepit.get(poor.deny.remote(True), timeout=PATIENCE_S)
    for use in (poor.give, poor.put, poor.call):
        with pytest.raises(errors.ObjectStoreFullError) as info:
            snakepit.get(use.remote(), timeout=PATIENCE_S)
        assert "No space left" in str(info.value)
    assert snakepit.get(poor.deny.remote(False), timeout=PATIENCE_S) == pid
    assert len(snakepit.get(poor.give.remote(), timeout=PATIENCE_S)) == SIZE
    assert snakepit.get([poor.put.remote(), poor.call.remote()], timeout=PATIENCE_S) == [SIZE, SIZE]
    del poor, use, info  # the traceback has the reference in its frames
    works_on()
    empties()
    store_is_empty()


def test_none_in_the_middle(runtime: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    genuine = os.posix_fallocate
    left = 3

    def soon_none(fd: int, offset: int, size: int) -> None:
        nonlocal left
        left -= 1
        if left < 0:
            no_room(fd, offset, size)
        genuine(fd, offset, size)

    with monkeypatch.context() as patch:
        patch.setattr(os, "posix_fallocate", soon_none)
        kept = []
        with pytest.raises(errors.ObjectStoreFullError):
            while True:
                kept.append(snakepit.put(bytes([len(kept)]) * SIZE))
        # What was stored before stays, and is used again when it is dropped.
        for index, ref in enumerate(kept):
            assert snakepit.get(ref) == bytes([index]) * SIZE
        assert kept
    kept.append(snakepit.put(bytes(SIZE)))
    del kept, ref
    works_on()
    empties()
    store_is_empty()


def test_no_descriptor_for_an_arena(runtime: Any) -> None:
    works_on()
    # One is enough for the arena, but not for those that read it here and elsewhere.
    for spare in (0, 1):
        held: list[int] = []
        refused = fill_descriptors(held, spare)
        try:
            with pytest.raises(errors.ObjectStoreFullError) as info:
                snakepit.put(bytes(SIZE))
            assert "open files" in "".join(info.value.__notes__)
        finally:
            for fd in held:
                os.close(fd)
            refused()
    ref = snakepit.put(bytes(SIZE))
    assert snakepit.get([length.remote(ref), length.remote(bytes(SIZE))], timeout=PATIENCE_S) == [
        SIZE,
        SIZE,
    ]
    del ref
    works_on()
    empties()
    store_is_empty()


def fill_descriptors(held: list[int], spare: int) -> Callable[[], None]:
    """Take all but `spare` descriptors of this process; return what restores its limit."""
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = max(map(int, os.listdir("/proc/self/fd"))) + 1
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, limits[1]))
    with suppress(OSError):
        while True:
            held.append(os.open("/dev/null", os.O_RDONLY))
    for _ in range(spare):
        os.close(held.pop())
    return lambda: resource.setrlimit(resource.RLIMIT_NOFILE, limits)


def test_none_for_a_new_runtime(monkeypatch: pytest.MonkeyPatch) -> None:
    before = len(os.listdir("/proc/self/fd"))
    with monkeypatch.context() as patch:
        patch.setattr(os, "posix_fallocate", no_room)
        with pytest.raises(errors.SnakepitError):
            snakepit.init(num_cpus=1)
        assert not snakepit.is_initialized()
        patch.setattr(os, "memfd_create", lambda *_: no_room(0, 0, 0))
        with pytest.raises(errors.SnakepitError):
            snakepit.init(num_cpus=1)
        assert not snakepit.is_initialized()
    assert len(os.listdir("/proc/self/fd")) == before
    with snakepit.init(num_cpus=1):
        works_on()


def test_no_memory_file_for_an_arena(runtime: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(os, "memfd_create", refuse)
        with pytest.raises(errors.ObjectStoreFullError) as info:
            snakepit.put(bytes(SIZE))
        assert "No space left" in "".join(info.value.__notes__)
    assert len(snakepit.get(snakepit.put(bytes(SIZE)))) == SIZE
    works_on()


KEPT_IN_CYCLES = """
import gc
import numpy as np
import snakepit
from snakepit import errors

values = [
    bytes(5_000_000),
    bytearray(5_000_000),
    memoryview(bytearray(5_000_000)),
    memoryview(bytearray(10_000_000))[::2],
    memoryview(np.zeros(5_000_000, np.uint8)),
    memoryview(np.asfortranarray(np.zeros((2000, 2500), np.uint8))),
    np.zeros(5_000_000, np.uint8),
    [np.zeros(5_000_000, np.uint8), memoryview(bytearray(100_000))],
]

class Cycle:
    def __init__(self, value):
        self.me = self
        self.value = value

@snakepit.remote
def nothing(value):
    pass

@snakepit.remote
def full():
    try:
        snakepit.put(memoryview(bytearray(5_000_000)))
    except errors.ObjectStoreFullError as error:
        kept = error
    gc.collect()
    return 'full'

with snakepit.init(num_cpus=1, object_store_memory=2_000_000):
    def refuse(value):
        for use in (snakepit.put, nothing.remote):
            try:
                use(value)
            except errors.ObjectStoreFullError as error:
                # The error has the traceback, that has the frame, and this name is in it.
                kept = error
            else:
                raise AssertionError('not refused')
    for value in values:
        refuse(value)
        gc.collect()
    assert snakepit.get(full.remote(), timeout=30) == 'full'
    for value in (memoryview(bytearray(1_000_000)), np.zeros(100_000)):
        Cycle(snakepit.get(snakepit.put(value)))
        gc.collect()
        Cycle(memoryview(snakepit.get(snakepit.put(value))))
        gc.collect()
print('whole')
"""


def test_what_is_kept_in_a_cycle_crashes_no_collector(tmp_path: Path) -> None:
    assert drive(KEPT_IN_CYCLES, tmp_path) == "whole\n"
