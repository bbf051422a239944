"""The fallbacks for systems without memfd or hole punching, as far as Linux can run them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from snakepit.store import platform
from snakepit.store.platform import PAGE, FileLock, OutOfPages, Region, memory_file
from tests.store.helpers import MiB, an_arena, backed, ended_well, fork


def test_without_memfd_the_file_has_no_name_either(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delattr(os, "memfd_create")
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    fd = memory_file("x", MiB)
    assert os.fstat(fd).st_size == MiB and not list(tmp_path.iterdir())
    os.close(fd)


def test_without_fallocate_pages_are_written(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "posix_fallocate")
    fd = memory_file("x", MiB)
    platform.reserve_pages(fd, PAGE, 3 * PAGE)
    assert backed(fd) == 3 * PAGE
    os.close(fd)


def test_without_holes_freed_memory_stays_warm_and_charged(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with an_arena() as (arena, ledger, _):
        arena.release(arena.write([bytes(MiB)]).offset)
        monkeypatch.setattr("snakepit.store.arena.punch_hole", lambda *_: False)
        assert arena.trim() == 0
        assert arena.warm == arena.backed == ledger.used() == MiB
        monkeypatch.undo()
        assert arena.trim() == MiB


def test_kernels_that_know_no_noexec_seal(monkeypatch: pytest.MonkeyPatch) -> None:
    genuine = os.memfd_create

    def old(name: str, flags: int) -> int:
        if flags & platform._MFD_NOEXEC_SEAL:
            raise OSError(22, "Invalid argument")
        return genuine(name, flags)

    monkeypatch.setattr(os, "memfd_create", old)
    os.close(memory_file("x", MiB))


def test_the_lock_falls_back_to_record_locks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(platform.fcntl, "F_OFD_SETLKW")
    fd = memory_file("x", PAGE)
    region = Region(fd, PAGE, writable=True)
    import ctypes

    cell = ctypes.c_uint64.from_address(region.address)
    lock = FileLock(fd, shared=False)

    def count() -> None:
        for _ in range(300):
            with lock:
                cell.value += 1

    children = [fork(count) for _ in range(2)]
    count()
    assert ended_well(*children)
    assert cell.value == 900
    os.close(fd)


def test_a_lock_that_cannot_be_had_is_not_held() -> None:
    fd = memory_file("x", PAGE)
    lock = FileLock(fd, shared=False)
    os.close(fd)
    for _ in range(2):
        with pytest.raises(OSError), lock:
            pass


def test_holes_need_a_memory_file() -> None:
    reader, writer = os.pipe()
    with pytest.raises(OSError):
        platform.punch_hole(writer, 0, PAGE)
    with pytest.raises(OSError) as caught:
        platform.reserve_pages(writer, 0, PAGE)
    assert not isinstance(caught.value, OutOfPages)
    os.close(reader)
    os.close(writer)
