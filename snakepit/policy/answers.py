"""Ends of calls that are not simply a task's value: what a worker's answer means, and refusals."""

from __future__ import annotations

from collections.abc import Sequence
from typing import final

from ..wire.messages import (
    CANCELLED,
    EMPTY,
    ERROR,
    EXITED,
    FAILURE,
    METHOD,
    OK,
    RETRYABLE,
    STREAMING,
    Payload,
)
from .actors import DEAD
from .calls import Call
from .completion import Completion
from .draining import Draining
from .lives import ActorTable
from .placement import Placement
from .pools import Pool
from .restart import after_exception
from .timeouts import fields_of, has_expired, may_go_again
from .workers import LIVE, Worker


class UnknownCall(Exception):
    """A worker's answer fits no call that it has: it is broken and has to go."""


@final
class Answers:
    """Ends calls that made an actor or nothing, or has them tried again."""

    def __init__(
        self,
        placement: Placement,
        completion: Completion,
        actors: ActorTable,
        draining: Draining,
    ) -> None:
        self._placement = placement
        self._completion = completion
        self._actors = actors
        self._draining = draining

    @staticmethod
    def check(worker: Worker, call: Call, outcome: int, values: Sequence[Payload]) -> None:
        """Look whether a call can end like this.

        Raises:
            UnknownCall: it cannot.
        """
        if outcome in (ERROR, RETRYABLE, FAILURE):
            fits = bool(values)
        elif outcome == EXITED:
            fits = worker.actor is not None or bool(call.actor) or call.shape.klass.creates
        else:
            shape = call.shape
            empty = shape.klass.creates or (shape.returns == STREAMING and len(values) == 1)
            fits = outcome == CANCELLED or (outcome == OK and empty)
        if not fits:
            raise UnknownCall(
                f"worker {worker.number} answered {call.name} with outcome {outcome} and "
                f"{len(values)} values"
            )

    def constructed(
        self, worker: Worker, call: Call, outcome: int, values: Sequence[Payload]
    ) -> None:
        """An actor's constructor has ended."""
        actor = worker.actor or self._actors.of(call.id)
        call.to("finish")
        if actor.state is DEAD:
            return
        if outcome == OK:
            self._actors.made(actor)
        else:
            cause = values[0] if values else None
            self._actors.give_up(actor, {"reason": "init", "cause": cause})

    def turns_away(self, call: Call) -> bool:
        """End a new call that its pool does not take now, or never; return whether it did.

        Neither a method, nor a gate that waits until its pool is empty.
        """
        if self._draining.refuses(call):
            self._actors.refuse(call, "pool_draining", {"pool": call.shape.klass.pool.root})
            return True
        template = call.shape.template
        if template.kind == METHOD or template.method == EMPTY:
            return False
        if not call.shape.klass.refuses(call):
            return False
        self.turn_away(call)
        return True

    def turn_away(self, call: Call) -> None:
        """End a call whose class is refused."""
        kind, fields = call.shape.klass.refusal
        self._actors.refuse(call, kind, fields)

    def unsuccessful(
        self,
        worker: Worker,
        call: Call,
        outcome: int,
        values: Sequence[Payload],
        contained: Sequence[list[int]],
    ) -> None:
        """A task or method has ended without a value."""
        if has_expired(call) and outcome in (ERROR, RETRYABLE, CANCELLED):
            self._too_late(call)
            return
        if outcome == CANCELLED and not call.cancelled and call.shape.template.timeout:
            # The interrupt of an earlier try in this worker came late, and struck this one.
            self._again(call)
            return
        if outcome == RETRYABLE:
            call.attempts += 1
            retries = call.shape.template.max_retries
            if not call.cancelled and after_exception(call.tries, retries) and self._granted(call):
                self._again(call)
                return
            outcome = ERROR
        if outcome == CANCELLED:
            self._completion.fail_with(call, "cancelled")
        elif outcome == EXITED:
            self._exited(worker, call)
        else:
            self._completion.fail(call, outcome, values[0], contained[0] if contained else ())

    def _granted(self, call: Call) -> bool:
        """Take a retry from the budget of a task's pool, if there is one left."""
        tally = call.shape.tally
        if tally is None:
            return True  # An actor's, whose retries nobody counts.
        pool: Pool = call.shape.klass.pool
        budget = pool.budget
        if budget is not None and not budget.take(self._placement.actions, pool.root):
            return False
        tally.retries += 1
        return True

    def _too_late(self, call: Call) -> None:
        call.attempts += 1
        again = after_exception(call.tries, call.shape.template.max_retries)
        if again and may_go_again(call) and self._granted(call):
            self._again(call)
        else:
            self._completion.fail_with(call, "task_timeout", **fields_of(call))

    def _exited(self, worker: Worker, call: Call) -> None:
        actor = worker.actor
        if actor is None:
            actor = self._actors.of(call.actor)
            self._actors.end(actor, {"reason": "exit_actor"})
        else:
            self._actors.leaves(actor, "exit_actor")
            if worker.state is LIVE:
                worker.to("retire")
        self._completion.fail_with(
            call, "actor_died", actor=actor.creation.name, reason="exit_actor"
        )

    def _again(self, call: Call) -> None:
        call.expired = False
        if call.actor:
            self._actors.again(call)
        elif call.session is not None and call.session.strict:
            call.to("back")
            self._placement.requeue([call])  # before those of its session made after it
        else:
            call.to("wait")
            self._placement.resume(call)
