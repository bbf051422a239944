"""The driver takes over what a killed worker had sealed."""

from __future__ import annotations

import os
import signal

import pytest

from snakepit.store import AdoptedArena, Arena, Ledger, Mappings, reopen_read_only
from snakepit.store.platform import PAGE, memory_file
from tests.store.helpers import MiB, a_ledger, backed, count_fds, fork


def nothing() -> None:
    pass


class TestAdoption:
    SIZE = 64 * MiB

    def test_live_objects_survive_and_all_else_goes_back(self) -> None:
        before = count_fds()
        with a_ledger(limit=self.SIZE) as ledger:
            fd, live = self._killed_worker(ledger)
            assert ledger.held(2) > 3 * MiB
            arena = AdoptedArena(7, fd, self.SIZE, ledger, source=2, slot=0, live=live)
            assert ledger.held(2) == 0
            assert ledger.used() == ledger.held(0) == arena.backed == backed(fd)
            assert ledger.used() < MiB + 4 * PAGE and arena.live == 2

            mappings = Mappings()
            mappings.add(7, reopen_read_only(arena.fd), self.SIZE)
            first, second = sorted(live)
            [view] = mappings.view(7, second, (live[second],), nothing, nothing, 0)
            with pytest.raises(ValueError, match="no live extent"):
                arena.release(first + 64)
            arena.release(first)
            assert ledger.used() == backed(fd) and not arena.closed
            assert bytes(view) == b"B" * MiB
            del view
            mappings.close()
            arena.release(second)
            assert arena.closed and ledger.used() == 0
            with pytest.raises(ValueError):
                arena.release(second)
            arena.close()
        assert count_fds() == before

    def test_nothing_alive_closes_at_once(self) -> None:
        with a_ledger(limit=self.SIZE) as ledger:
            fd, _ = self._killed_worker(ledger)
            arena = AdoptedArena(7, fd, self.SIZE, ledger, source=2, slot=0, live={})
            assert arena.closed and ledger.used() == 0

    def test_close_gives_up_the_live_ones(self) -> None:
        with a_ledger(limit=self.SIZE) as ledger:
            fd, live = self._killed_worker(ledger)
            arena = AdoptedArena(7, fd, self.SIZE, ledger, source=2, slot=0, live=live)
            arena.close()
            arena.close()
            assert ledger.used() == 0 and arena.release(min(live)) == 0

    def test_what_cannot_have_lived_is_refused(self) -> None:
        with a_ledger(limit=self.SIZE) as ledger:
            fd, live = self._killed_worker(ledger)
            copy = os.dup(fd)
            with pytest.raises(ValueError):
                AdoptedArena(7, fd, self.SIZE, ledger, source=2, slot=0, live={0: 1, 1: 1})
            with pytest.raises(ValueError, match="holds less"):
                AdoptedArena(7, copy, self.SIZE, ledger, source=3, slot=0, live=live)
            assert ledger.held(2) and not ledger.held(0)

    def _killed_worker(self, ledger: Ledger) -> tuple[int, dict[int, int]]:
        """Its segment as the driver holds it, and what it had sealed."""
        fd = memory_file("snakepit-7", self.SIZE)
        out, into = os.pipe()

        def worker() -> None:
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr("snakepit.store.arena.memory_file", lambda name, size: fd)
                arena = Arena(7, self.SIZE, ledger, 2)
            gone = arena.write([bytes(2 * MiB)])
            small = arena.write([b"A" * 100])
            arena.write([b"unsealed" * 1000])
            large = arena.write([b"B" * MiB])
            arena.release(gone.offset)
            os.write(into, f"{small.offset} {large.offset}".encode())
            os.kill(os.getpid(), signal.SIGKILL)

        os.waitpid(fork(worker), 0)
        first, second = map(int, os.read(out, 100).split())
        os.close(out)
        os.close(into)
        return fd, {first: 100, second: MiB}
