"""How long calls may run: from when they begin in their worker, as that says, to their end.

    begins --its time is over--> interrupted --a grace later--> its worker ends itself
           --another later, if it does not--> that is killed

Where others run in the same process its caller is answered after the first grace, and no more. If
then a worker of a pool answers nothing for `DEAF` seconds, that call holds its GIL, and the others
with it: it is killed. Not one in which actors live, who have their state.

The worker ends itself only while that call runs there: nothing else strikes a call that came after
it, had it ended at the last moment. One in C code that holds the GIL cannot, and is killed.

The driver's timer is the authority: a worker in C code that holds the GIL neither looks at a clock
nor hears of an interrupt. Each worker has one timer at most, for whichever of its calls is next, so
that a million short calls with a long limit leave no million timers. A value that comes in the
grace is kept. Whatever else comes of a call whose time is over is that it took too long; it is
tried again only if its options name that error.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Final, final

from ..wire.messages import CANCELLED, FAILURE, Payload
from .actions import Action, Arm, EndDeaf, Free, Interrupt, Kill, Probe
from .calls import DONE, Call
from .completion import Completion
from .objects import ObjectTable
from .workers import LEAVING, Worker

GRACE: Final = 1.0
"""Seconds from the interrupt of a call to that of its worker."""

FORCE_GRACE: Final = 1.0
"""Seconds that a worker has to end itself with a call before it is killed."""

DEAF: Final = 5.0
"""Seconds that a worker in which a call was given up has to show that it hears."""

LATE: Final = 0.5
"""A look that comes so late says nothing: what stopped the driver may have stopped the worker."""

UNHEARD: Final = 1.0
"""Seconds that a worker has to answer for a call that was cancelled behind another one."""

SPARE: Final = 8
"""So many calls that have ended may be kept in mind for each that runs, and once more."""

_Entry = tuple[int, float, int]
"""The sequence of a call when it began, when something is to be done about it, and which step."""


@final
class Timeouts:
    """Keeps the time of all calls that have a limit.

    Attributes:
        workers: all workers, by number.
    """

    def __init__(
        self,
        workers: dict[int, Worker],
        objects: ObjectTable,
        completion: Completion,
        actions: deque[Action],
    ) -> None:
        self._workers = workers
        self._objects = objects
        self._completion = completion
        self._actions = actions
        self._running: dict[int, dict[int, _Entry]] = {}
        self._armed: dict[int, float] = {}
        self._kept: dict[int, dict[int, list[int]]] = {}
        self._probes = 0

    def began(self, number: int, identifier: int, at: float, now: float) -> None:
        """A worker has begun a call with a limit at the time `at`, and it is `now`."""
        worker = self._workers[number]
        call = worker.inflight.get(identifier)
        if call is None or not call.shape.template.timeout:
            return
        running = self._running.setdefault(number, {})
        if len(running) > SPARE * (1 + len(worker.inflight)):
            self._running[number] = running = self._living(worker)
        deadline = at + call.shape.template.timeout
        running[identifier] = call.sequence, deadline, 0
        if deadline < self._armed.get(number, deadline + 1.0):
            self._arm(number, deadline, now)

    def look(self, number: int, now: float) -> None:
        """A worker's timer has run out, which may be an older one."""
        if now < self._armed.get(number, now + 1.0):
            return
        del self._armed[number]
        worker = self._workers[number]
        running = self._running[number] = self._living(worker)
        for identifier, (sequence, deadline, step) in [*running.items()]:
            if deadline <= now:
                pause = self._step(worker, worker.inflight[identifier], step)
                if pause:
                    running[identifier] = sequence, now + pause, step + 1
                else:
                    del running[identifier]
        if running:
            self._arm(number, min(deadline for _, deadline, _ in running.values()), now)
        else:
            del self._running[number]

    def _arm(self, number: int, deadline: float, now: float) -> None:
        self._armed[number] = deadline
        self._actions.append(Arm(max(0.0, deadline - now), f"timeout:{number}"))

    def unheard(self, number: int, identifier: int) -> None:
        """A call was cancelled a while ago, which a worker may hold behind one in C code.

        If so its caller is answered. The worker, when it hears of the cancel, drops the call, or
        interrupts it if it has just begun; what comes of that is of no matter.
        """
        worker = self._workers.get(number)
        call = worker.inflight.get(identifier) if worker is not None else None
        if worker is None or call is None or call.state is DONE or not call.cancelled:
            return
        if stands_behind(worker, call):
            self.keep(call)
            self._completion.fail_with(call, "cancelled")

    def _living(self, worker: Worker) -> dict[int, _Entry]:
        """Return what is known of those calls that still run, each as it was when it began."""
        return {
            identifier: entry
            for identifier, entry in self._running.get(worker.number, {}).items()
            if (call := worker.inflight.get(identifier)) is not None
            and call.sequence == entry[0]
            and call.state is not DONE
        }

    def _step(self, worker: Worker, call: Call, step: int) -> float:
        """Do the next thing about a call whose time is over.

        Returns:
            Seconds until the one after that; 0 if this was the last.
        """
        if step == 0:
            self._interrupt(call)
            return GRACE
        if worker.slots > 1 or (worker.actor is not None and worker.actor.groups is not None):
            self._give_up(worker, call)
            return 0.0
        if step == 1:
            self._actions.append(Interrupt(call.worker, call.id, True))
            return FORCE_GRACE
        self._actions.append(Kill(worker.number))
        return 0.0

    def _interrupt(self, call: Call) -> None:
        call.expired = True
        self._actions.append(Interrupt(call.worker, call.id, False, True))

    def _give_up(self, worker: Worker, call: Call) -> None:
        """Answer for a call that cannot be ended alone."""
        self.keep(call)
        if call.cancelled:
            self._completion.fail_with(call, "cancelled")
        else:
            self._completion.fail_with(call, "task_timeout", **fields_of(call, company=True))
        # An actor has its state, for as long as somebody can call it.
        lodges = worker.actor is not None or worker.tenants
        if only_given_up(worker) and (not lodges or worker.state is LEAVING):
            self._actions.append(Kill(worker.number))
        elif not lodges:
            self._probes += 1
            self._actions.append(Probe(worker.number, self._probes))
            key = f"deaf:{worker.number}:{self._probes}:{call.id}"
            self._actions.append(Arm(DEAF - FORCE_GRACE, key))

    def listen(self, number: int, probe: int, call: int, due: float, now: float) -> None:
        """See whether a worker in which a call was given up has answered since.

        Args:
            number: whose turn it is.
            probe: what it is to have answered.
            call: that one.
            due: when this look was to come; 0 for the first, after which there is one more.
            now: the time.
        """
        worker = self._workers.get(number)
        if worker is None or call not in worker.inflight:
            return  # What was given up has ended.
        if not due or now > due + LATE:
            due = now + FORCE_GRACE
            self._actions.append(Arm(FORCE_GRACE, f"deaf:{number}:{probe}:{call}:{due}"))
        elif not worker.tenants:
            self._actions.append(EndDeaf(number, probe))

    def keep(self, call: Call) -> None:
        """Pin the arguments of a call that is given up for as long as it may use them."""
        kept = list(call.refs)
        if call.actor:
            kept.remove(call.actor)
        call.refs = (call.actor,) if call.actor else ()
        self._kept.setdefault(call.worker, {})[call.id] = kept

    def left(self, call: Call, outcome: int = CANCELLED, values: Sequence[Payload] = ()) -> None:
        """A call has ended that was answered before, given up or in a runtime that was closed.

        Its value, if it has one, is nobody's.
        """
        self._objects.unpin(self._kept.get(call.worker, {}).pop(call.id, ()))
        for index, value in enumerate(values if outcome != FAILURE else ()):
            if type(value) is not bytes:
                self._actions.append(Free(call.id + index, value))

    def forget(self, number: int) -> None:
        """A worker's process has ended; its timers may still run out."""
        self._running.pop(number, None)
        self._armed.pop(number, None)
        for kept in self._kept.pop(number, {}).values():
            self._objects.unpin(kept)


def fields_of(call: Call, *, company: bool = False) -> dict[str, float | bool]:
    """Return what the error of a call whose time is over says.

    Args:
        call: which took too long.
        company: whether others run in its process, so that it could not be ended.
    """
    return {"timeout": call.shape.template.timeout, "company": company}


def stands_behind(worker: Worker, call: Call) -> bool:
    """Tell whether a task has not begun, for its worker, which has no stack, runs one before it."""
    plain = worker.slots == 1 and worker.actor is None and not worker.nested
    return plain and not worker.blocked and next(iter(worker.inflight)) != call.id


def only_given_up(worker: Worker) -> bool:
    """Tell whether all calls that a worker has were answered without it."""
    return bool(worker.inflight) and all(call.state is DONE for call in worker.inflight.values())


def has_expired(call: Call) -> bool:
    """Tell whether a call that ends without a value does so because its time was over."""
    return call.expired and not call.cancelled


def may_go_again(call: Call) -> bool:
    """Tell whether the options of a call whose time is over name that error."""
    return bool(call.shape.template.retry_timeout)
