"""How calls may end: each result needs a cause, and each cause is worth only so much."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, final

from snakepit.checks import INTERPRETER
from snakepit.policy.actors import DEAD
from snakepit.wire.messages import CANCELLED, ERROR, EXITED, FAILURE, METHOD, OK, RETRYABLE, TASK

from .books import Task
from .program import made_ids

if TYPE_CHECKING:
    from .watch import Watch
    from .world import World


class Violation(AssertionError):
    """The scheduler broke a promise."""


@final
class Outcomes:
    """Checks the ends of calls."""

    def __init__(self, world: World, watch: Watch) -> None:
        self.world = world
        self.watch = watch

    def resolved(self, task: Task, name: str, args: tuple[Any, ...]) -> None:
        world = self.world
        call = task.call
        own = name == "result" and args[1] == call.id
        world.require(
            world.closed
            or world.scheduler.closed
            or not task.where
            or world.clocks.may_be_left(task)
            or world.clocks.may_be_unheard(task, name, args)
            or world.housing.is_ghost(call),
            f"{task!r} ended while worker {task.where} has it",
        )
        entry = world.scheduler.objects.entries.get(call.id)
        if entry is not None:
            world.outcomes[call.id] = (entry.outcome, entry.payload)
            self._legal(task, own, name, args, entry.outcome, entry.payload)
            for index in range(call.shape.template.returns if own else 0):
                other = world.scheduler.objects.entries.get(call.id + index)
                if other is not None and other.outcome == OK:
                    world.require(other.payload is args[3][index], f"{task!r}: wrong value")
        task.resolved = True
        del world.tasks[call.id]
        for identifier in made_ids(call):
            world.unrefer(identifier)
        world.clocks.given_up(task)
        for identifier in call.refs:
            world.unrefer(identifier)

    def used_up(self, name: str, args: tuple[Any, ...]) -> None:
        """A call whose retries are used up is not tried again."""
        world = self.world
        if name == "result" and args[2] == RETRYABLE:
            task = world.tasks.get(args[1])
            if task is not None and task.used_up:
                raise Violation(f"{task!r} was tried {task.attempts} times")
        elif name == "died":
            for task in world.tasks.values():
                if task.deaths >= 3 or task.used_up:
                    raise Violation(f"{task!r} has killed {task.deaths} workers, and goes on")

    def _legal(
        self, task: Task, own: bool, name: str, args: tuple[Any, ...], outcome: int, payload: Any
    ) -> None:
        world = self.world
        said = args[2] if own else -1
        if world.reserve.is_answer(task, outcome, payload):
            return
        if outcome == OK:
            world.require(own and said == OK, f"{task!r} has a value that nobody returned")
            return
        if own and said in (ERROR, FAILURE, RETRYABLE) and payload is args[3][0]:
            late = said != FAILURE and world.clocks.is_over(task)
            world.require(world.closed or not late, f"{task!r} is not said to have taken too long")
            gone = world.closed or task.cancelled or world.budgets.denies(task, "budget")
            world.require(
                said != RETRYABLE or gone or task.used_up, f"{task!r} had retries left and failed"
            )
            return
        if self._by_argument(task, payload):
            return
        world.require(outcome == FAILURE, f"{task!r} has an error that nobody raised")
        kind = payload[0]
        check = getattr(self, f"_legal_{kind}", None)
        world.require(check is not None, f"{task!r} failed with {payload}")
        assert check is not None
        world.require(
            check(task, own, name, args, payload), f"{task!r} failed with {payload} after {name}"
        )

    def _by_argument(self, task: Task, payload: Any) -> bool:
        entries = self.world.scheduler.objects.entries
        for _, identifier in task.call.deps:
            entry = entries.get(identifier)
            if entry is not None and entry.payload is payload:
                return True
        # The argument may have gone with the call that it fails.
        return any(i not in entries for _, i in task.call.deps)

    def _legal_cancelled(
        self, task: Task, own: bool, name: str, args: tuple[Any, ...], payload: Any
    ) -> bool:
        return task.cancelled and (not own or args[2] == CANCELLED)

    def _legal_worker_crashed(
        self, task: Task, own: bool, name: str, args: tuple[Any, ...], payload: Any
    ) -> bool:
        used_up = task.cancelled or task.used_up or self.world.circuits.stops(task)
        used_up = used_up or self.world.budgets.denies(task, payload[1].get("denied"))
        return name == "died" and task.kind == TASK and used_up

    def _legal_task_timeout(
        self, task: Task, own: bool, name: str, args: tuple[Any, ...], payload: Any
    ) -> bool:
        return self.world.clocks.explains(task, own, name, args)

    def _legal_circuit_open(
        self, task: Task, own: bool, name: str, args: tuple[Any, ...], payload: Any
    ) -> bool:
        return task.kind == TASK and self.world.circuits.refuses(task, payload[1])

    def _legal_poisoned(
        self, task: Task, own: bool, name: str, args: tuple[Any, ...], payload: Any
    ) -> bool:
        return name == "died" and task.deaths >= 3

    def _legal_actor_died(
        self, task: Task, own: bool, name: str, args: tuple[Any, ...], payload: Any
    ) -> bool:
        if task.kind != METHOD:
            return False
        if own:
            return bool(args[2] == EXITED)
        player = self.world.players.get(task.call.actor)
        return player is None or player.actor.state is DEAD

    def _legal_actor_unavailable(
        self, task: Task, own: bool, name: str, args: tuple[Any, ...], payload: Any
    ) -> bool:
        used_up = task.cancelled or task.used_up
        left = name == "kill" and self.world.housing.is_ghost(task.call)
        kind = payload[1].get("reason")
        if kind in ("pool_failed", "interpreter_failed"):
            player = self.world.players.get(task.call.actor)
            put_off = player is not None and self.world.housing.is_put_off(player.actor)
            return task.kind == METHOD and put_off and not task.where
        return task.kind == METHOD and (left or (name == "died" and used_up))

    def _legal_unschedulable(
        self, task: Task, own: bool, name: str, args: tuple[Any, ...], payload: Any
    ) -> bool:
        refusal = task.call.shape.klass.refusal
        return name == "submit" and refusal is not None and refusal[0] == payload[0]

    def _legal_interpreter_differs(
        self, task: Task, own: bool, name: str, args: tuple[Any, ...], payload: Any
    ) -> bool:
        template = task.call.shape.template
        python = self.world.setting.pythons.get(template.pool)
        asked = dict(template.env).get(INTERPRETER)
        return name == "submit" and python is not None and asked not in (None, python)

    def _legal_group_removed(
        self, task: Task, own: bool, name: str, args: tuple[Any, ...], payload: Any
    ) -> bool:
        return self.world.reserve.has_ended(task.call)

    def _legal_pool_saturated(
        self, task: Task, own: bool, name: str, args: tuple[Any, ...], payload: Any
    ) -> bool:
        return self.world.ledger.may_be_saturated(task, payload[1]["limit"])

    def _legal_pool_draining(
        self, task: Task, own: bool, name: str, args: tuple[Any, ...], payload: Any
    ) -> bool:
        new = name == "submit" and args[0] is task.call
        return new and task.kind == TASK and self.world.ledger.is_drained(task.call)

    def _legal_queue_timeout(
        self, task: Task, own: bool, name: str, args: tuple[Any, ...], payload: Any
    ) -> bool:
        return name == "tick" and self.world.ledger.may_be_overdue(task)

    def _legal_pool_failed(
        self, task: Task, own: bool, name: str, args: tuple[Any, ...], payload: Any
    ) -> bool:
        return task.kind == TASK and self.watch.pool_failed(task, payload[0], payload[1])

    _legal_interpreter_failed = _legal_pool_failed

    def _legal_session_worker_unavailable(
        self, task: Task, own: bool, name: str, args: tuple[Any, ...], payload: Any
    ) -> bool:
        return self.world.seats.may_be_unavailable(task)

    def _legal_worker_busy(
        self, task: Task, own: bool, name: str, args: tuple[Any, ...], payload: Any
    ) -> bool:
        # What its argument let others begin first may have ended in the same event.
        return self.world.seats.may_be_busy(task, name == "submit")

    def _legal_session_elsewhere(
        self, task: Task, own: bool, name: str, args: tuple[Any, ...], payload: Any
    ) -> bool:
        return self.world.seats.may_be_elsewhere(task)

    def _legal_session_closed(
        self, task: Task, own: bool, name: str, args: tuple[Any, ...], payload: Any
    ) -> bool:
        session = task.call.session
        return name == "submit" and session is not None and session.refusal is not None

    def _legal_runtime_failed(
        self, task: Task, own: bool, name: str, args: tuple[Any, ...], payload: Any
    ) -> bool:
        # That it may is the watch's affair.
        return payload is self.world.scheduler.closed

    def _legal_object_lost(
        self, task: Task, own: bool, name: str, args: tuple[Any, ...], payload: Any
    ) -> bool:
        return name == "undeliverable" and bool(args[1] == task.call.id)

    def _legal_shutdown(
        self, task: Task, own: bool, name: str, args: tuple[Any, ...], payload: Any
    ) -> bool:
        return self.world.closed
