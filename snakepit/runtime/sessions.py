"""The sessions of a driver's runtime: the desk, the scheduler's part of them, and the clock.

A session's setup is an object that its other calls wait for, and its error is theirs, as if it were
an argument. The teardown waits for another object, which nobody makes: it is there when the other
calls of the session have ended.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, final

from ..ids import DRIVER
from ..policy.calls import AFTER, Call
from ..policy.session import Session
from ..wire.messages import OK, SessionKey
from .desk import Answer, Desk, Kept, role_of

if TYPE_CHECKING:
    from .core import Core


@final
class Sessions:
    """Finds the sessions of calls, answers questions about them, and closes those out of use."""

    __slots__ = ("_core", "_desk", "_kept", "_pause", "_table")

    def __init__(self, core: Core) -> None:
        self._core = core
        self._table = table = core.scheduler.sessions
        self._desk = Desk(
            table.open, table.close, lambda session: session.made > 0, table.repin, self._pools,
            core.config.max_sessions,
        )  # fmt: skip
        table.over = self._over
        self._kept = self._desk.kept
        self._pause = 0.0

    def _pools(self) -> list[str]:
        pools = self._core.scheduler.placement.pools
        return [pool.name for pool in pools.values() if not pool.base]

    # --- calls ------------------------------------------------------------------------------

    def submit(self, call: Call, key: SessionKey) -> None:
        """Take a new call of a session, opened if need be; the lock is held."""
        if isinstance(key, str):
            kept = self._kept.get(key)
            if kept is not None and kept.only and kept.only != call.shape.template.pool:
                kept = None
        elif len(key) == 2:
            kept = self._kept.get(key[0])
            if kept is not None and kept.session.number != key[1]:
                kept = None
        else:
            self._submit_hook(call, key)
            return
        if kept is None:
            kept = self._found(call, key)
            if kept is None:
                return
        kept.called = True
        call.session = kept.session
        if kept.setup and not self._is_made_by(call, kept.setup):
            _wait(call, kept.setup)
        self._core.scheduler.submit(call)

    def _is_made_by(self, call: Call, setup: int) -> bool:
        """Tell whether a setup makes a call, or what it has called does: it cannot wait for that.

        Those between them are in flight, as far as can be known: one that has ended is not seen.
        """
        workers = self._core.scheduler.placement.workers
        caller, parent = call.caller, call.parent
        while parent and parent != setup:
            worker = workers.get(caller)
            maker = worker.inflight.get(parent) if worker is not None else None
            if maker is None:
                return False
            caller, parent = maker.caller, maker.parent
        return parent == setup

    def _found(self, call: Call, key: SessionKey) -> Kept | None:
        """Return the session of a call, opened if need be; or fail the call."""
        found = self._desk.of(key, call.shape.template.pool)
        if isinstance(found, Kept):
            self._arm()
            return found
        call.session = Session(key if isinstance(key, str) else key[0], 0, 0)
        call.session.refusal = found
        self._core.scheduler.submit(call)
        return None

    def _submit_hook(self, call: Call, key: SessionKey) -> None:
        kept = self._found(call, key)
        if kept is None:
            return
        self._core.scheduler.completion.session_ended = self._ended
        call.session = kept.session
        if role_of(key) == "teardown":
            self._tear_down(call, kept)
            self._desk.answer("close", key)
            return
        kept.setup = call.id
        self._core.scheduler.submit(call)
        self._core.scheduler.objects.pin((call.id,))

    def _tear_down(self, call: Call, kept: Kept) -> None:
        """Take the last call of a session."""
        scheduler, session = self._core.scheduler, kept.session
        if kept.setup:
            _wait(call, kept.setup)
        end = self._core.new_ids(1)
        entry = scheduler.objects.add(end, None, DRIVER)
        if session.made:
            session.end = end
        else:
            scheduler.objects.settle(entry, OK, b"", ())
        _wait(call, end)
        scheduler.submit(call)
        scheduler.objects.drop(DRIVER, (end,))

    def _ended(self, call: Call) -> None:
        """A call has ended, after the first setup or teardown of any session."""
        self._table.ended(call)
        session, scheduler = call.session, self._core.scheduler
        assert session is not None
        kept = self._desk.numbered.get(session.number)
        if (
            kept is not None
            and kept.setup == call.id
            and scheduler.objects.entries[call.id].outcome == OK
        ):
            self._forget_setup(kept)
        # Not at the end of the runtime, which ends the teardown too.
        if session.made == 1 and session.end and scheduler.closed is None:
            entry = scheduler.objects.entries.get(session.end)
            session.end = 0
            if entry is not None:
                scheduler.objects.settle(entry, OK, b"", ())
                scheduler.completion.announce(entry)

    def _forget_setup(self, kept: Kept) -> None:
        # When it has come at the latest: its value may be lost later, which is no calls' failure.
        setup, kept.setup = kept.setup, 0
        self._core.scheduler.objects.unpin((setup,))

    def _over(self, number: int) -> None:
        """The last call of a session that was closed has ended."""
        kept = self._desk.numbered[number]
        self._desk.over(number)
        if kept.setup:
            self._forget_setup(kept)

    # --- questions --------------------------------------------------------------------------

    def answer(self, operation: str, session: SessionKey | int, *arguments: Any) -> Answer:
        """Answer a question; the lock is held."""
        found = self._desk.answer(operation, session, *arguments)
        self._arm()
        return found

    def describe(self, session: Session) -> dict[str, Any] | None:
        """Return what a call of a session may know of it.

        None if it is over: the call was given up, has been answered and still runs.
        """
        kept = self._desk.numbered.get(session.number)
        return {"id": kept.id, "number": session.number, **kept.settings} if kept else None

    def _arm(self) -> None:
        """See to it that there is a sweep in time: one that is due sooner will do."""
        pause = self._desk.pause
        if pause and (not self._pause or pause < self._pause):
            self._pause = pause
            self._core.pump.arm(pause, self._sweep)

    def _sweep(self) -> None:
        self._core.update(self._swept)

    def _swept(self) -> None:
        self._pause = 0.0
        if not self._core.closed:
            self._desk.sweep()
            self._arm()


def _wait(call: Call, identifier: int) -> None:
    """Have a call that is not submitted yet wait for an object."""
    call.deps = ((AFTER, identifier), *call.deps)
    call.refs = (*call.refs, identifier)
