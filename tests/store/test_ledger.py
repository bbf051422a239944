from __future__ import annotations

import errno
import fcntl
import os
import signal
import struct
import subprocess
import sys
import threading

import pytest

from snakepit.store import Ledger, Shortage, platform
from tests.store.helpers import a_ledger, count_fds, ended_well, fork

KiB = 1024


def test_charges_up_to_the_limit_and_not_beyond() -> None:
    with a_ledger(limit=100, slots=3) as ledger:
        ledger.charge(0, 60)
        ledger.charge(2, 40)
        with pytest.raises(Shortage) as caught:
            ledger.charge(1, 1)
        assert (caught.value.needed, caught.value.available, caught.value.limit) == (1, 0, 100)
        assert ledger.used() == 100 and ledger.held(1) == 0
        ledger.refund(0, 60)
        ledger.charge(1, 0)
        with pytest.raises(Shortage) as caught:
            ledger.charge(1, 61)
        assert caught.value.available == 60
        assert ledger.limit == 100


def test_nonsense_is_refused_and_books_nothing() -> None:
    with a_ledger(limit=100, slots=2) as ledger:
        for slot in (-1, 2):
            with pytest.raises(ValueError, match="slots 0 to 1"):
                ledger.charge(slot, 1)
        with pytest.raises(ValueError):
            ledger.charge(0, -1)
        with pytest.raises(ValueError, match="holds 0 bytes"):
            ledger.refund(0, 1)
        with pytest.raises(ValueError):
            ledger.move(1, 1)
        assert ledger.used() == 0
    for slots, limit in ((0, 1), (1, 0)):
        with pytest.raises(ValueError):
            Ledger.create(slots, limit)


def test_no_memory_for_the_counters_is_a_clear_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_room(fd: int, offset: int, length: int) -> None:
        raise OSError(errno.ENOSPC, "full")

    monkeypatch.setattr(os, "posix_fallocate", no_room)
    with pytest.raises(Shortage):
        Ledger.create(1, 1)


def test_move_and_reset_settle_what_the_dead_held() -> None:
    with a_ledger(limit=100, slots=3) as ledger:
        ledger.charge(0, 10)
        ledger.charge(1, 20)
        assert ledger.move(1, 0) == 20
        assert (ledger.held(0), ledger.held(1), ledger.used()) == (30, 0, 30)
        assert ledger.reset(0) == 30
        assert ledger.used() == 0


def test_processes_and_threads_together_never_exceed_the_limit() -> None:
    limit, grabs = 40, 200
    with a_ledger(limit=limit) as ledger:

        def greedy(slot: int) -> None:
            held = 0
            for turn in range(grabs):
                try:
                    ledger.charge(slot, 1 + turn % 7)
                except Shortage:
                    ledger.refund(slot, held)
                    held = 0
                else:
                    held += 1 + turn % 7
                assert ledger.used() <= limit
            ledger.refund(slot, held)

        def process(slot: int) -> None:
            # Two threads of one process share its slot.
            helper = threading.Thread(target=greedy, args=(slot,))
            helper.start()
            greedy(slot)
            helper.join()

        children = [fork(lambda slot=slot: process(slot)) for slot in (1, 2, 3)]  # type: ignore[misc]
        greedy(0)
        assert ended_well(*children)
        assert ledger.used() == 0
        ledger.charge(0, limit)


@pytest.mark.parametrize("stores", [0, 1, 2])
def test_a_death_inside_the_lock_blocks_nobody_and_is_repaired(stores: int) -> None:
    """The child dies before, between and after the two stores of a charge."""
    with a_ledger(limit=1000) as ledger:
        ledger.charge(0, 100)

        def dies() -> None:
            with ledger._lock:
                if stores > 0:
                    ledger._cells[2 + 1] += 50
                if stores > 1:
                    ledger._cells[1] += 50
                os.kill(os.getpid(), signal.SIGKILL)

        _, status = os.waitpid(fork(dies), 0)
        assert os.WTERMSIG(status) == signal.SIGKILL
        ledger.charge(0, 1)
        assert ledger.reset(1) == (50 if stores else 0)
        assert ledger.used() == 101


def test_a_process_waits_for_the_lock_until_its_holder_is_killed() -> None:
    with a_ledger(limit=1000) as ledger:
        inside_r, inside_w = os.pipe()

        def holds() -> None:
            with ledger._lock:
                os.write(inside_w, b"!")
                signal.pause()

        holder = fork(holds)
        os.read(inside_r, 1)
        # Seen from here it is another's: a lock on the inherited description would be ours too.
        ours = struct.pack("hhqqi0q", fcntl.F_WRLCK, 0, 0, 0, 0)
        found = fcntl.fcntl(ledger.fd, fcntl.F_OFD_GETLK, ours)
        assert struct.unpack("hhqqi0q", found)[0] == fcntl.F_WRLCK
        waiting = threading.Thread(target=ledger.charge, args=(0, 1))
        waiting.start()
        assert ledger.used() == 0, "the holder lives, so nothing was booked yet"
        os.kill(holder, signal.SIGKILL)
        waiting.join()
        os.waitpid(holder, 0)
        os.close(inside_r)
        os.close(inside_w)
        assert ledger.used() == 1


def test_a_program_started_by_exec_shares_it_by_descriptor() -> None:
    code = (
        "import sys; from snakepit.store import Ledger\n"
        "ledger = Ledger.attach(int(sys.argv[1]), 8)\n"
        "ledger.charge(5, ledger.limit - ledger.used()); ledger.close()\n"
    )
    with a_ledger(limit=1000) as ledger:
        ledger.charge(0, 1)
        subprocess.run(
            [sys.executable, "-c", code, str(ledger.fd)],
            pass_fds=[ledger.fd],
            check=True,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        )
        assert ledger.held(5) == 999
        assert ledger.used() == 1000


def test_attach_refuses_what_is_no_ledger() -> None:
    fd = platform.memory_file("short", 64)
    with pytest.raises(ValueError):
        Ledger.attach(fd, 10)
    os.close(fd)


def test_close_leaves_no_descriptor() -> None:
    before = count_fds()
    ledger = Ledger.create(1000, KiB)
    assert count_fds() == before + 1
    ledger.charge(999, 1)
    ledger.close()
    ledger.close()
    assert count_fds() == before
    assert ledger.used() == 1
