"""Supervision as in OTP: what died in vain is started again later and later, and then no more.

    worker's process  ends in vain again and again  ->  its pool fails: its calls do, until it heals
    zygote            ends in vain again and again  ->  the runtime fails: every call does, for good
    actor's process   ends again and again before the actor is made  ->  the actor is dead (`lives`)

A worker died in vain if it had begun no call: while it started, or with calls in its mailbox that
it never came to. What dies in a call, or after one, is that call's matter (`recovery`): its retries
and the poison rule bound it. A zygote ended in vain if no worker of it had begun a call. So kills
at random never add up while calls flow: each call that begins is progress, and clears the count.

No worker is started between a death in vain and the end of the back-off, and then one at a time
until one has served, so that nothing is forked in a busy loop. What ends together counts once: a
cause that takes sixteen workers at once is one cause. A pool that has a worker left does not fail,
however often the start of another does: its calls run on those that there are.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from typing import Any, Final, final

from .actions import Action, Arm, StartZygote
from .calls import DONE
from .completion import Completion
from .lives import ActorTable
from .placement import Placement
from .pools import RESTING, TRIAL, Pool, Refusal
from .recovery import Recovery
from .restart import RestartWindow, went_with_zygote
from .workers import LIVE, STARTING, Worker

Close = Callable[[str, Mapping[str, Any]], None]

ZYGOTE: Final = "zygote"
"""The key of the timer that ends its back-off."""


@final
class Supervision:
    """Decides about what has died, and when something takes its place."""

    def __init__(
        self,
        placement: Placement,
        completion: Completion,
        actors: ActorTable,
        recovery: Recovery,
        actions: deque[Action],
        window: RestartWindow,
        close: Close,
    ) -> None:
        """`window` counts the zygotes that ended in vain; `close` ends the runtime."""
        self._placement = placement
        self._completion = completion
        self._actors = actors
        self._actions = actions
        self._recovery = recovery
        self._window = window
        self._close = close
        self._worked = False

    # --- workers and pools --------------------------------------------------------------

    def served(self, worker: Worker) -> None:
        """A worker has begun its first call: what started it works."""
        self._worked = True
        if worker.actor is None:
            worker.pool.window.clear()
            worker.pool.to("served")

    def died(self, worker: Worker, cause: Mapping[str, Any], started: int, now: float) -> None:
        """A worker's process has ended; see `Scheduler.died`."""
        begun = [call for call in worker.inflight.values() if call.sequence <= started]
        state = worker.state
        in_vain = not begun and not worker.results and not went_with_zygote(cause)
        in_vain = in_vain and (state is STARTING or (state is LIVE and bool(worker.inflight)))
        worker.to("died")
        if in_vain and worker.actor is None:
            self._placement.call_off(worker.pool)
        if state is STARTING:
            self._placement.started(worker)
        self._placement.remove(worker)
        if begun and not worker.results:
            self.served(worker)
        if worker.actor is not None:
            self._actors.lost(worker, cause, begun, now)
            return
        self._recovery.lost(worker, cause, begun)
        if in_vain:
            self._died_in_vain(worker.pool, cause, now)

    def _died_in_vain(self, pool: Pool, cause: Mapping[str, Any], now: float) -> None:
        trial = pool.state is TRIAL
        resting = pool.state is RESTING
        if not resting:
            pool.window.add(now)
        if not pool.workers and (trial or pool.window.exceeded):
            self._fail(pool, cause)
        elif not resting:
            pool.to("lost")
            self._arm(pool, pool.window.delay)

    def _fail(self, pool: Pool, cause: Mapping[str, Any]) -> None:
        """No worker can be had: whoever waits for one is told why, and whoever comes meanwhile."""
        pool.to("fail")
        window = pool.window
        self._arm(pool, window.longest)
        fields = {**cause, **window.fields(), "pool": pool.name, "cool_down": window.longest}
        self._refuse(pool, ("pool_failed", fields))
        for call in self._placement.take_queued(pool):
            # An earlier one's failure may have ended it already.
            if call.state is not DONE:
                self._completion.fail_with(call, "pool_failed", **fields)

    def _arm(self, pool: Pool, delay: float) -> None:
        self._actions.append(Arm(delay, f"retry:{pool.turn}:{pool.name}"))

    def retry(self, pool: Pool, turn: int) -> None:
        """The back-off or the cool-down is over, unless the pool has changed meanwhile."""
        if pool.turn != turn:
            return
        pool.to("retry")
        if pool.state is TRIAL:
            self._refuse(pool, None)
        self._placement.dispatch_all()

    def _refuse(self, pool: Pool, failure: Refusal | None) -> None:
        """Have the pool's tasks refused from now on, or taken again."""
        for klass in self._placement.klasses.values():
            if klass.pool is pool and not klass.creates and klass.refusal is pool.failure:
                klass.refusal = failure
        pool.failure = failure

    # --- the zygote ---------------------------------------------------------------------

    def zygote_lost(self) -> None:
        """What forks the workers has ended; they are told to have died next, one by one."""
        self._placement.starts.hold(True)

    def replace_zygote(self, cause: Mapping[str, Any], now: float) -> None:
        """All that went with it has been told, or the one that was to come cannot be started."""
        window = self._window
        if self._worked:
            window.clear()
            self.start_zygote()
            return
        window.add(now)
        if window.exceeded:
            self._close("runtime_failed", {**cause, **window.fields()})
        else:
            self._actions.append(Arm(window.delay, ZYGOTE))

    def start_zygote(self) -> None:
        """Have another one started, if there is one to be had."""
        self._worked = False
        self._actions.append(StartZygote())

    def zygote_started(self) -> None:
        """Another, which `StartZygote` asked for, takes what is to be forked."""
        self._placement.starts.hold(False)
