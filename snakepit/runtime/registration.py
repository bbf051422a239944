"""A runtime's place in the register of runs: its file, and the removal of what dead runs left.

Guarantees: nothing here fails, blocks or slows the runtime that it serves. Where no file can be
written there is none; dead runs are dealt with by a thread of its own, which is only started when
there are any, and which the runtime's end does not wait for longer than `PATIENCE`.

Assumptions: zygotes are started by one thread at a time.
"""

from __future__ import annotations

import threading
from typing import Any, Final, final

from ..ids import start_time
from ..registry import Process, Record, dead_runs, own_record, remove, write
from .host import StartZygote, Zygote

PATIENCE: Final = 2.0
"""Seconds that an end of the runtime waits for a sweep, which stops when it is told to."""


@final
class Registration:
    """The registration of one runtime, until `end`."""

    __slots__ = ("_ended", "_record", "_sweeper", "_told")

    def __init__(self, run: str) -> None:
        self._record = own_record(run)
        self._ended = threading.Event()
        self._sweeper: threading.Thread | None = None
        self._told = False

    def noting(self, start: StartZygote) -> StartZygote:
        """Return what starts zygotes as `start` does, and writes who they are."""

        def started(**settings: Any) -> Zygote:
            zygote = start(**settings)
            self._began(zygote.pid)
            return zygote

        return started

    def _began(self, zygote: int) -> None:
        known = [each for each in self._record.zygotes if each.lives()]
        zygotes = (*known, Process(zygote, start_time(zygote)))
        self._record = self._record._replace(zygotes=zygotes)
        if not (self._ended.is_set() or write(self._record) or self._told):
            self._told = True
            import logging

            logging.getLogger("snakepit").debug(
                "this run is not in the register: no directory of this user's own can be written to"
            )

    def clean(self) -> None:
        """Have removed what dead runs left, if there are any."""
        dead = dead_runs()
        if dead:
            sweeper = threading.Thread(
                target=self._sweep, args=(dead,), name="snakepit-sweeper", daemon=True
            )
            try:
                sweeper.start()
                self._sweeper = sweeper
            except RuntimeError:  # no more threads may be started here
                return

    def end(self) -> None:
        """Remove the file."""
        self._ended.set()
        sweeper, self._sweeper = self._sweeper, None
        if sweeper is not None:
            sweeper.join(PATIENCE)
        remove(self._record.run)

    def _sweep(self, dead: list[Record]) -> None:
        from ..transport.sweep import sweep_registered

        try:
            sweep_registered(dead, self._ended.is_set)
        except OSError:  # no descriptor is free, say; the next start tries again
            return
