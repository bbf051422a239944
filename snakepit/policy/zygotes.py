"""Zygotes, one for each interpreter: lost, replaced, given up.

    the one at home  ends in vain again and again  ->  the runtime fails: every call does, for good
    another's        ends in vain again and again  ->  what waits for a worker of it fails, and the
                                                       pools whose workers it makes, until a trial

A zygote ended in vain if no worker of it had begun a call, or if it never came to be. Another's is
started when a worker of it is wanted, and not again before; that it failed is no matter of those at
home, and what it is refused for (it is no Python, or lacks snakepit) needs no second try.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from typing import Any, Final, final

from .actions import Action, Arm, StartZygote
from .lives import ActorTable
from .placement import Placement
from .pools import FAILED, Pool
from .restart import RestartWindow

Close = Callable[[str, Mapping[str, Any]], None]
FailPool = Callable[[Pool, Mapping[str, Any], str], None]

ZYGOTE: Final = "zygote"
"""The key of the timer that ends a back-off begins with it; the interpreter follows."""


@final
class _Zygote:
    """What is known of an interpreter's zygotes: `worked` is the present one's, `trial` says that
    the next that ends in vain is one too many, whenever the others were."""

    __slots__ = ("trial", "window", "worked")

    def __init__(self, window: RestartWindow) -> None:
        self.window = window
        self.worked = False
        self.trial = False


@final
class Zygotes:
    """Decides when a zygote takes the place of one that has ended."""

    def __init__(
        self,
        placement: Placement,
        actors: ActorTable,
        actions: deque[Action],
        window: Callable[[], RestartWindow],
        close: Close,
        fail_pool: FailPool,
    ) -> None:
        """`window` counts what ended in vain, `close` ends the runtime, `fail_pool` a pool."""
        self._placement = placement
        self._starts = placement.staff.starts
        self._actors = actors
        self._actions = actions
        self._window = window
        self._close = close
        self._fail_pool = fail_pool
        self._known: dict[str, _Zygote] = {}

    def of(self, interpreter: str) -> _Zygote:
        """Return what is known of an interpreter's zygotes."""
        zygote = self._known.get(interpreter)
        if zygote is None:
            zygote = self._known[interpreter] = _Zygote(self._window())
        return zygote

    def want(self, interpreter: str) -> None:
        """Have it started before a worker needs it, unless it is there or on its way."""
        self._starts.want(interpreter)

    def started(self, interpreter: str) -> None:
        """One that `StartZygote` asked for takes what is to be forked."""
        self._starts.release(interpreter)

    def lost(self, interpreter: str) -> None:
        """It has ended; its workers are told to have died next, one by one."""
        self._starts.hold(interpreter)

    def replace(self, interpreter: str, cause: Mapping[str, Any], now: float) -> None:
        """All that went with it has been told, or the one that was to come cannot be started."""
        zygote = self.of(interpreter)
        if zygote.worked:
            zygote.window.clear()
            zygote.trial = False
            self.start(interpreter)
            return
        window = zygote.window
        window.add(now)
        if window.exceeded or zygote.trial:
            self._fail(interpreter, {**cause, **window.fields()})
        else:
            self._actions.append(Arm(window.delay, f"{ZYGOTE}:{interpreter}"))

    def refused(self, interpreter: str, cause: Mapping[str, Any]) -> None:
        """The interpreter can be no zygote, however often it is tried."""
        self._fail(interpreter, cause)

    def start(self, interpreter: str) -> None:
        """Have another one started, if there is one to be had and somebody to want it."""
        self.of(interpreter).worked = False
        if interpreter == self._starts.home or self._starts.has_parked(interpreter):
            self._actions.append(StartZygote(interpreter))
        else:
            self._starts.give_up(interpreter)

    def _fail(self, interpreter: str, cause: Mapping[str, Any]) -> None:
        """There is none to be had: whoever waits for a worker of it is told why."""
        if interpreter == self._starts.home:
            self._close("runtime_failed", cause)
            return
        self.of(interpreter).trial = True
        fields = {**cause, "interpreter": interpreter}
        unmade = self._placement.staff.give_up(self._starts.give_up(interpreter))
        for pool in [*self._placement.pools.values()]:
            if self._starts.interpreter(pool.env) == interpreter and pool.state is not FAILED:
                self._fail_pool(pool, fields, "interpreter_failed")
        for worker in unmade:
            self._actors.unmade(worker, fields)
        self._placement.dispatch_all()
