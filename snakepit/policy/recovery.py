"""Calls that come back from a worker without a result: given back, or lost with it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, final

from .calls import DONE, Call
from .completion import Completion
from .placement import Placement
from .pools import Pool
from .restart import after_death
from .timeouts import fields_of, has_expired, may_go_again
from .workers import Worker

if TYPE_CHECKING:
    from .lives import ActorTable


@final
class Recovery:
    """Queues such calls again, as far as their retries go; what had not begun costs none.

    `left` is told of a call that was answered before, and is in no worker any more.
    """

    def __init__(self, placement: Placement, completion: Completion, actors: ActorTable) -> None:
        self._placement = placement
        self._completion = completion
        self.actors = actors
        self.left: Callable[[Call], None] = lambda call: None

    def unbegun(self, worker: Worker, calls: Sequence[Call]) -> None:
        """Take back calls that the worker never began."""
        again: list[Call] = []
        for call in calls:
            self._placement.take_back(worker, call)
            actor = self._placement.hosting.given_back(worker, call)
            if call.state is DONE:
                self.left(call)  # The runtime was closed meanwhile, or its actor has gone.
            elif call.cancelled:
                self._completion.fail_with(call, "cancelled")
            elif actor is None:
                call.to("back")
                again.append(call)
            elif call.actor:
                self.actors.again(call)
            else:
                self.actors.restarts.given_back(actor)
        self._placement.requeue(again)

    def _denied(self, call: Call) -> dict[str, Any]:
        """Say why a call is not tried again though it has retries left, or take one for it.

        One of a session that is lost costs none: it comes back, and fails for that.
        """
        if call.session is not None and call.session.lost:
            return {}
        if has_expired(call) and not may_go_again(call):
            return {"denied": "timeout"}
        pool: Pool = call.shape.klass.pool
        if pool.circuit is not None and pool.circuit.refusal is not None:
            return {"denied": "circuit"}
        budget = pool.budget
        if budget is not None and not budget.take(self._placement.actions, pool.root):
            return {"denied": "budget", "budget": budget.limit, "window": budget.period}
        pool.tally.retries += 1
        return {}

    def lost(
        self, worker: Worker, cause: Mapping[str, Any], begun: list[Call], guilty: list[Call]
    ) -> None:
        """A pool's worker has ended while the tasks in `begun` ran; others may be `guilty` too."""
        self.unbegun(worker, [call for call in worker.inflight.values() if call not in begun])
        running = [call.name for call in begun]
        again: list[Call] = []
        for call in begun:
            self._placement.take_back(worker, call)
            if call.state is DONE:
                continue  # The runtime was closed meanwhile, or its actor has gone.
            call.died(guilty=call in guilty)
            verdict = after_death(call.deaths, call.tries, call.shape.template.max_retries)
            denied = self._denied(call) if verdict == "retry" and not call.cancelled else {}
            if verdict == "retry" and not call.cancelled and not denied:
                call.to("back")
                call.expired = False
                again.append(call)
                continue
            if has_expired(call):
                self._completion.fail_with(call, "task_timeout", **fields_of(call))
                continue
            kind = "poisoned" if verdict == "poisoned" else "worker_crashed"
            fields = {**cause, **denied, "running": running}
            self._completion.fail_with(
                call, kind, deaths=call.deaths, attempts=call.tries, **fields
            )
        self._placement.settle(worker)
        self._placement.requeue(again)
