from __future__ import annotations

import ctypes
import errno
import os
import threading
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from snakepit.store import (
    Arena,
    Shortage,
)
from snakepit.store.copying import Flat, copy_all
from snakepit.store.platform import HUGE_PAGE, PAGE, OutOfPages
from tests.store.helpers import MiB, a_ledger, an_arena, backed, count_fds, ended_well, fork, mapped


def nothing() -> None:
    pass


def test_parts_come_back_aligned_and_whole() -> None:
    with an_arena() as (arena, ledger, mappings):
        parts = [b"stream", bytearray(b"x" * 100), memoryview(b""), np.arange(1000.0).data, b"end"]
        stored = arena.write(parts)
        assert stored.sizes == (6, 100, 0, 8000, 3)
        views = mappings.view(3, stored.offset, stored.sizes, nothing, nothing, 0)
        assert [bytes(view) for view in views] == [bytes(part) for part in parts]
        for view in views:
            if view.nbytes:
                assert np.frombuffer(view, np.uint8).ctypes.data % 64 == 0
        assert ledger.used() == arena.backed == backed(arena.fd)


def test_empty_objects_have_places_of_their_own() -> None:
    with an_arena() as (arena, _, mappings):
        none, empty = arena.write([]), arena.write([b""])
        assert none.sizes == () and empty.sizes == (0,)
        assert none.offset != empty.offset
        assert [bytes(v) for v in mappings.view(3, empty.offset, (0,), nothing, nothing, 0)] == [
            b""
        ]
        assert arena.release(none.offset) and arena.release(empty.offset)


def test_the_size_is_virtual_and_sealed() -> None:
    with an_arena(limit=10**11) as (arena, ledger, _):
        assert arena.size >= 10**11 and arena.size % HUGE_PAGE == 0
        assert backed(arena.fd) == ledger.used() == 0
        for size in (0, arena.size + 1):
            with pytest.raises(PermissionError):
                os.ftruncate(arena.fd, size)


def test_freed_memory_stays_warm_until_trimmed() -> None:
    with an_arena() as (arena, ledger, _):
        keep = arena.write([b"k" * 100])
        freed = arena.write([bytes(8 * MiB)])
        used = ledger.used()
        assert arena.release(freed.offset) == 8 * MiB
        assert ledger.used() == used == backed(arena.fd) and arena.warm >= 8 * MiB
        assert arena.write([bytes(8 * MiB)]).offset == freed.offset
        assert ledger.used() == used
        arena.release(freed.offset)
        assert arena.trim() == used - PAGE
        assert ledger.used() == arena.backed == backed(arena.fd) == PAGE
        assert arena.live == 1
        arena.release(keep.offset)
        assert arena.trim() == PAGE and ledger.used() == backed(arena.fd) == 0


def test_more_than_the_limit_is_refused_and_leaves_no_trace() -> None:
    with an_arena(limit=4 * MiB, size=16 * MiB) as (arena, ledger, _):
        held = arena.write([bytes(MiB)])
        for nbytes in (3 * MiB + 1, 100 * MiB):
            with pytest.raises(Shortage) as caught:
                arena.write([memoryview(bytearray(nbytes))])
            assert caught.value.needed >= nbytes and caught.value.limit == 4 * MiB
            assert ledger.used() == backed(arena.fd) == MiB
            assert arena.live == 1
        full = arena.write([bytes(3 * MiB)])
        for stored in (held, full):
            arena.release(stored.offset)


def test_a_write_trims_what_is_warm_before_it_gives_up() -> None:
    with an_arena(limit=8 * MiB, size=64 * MiB) as (arena, ledger, _):
        pieces = [arena.write([bytes(MiB)]) for _ in range(8)]
        for piece in pieces[::2]:
            arena.release(piece.offset)
        # Four warm holes of 1 MiB, none of which fits.
        large = arena.write([bytes(4 * MiB)])
        assert ledger.used() == backed(arena.fd) == 8 * MiB
        assert large.offset not in {piece.offset for piece in pieces}


def test_a_fragmented_arena_says_how_much_fits() -> None:
    with an_arena(limit=64 * MiB, size=4 * MiB) as (arena, _, _):
        pieces = [arena.write([bytes(MiB)]) for _ in range(4)]
        arena.release(pieces[1].offset)
        arena.release(pieces[3].offset)
        with pytest.raises(Shortage) as caught:
            arena.write([bytes(2 * MiB)])
        assert (caught.value.needed, caught.value.available) == (2 * MiB, MiB)


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.ENOMEM])
def test_a_system_out_of_memory_half_way_leaves_no_trace(
    monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    genuine = os.posix_fallocate

    def half(fd: int, offset: int, length: int) -> None:
        genuine(fd, offset, length // 2)
        raise OSError(code, os.strerror(code))

    with an_arena() as (arena, ledger, mappings):
        keep = arena.write([b"keep" * 2000])
        used = ledger.used()
        with monkeypatch.context() as patch:
            patch.setattr(os, "posix_fallocate", half)
            with pytest.raises(Shortage) as caught:
                arena.write([bytes(MiB)])
        assert caught.value.available == 0
        assert ledger.used() == arena.backed == backed(arena.fd) == used
        assert arena.write([bytes(MiB)]).sizes == (MiB,)
        [view] = mappings.view(3, keep.offset, keep.sizes, nothing, nothing, 0)
        assert bytes(view) == b"keep" * 2000


def test_other_errors_of_the_system_pass_and_leave_no_trace(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def broken(fd: int, offset: int, length: int) -> None:
        raise OSError(errno.EIO, "broken")

    with an_arena() as (arena, ledger, _):
        with monkeypatch.context() as patch:
            patch.setattr(os, "posix_fallocate", broken)
            with pytest.raises(OSError, match="broken"):
                arena.write([b"x"])
        assert ledger.used() == arena.live == 0


def private_tmpfs(folder: Path, size: int) -> bool:
    """Mount a file system of `size` bytes that only this process sees; tell whether it could."""
    libc = ctypes.CDLL(None)
    new_mounts, new_users, private = 0x20000, 0x10000000, 0x44000
    return (
        libc.unshare(new_mounts | (0 if os.getuid() == 0 else new_users)) == 0
        and libc.mount(None, b"/", None, ctypes.c_ulong(private), None) == 0
        and libc.mount(b"t", bytes(folder), b"tmpfs", ctypes.c_ulong(0), b"size=%d" % size) == 0
    )


def test_a_file_system_that_is_truly_full_is_an_error_and_no_sigbus(tmp_path: Path) -> None:
    def small_file(name: str, size: int) -> int:
        fd = os.open(tmp_path / name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC)
        os.ftruncate(fd, size)
        return fd

    def child() -> None:
        if not private_tmpfs(tmp_path, MiB):
            os._exit(77)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("snakepit.store.arena.memory_file", small_file)
            arena = Arena(1, 64 * MiB, ledger, 1)
        fits = arena.write([bytes(MiB // 2)])
        with pytest.raises(Shortage) as caught:
            arena.write([bytes(2 * MiB)])
        assert isinstance(caught.value.__cause__, OutOfPages)
        assert ledger.used() == MiB // 2 == backed(arena.fd)
        arena.release(fits.offset)
        assert arena.write([bytes(MiB)]).offset == fits.offset
        arena.close()

    with a_ledger(limit=64 * MiB) as ledger:
        _, status = os.waitpid(fork(child), 0)
        if os.waitstatus_to_exitcode(status) == 77:
            pytest.skip("mounting is not allowed here")
        assert status == 0 and ledger.used() == 0


def test_an_unknown_offset_is_refused() -> None:
    with an_arena() as (arena, _, _):
        stored = arena.write([bytes(200)])
        for offset in (stored.offset + 64, -64, 10**9):
            with pytest.raises(ValueError, match="no live extent"):
                arena.release(offset)
        arena.release(stored.offset)
        with pytest.raises(ValueError):
            arena.release(stored.offset)


def test_a_bad_part_takes_nothing() -> None:
    with an_arena() as (arena, ledger, _):
        with pytest.raises(TypeError):
            arena.write([b"good", "bad"])  # type: ignore[list-item]
        assert arena.live == ledger.used() == 0


def test_an_interrupted_copy_gives_its_extent_back() -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    with an_arena(copy=interrupted) as (arena, _, _):
        with pytest.raises(KeyboardInterrupt):
            arena.write([bytes(1000)])
        assert arena.live == 0 and arena.warm == PAGE


def test_close_gives_everything_up_and_late_releases_are_harmless() -> None:
    before = count_fds()
    with a_ledger() as ledger:
        arena = Arena(41, 64 * MiB, ledger, 1)
        stored = arena.write([bytes(MiB)])
        assert mapped("snakepit-41") == 1
        arena.close()
        arena.close()
        assert ledger.used() == 0 and mapped("snakepit-41") == 0
        assert arena.release(stored.offset) == 0
        with pytest.raises(RuntimeError, match="closed"):
            arena.write([b"x"])
        with pytest.raises(RuntimeError, match="closed"):
            arena.trim()
    assert count_fds() == before


def test_a_reader_outlives_the_arena() -> None:
    with an_arena() as (arena, _, mappings):
        arena.release(arena.write([bytes(MiB)]).offset)
        stored = arena.write([b"last words"])
        [view] = mappings.view(3, stored.offset, stored.sizes, nothing, nothing, 0)
        arena.close()
        mappings.close()
        assert bytes(view) == b"last words"


def test_close_while_a_copy_runs_waits_for_nobody_and_breaks_nothing() -> None:
    copying, closed = threading.Event(), threading.Event()

    def paused(targets: Sequence[int], sources: Sequence[Flat]) -> None:
        copying.set()
        closed.wait()
        copy_all(targets, sources)

    with an_arena(copy=paused) as (arena, ledger, _):
        results: list[object] = []
        writer = threading.Thread(target=lambda: results.append(arena.write([b"x" * MiB])))
        writer.start()
        copying.wait()
        arena.close()
        assert ledger.used() == 0
        closed.set()
        writer.join()
        assert len(results) == 1 and ledger.used() == 0


def test_close_while_pages_are_being_made_refunds_them(monkeypatch: pytest.MonkeyPatch) -> None:
    genuine = os.posix_fallocate
    with an_arena() as (arena, ledger, _):

        def late(fd: int, offset: int, length: int) -> None:
            genuine(fd, offset, length)
            arena.close()

        monkeypatch.setattr(os, "posix_fallocate", late)
        with pytest.raises(RuntimeError, match="closed"):
            arena.write([b"x"])
        assert ledger.used() == 0


def test_a_forked_child_cannot_write_and_its_close_takes_nothing() -> None:
    with an_arena() as (arena, ledger, mappings):
        stored = arena.write([b"parent"])
        used = ledger.used()

        def child() -> None:
            with pytest.raises(RuntimeError, match="forked"):
                arena.write([b"child"])
            arena.close()

        assert ended_well(fork(child))
        assert ledger.used() == used
        [view] = mappings.view(3, stored.offset, stored.sizes, nothing, nothing, 0)
        assert bytes(view) == b"parent"


def test_threads_write_and_release_at_once_and_every_byte_is_right() -> None:
    with an_arena(limit=32 * MiB) as (arena, ledger, mappings):

        def work(seed: int) -> None:
            dice = np.random.default_rng(seed)
            for _ in range(60):
                data = dice.integers(0, 256, int(dice.integers(1, 200_000)), np.uint8)
                stored = arena.write([data.data, b"tail"])
                view, tail = mappings.view(3, stored.offset, stored.sizes, nothing, nothing, seed)
                assert bytes(view) == data.tobytes() and bytes(tail) == b"tail"
                arena.release(stored.offset)
                if dice.random() < 0.1:
                    arena.trim()

        failures: list[BaseException] = []

        def guarded(seed: int) -> None:
            try:
                work(seed)
            except BaseException as error:
                failures.append(error)

        threads = [threading.Thread(target=guarded, args=(seed,)) for seed in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert not failures
        assert arena.live == 0
        assert arena.backed == ledger.used() == backed(arena.fd)
        arena.trim()
        assert ledger.used() == backed(arena.fd) == 0


def test_two_processes_fill_one_budget_and_neither_exceeds_it() -> None:
    limit = 16 * MiB
    with a_ledger(limit=limit) as ledger:

        def hog(slot: int) -> None:
            arena = Arena(slot, limit, ledger, slot)
            held = []
            for _ in range(200):
                try:
                    held.append(arena.write([bytes(MiB // 2)]))
                except Shortage:
                    while held:
                        arena.release(held.pop().offset)
                    arena.trim()
                assert ledger.used() <= limit
                assert backed(arena.fd) <= ledger.held(slot)
            arena.close()

        assert ended_well(fork(lambda: hog(1)), fork(lambda: hog(2)))
        assert ledger.used() == 0
