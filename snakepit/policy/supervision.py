"""Supervision as in OTP: what died in vain is started again later and later, and then no more.

    worker's process  ends in vain again and again  ->  its pool fails: its calls do, until it heals
    zygote            ends in vain again and again  ->  see `zygotes`
    actor's process   ends again and again before the actor is made  ->  the actor is dead (`lives`)

A worker died in vain if it had begun no call: while it started, or with calls in its mailbox that
it never came to. What dies in a call, or after one, is that call's matter (`recovery`): its retries
and the poison rule bound it. So kills at random never add up while calls flow: each call that
begins is progress, and clears the count.

No worker is started between a death in vain and the end of the back-off, and then one at a time
until one has served, so that nothing is forked in a busy loop. What ends together counts once: a
cause that takes sixteen workers at once is one cause. A pool that has a worker left does not fail,
however often the start of another does: its calls run on those that there are.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any, final

from .actions import Action, Arm
from .completion import Completion
from .lives import ActorTable
from .placement import Placement
from .pools import FAILED, RESTING, RUNNING, TRIAL, Pool, Refusal
from .readiness import Readiness
from .recovery import Recovery
from .restart import RestartWindow, blamed, went_with_zygote
from .staff import GRACE
from .workers import LEAVING, LIVE, NEVER, STARTING, Worker
from .zygotes import Close, Zygotes

if TYPE_CHECKING:
    from .barrier import CrashBarrier
    from .calls import Call


@final
class Supervision:
    """Decides about what has died, and when something takes its place."""

    def __init__(
        self,
        placement: Placement,
        completion: Completion,
        actors: ActorTable,
        recovery: Recovery,
        readiness: Readiness,
        actions: deque[Action],
        window: Callable[[], RestartWindow],
        close: Close,
    ) -> None:
        """`window` makes what counts the zygotes that ended in vain; `close` ends the runtime."""
        self._placement = placement
        self._completion = completion
        self._actors = actors
        self._actions = actions
        self._recovery = recovery
        self._readiness = readiness
        self.zygotes = Zygotes(placement, actors, actions, window, close, self.fail)

    @cached_property
    def barrier(self) -> CrashBarrier:
        """What pools that have a circuit or taint need, loaded for the first that does."""
        from .barrier import CrashBarrier

        return CrashBarrier(self._placement, self._completion, self._actions)

    # --- workers and pools --------------------------------------------------------------

    def served(self, worker: Worker) -> None:
        """A worker has begun its first call: what started it works."""
        self.zygotes.of(worker.interpreter).worked = True
        # One that was to go, and counts no more, says nothing of those that failed to start.
        if worker.staffs and worker.pool.state is not FAILED:
            worker.pool.window.clear()
            if worker.pool.state is not RUNNING:
                self._placement.dispatch_soon()
            worker.pool.to("served")
            self._placement.sizes.replenish(worker.pool)

    def progress(self, worker: Worker) -> None:
        """A worker has answered for the first time, or as often as its pool cares for."""
        if worker.results == 1:
            self.served(worker)
        if worker.actor is None:
            self._placement.recycling.served(worker)
        else:
            worker.enough = NEVER

    def died(self, worker: Worker, cause: Mapping[str, Any], started: int, now: float) -> None:
        """A worker's process has ended; see `Scheduler.died`."""
        from .deaths import ended_for, kind_of  # which a run without any does not need

        if (heartbeats := self._placement.staff.heartbeats) is not None:
            cause = heartbeats.explained(worker, cause)
        cause = worker.cause = {**cause, "kind": kind_of(cause)}
        if worker.late and worker.state is STARTING:
            cause["start_timeout"] = worker.pool.patience
        begun = [call for call in worker.inflight.values() if call.sequence <= started]
        state = worker.state
        if state is LEAVING and not begun:
            cause["let_go"] = "gpus" if worker.pool.gpus else "size"
        in_vain = not begun and not worker.results and not went_with_zygote(cause)
        in_vain = in_vain and (state is STARTING or (state is LIVE and bool(worker.inflight)))
        worker.to("died")
        if in_vain and worker.staffs:
            self._placement.staff.call_off(worker.pool)
        if state is STARTING:
            self._placement.staff.started(worker)
        kept = worker.pool.keeps(worker)
        self._placement.staff.remove(worker)
        # First, too: while calls are failed, nobody is to be started before the back-off is over.
        doomed = in_vain and worker.staffs and self._died_in_vain(worker.pool, cause, now)
        if worker.pool.taint is not None and kept and not in_vain:
            # First: what follows may start another.
            self.barrier.broke(worker, cause["kind"])
        if begun and not worker.results:
            self.served(worker)
        guilty = blamed(cause, begun, worker.blocked)
        cause.update(ended_for(cause, guilty))
        if worker.actor is not None:
            self._actors.restarts.lost(worker.actor, worker, cause, begun, guilty, now)
            self._leaves_its_place(worker, cause, doomed)
            return
        # Who was cancelled, or ran for too long, had its worker ended.
        crashed = any(not (call.cancelled or call.expired) for call in guilty)
        ordinary = went_with_zygote(cause) or (state is LEAVING and not begun)
        if crashed or not (guilty or ordinary):
            worker.pool.tally.crashed(cause["kind"])
        if crashed and worker.pool.circuit is not None:
            self.barrier.crashed(worker.pool, cause, now)
        if worker.tenants is not None:
            begun = self._lose_tenants(worker, cause, begun, guilty, now)
        self._recovery.lost(worker, cause, begun, guilty)
        self._leaves_its_place(worker, cause, doomed)

    def _lose_tenants(
        self,
        worker: Worker,
        cause: Mapping[str, Any],
        begun: list[Call],
        guilty: list[Call],
        now: float,
    ) -> list[Call]:
        """All actors that lived there are to live elsewhere, or not at all; return other calls."""
        hosting = self._placement.hosting
        for actor in hosting.lost(worker):
            calls = [call for call in begun if actor.id in (call.id, call.actor)]
            mine = [call for call in calls if call not in hosting.ghosts]
            begun = [call for call in begun if call not in mine]
            self._actors.restarts.lost(actor, worker, cause, mine, guilty, now)
        hosting.ghosts.difference_update(worker.inflight.values())
        return begun

    def _leaves_its_place(self, worker: Worker, cause: Mapping[str, Any], doomed: bool) -> None:
        """Where a pool's worker was another may start, in time, unless the pool is `doomed`."""
        if worker.staffs:
            self._placement.sessions.lost(worker)
            if doomed:
                self.fail(worker.pool, cause)
            self._placement.recycling.turn(worker.pool)

    def _died_in_vain(self, pool: Pool, cause: Mapping[str, Any], now: float) -> bool:
        """Let a pool rest; return whether it is to fail instead, when its calls are seen to."""
        trial = pool.state is TRIAL
        resting = pool.state is RESTING
        if not resting:
            late = cause.get("start_timeout")
            pool.window.add(now, late + GRACE if late else 0.0)
            pool.to("lost")
        doomed = pool.bereft and (trial or pool.window.exceeded)
        if not (doomed or resting):
            self._arm(pool, pool.window.delay)
        return doomed

    def fail(self, pool: Pool, cause: Mapping[str, Any], kind: str = "pool_failed") -> None:
        """No worker can be had: whoever waits for one is told why, and whoever comes meanwhile."""
        pool.to("fail")
        window = pool.window
        self._arm(pool, window.longest)
        fields = {**window.fields(), **cause, "pool": pool.name, "cool_down": window.longest}
        self._refuse(pool, (kind, fields))
        self._readiness.fail(pool, kind, fields)
        for call in self._placement.take_waiting(pool):
            self._actors.refuse(call, kind, fields)
        self._placement.sessions.due()

    def _arm(self, pool: Pool, delay: float) -> None:
        self._actions.append(Arm(delay, f"retry:{pool.turn}:{pool.name}"))

    def retry(self, pool: Pool, turn: int) -> None:
        """The back-off or the cool-down is over, unless the pool has changed meanwhile."""
        if pool.turn != turn:
            return
        pool.to("retry")
        if pool.state is TRIAL:
            self._refuse(pool, None)
            self._actors.restarts.released(pool.root)
        self._placement.dispatch_all()
        self._placement.sizes.replenish(pool)

    def resize(self, pool: Pool, least: int, most: int) -> None:
        """Give a pool other bounds, and its variants, which keep nobody who idles."""
        for each in list(self._placement.pools.values()):
            if each.root == pool.name and not each.gpus:
                if each.held:
                    self.barrier.resized(each, most)
                self._placement.sizes.resize(each, 0 if each.base else least, most)
                self._placement.recycling.turn(each)
        self._readiness.look(pool)  # a smaller one may be whole
        self._placement.dispatch_all()

    def untaint(self, pool: Pool, slot: int) -> None:
        """A slot was held back for long enough: a worker may start there."""
        self.barrier.untaint(pool, slot)
        self._placement.dispatch_all()
        self._placement.recycling.turn(pool)

    def recycle(self, pool: Pool, number: int | None) -> None:
        """Replace the workers of a pool and of its variants, or one of them."""
        pools = [each for each in self._placement.pools.values() if each.root == pool.name]
        self._placement.recycling.recycle(pools, number)
        self._placement.dispatch_all()

    def _refuse(self, pool: Pool, failure: Refusal | None) -> None:
        """Have the pool's tasks refused from now on, or taken again but for an open circuit."""
        if failure is None and pool.circuit is not None:
            failure = pool.circuit.refusal
        self._placement.classes.refuse(pool, failure)
