"""Calls of a thread pool's worker: several at once, each in a thread of its own.

Guarantees:
* As many calls run at a time as the worker has slots, those that wait in `get()` among them; they
  begin in the order of the mailbox. Beyond them run nested ones, which the driver sends because a
  call that waits here waits for them: each begins at once, so that nobody waits for himself.
* What has begun is on the status page before anything that came later can begin, and what was given
  back is written by then: the last sequence there tells of all calls which had begun.
* A call that would stand behind ones that wait, who knows how long, is given back.
* Up to as many threads as there are slots live as long as the process: thread-locals stay. Those
  that are started beyond that, for nested calls, end when they find none.

Who reads the mailbox, the main thread or one of these, is the matter of `leading`.

Assumptions: `take` is called by one thread at a time, in the order of the mailbox. One lock guards
all counts and queues. It is held while something is given back, which the driver always reads, and
never while a call runs. Nothing relies on the GIL.
"""

from __future__ import annotations

import os
import threading
import traceback
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from time import perf_counter_ns
from typing import TYPE_CHECKING, Any, Final, NamedTuple, final

from snakepit.deadline import NEVER
from snakepit.values import Values, is_stored
from snakepit.wire import messages as wire

from .client import WorkerRuntime
from .current import CALL
from .execution import MOST_NESTED, Ended, Executor
from .interruption import Interruption
from .leading import BRIEF, Lead
from .mailbox import DriverGone, Mailbox
from .queues import drain, take_out
from .sharing import Shared

if TYPE_CHECKING:
    from .streams import WorkerOutput
    from .tenants import Tenants

_PLAIN: Final = ~wire.NESTED


class Parts(NamedTuple):
    """What of its worker a call needs."""

    executor: Executor
    runtime: WorkerRuntime
    mailbox: Mailbox
    interruption: Interruption
    values: Values
    output: WorkerOutput
    status: memoryview


@final
class Pooled:
    """The threads of one worker. Implements `Beside`.

    Args:
        slots: how many calls run at once.
        parts: what they need.
        rested: called when no call is left.
    """

    __slots__ = (
        "_arrived",
        "_begun",
        "_free",
        "_idle",
        "_lead",
        "_lock",
        "_made",
        "_nested",
        "_over",
        "_parts",
        "_plain",
        "_queue",
        "_rested",
        "_running",
        "_shared",
        "_slots",
        "_threads",
        "_waiting",
        "_waking",
    )

    def __init__(self, slots: int, parts: Parts, rested: Callable[[], None]) -> None:
        self._slots = slots
        self._parts = parts
        self._rested = rested
        self._lock = threading.Lock()
        self._arrived = threading.Condition(self._lock)
        self._queue: deque[wire.Execute] = deque()  # what has not begun
        self._begun: deque[wire.Execute] = deque()  # nested, and not in its thread yet
        self._running: set[int] = set()
        self._plain = self._nested = 0  # calls that have begun
        self._waiting = 0  # those of them that wait
        self._threads = 0  # less those beyond the slots
        self._made = 0
        self._free = 0  # threads that run no call, or will in a moment run none
        self._idle = 0  # those of these that sleep
        self._waking = False  # one of the idle has been told, and has not looked yet
        self._lead = Lead(self._lock, parts.mailbox)
        self._over: Callable[[], bool] = lambda: False
        self._shared = Shared(parts.values)
        parts.executor.shared = parts.runtime.shared = self._shared
        waiting = parts.runtime.waiting
        waiting.begins_beside = self._begins_to_wait
        waiting.ends_beside = self._ends_to_wait

    def serve(self, over: Callable[[], bool]) -> None:
        """Read the mailbox while no other thread does, in the main thread, until it is over.

        Args:
            over: looks after what is to be done whenever one reads; tells whether that is all.
        """
        self._over = over
        lead = self._lead
        while not over():
            with self._lock:
                lead.follow()
                # What a leader has left lies there still.
                self._provide()
            self._parts.mailbox.wait_for(lambda: lead.thread or over(), NEVER)

    # --- from the mailbox -----------------------------------------------------------------

    def take(self, execute: wire.Execute, group: str) -> None:
        """See `Beside.take`."""
        with self._lock:
            nested = execute.flags & wire.NESTED
            if not nested and self._waiting and self._plain + len(self._queue) >= self._slots:
                self._parts.mailbox.send(wire.GivenBack([execute.call]))
                return
            kind = self._parts.executor.known[execute.template].template.kind
            if kind != wire.TASK:
                self._tenants().admit(execute, kind)
            if nested:
                self._take_nested(execute._replace(flags=execute.flags & _PLAIN))
            else:
                self._queue.append(execute)
                # A leader comes to it, or hands it on.
                if not self._lead.thread:
                    self._provide()

    def _take_nested(self, execute: wire.Execute) -> None:
        # What is to begin after it must not seem to have begun before.
        self._return_all()
        if self._nested >= MOST_NESTED:
            self._refuse(execute)
            return
        self._begins(execute)
        self._nested += 1
        self._begun.append(execute)
        if not self._provide():
            self._begun.remove(execute)
            self._running.discard(execute.call)
            self._nested -= 1
            self._refuse(execute)

    def _refuse(self, execute: wire.Execute) -> None:
        self._forget((execute.call,))
        name = self._parts.executor.known[execute.template].template.name
        record = ["nesting_depth", {"call": name, "depth": self._nested}]
        failed = wire.Result(execute.call, wire.FAILURE, [record], [], 0, [])
        self._parts.mailbox.send(failed)

    def give_back(self) -> None:
        """Return what has not begun; from any thread."""
        with self._lock:
            self._return_all()

    def _tenants(self) -> Tenants:
        """The actors that live here, from the first on."""
        executor = self._parts.executor
        if executor.tenants is None:
            from .tenants import Tenants

            executor.tenants = Tenants()
        return executor.tenants

    def evict(self, actor: int) -> None:
        """An actor lives here no longer."""
        with self._lock:
            self._tenants().evict(actor)

    def _forget(self, calls: Iterable[int]) -> None:
        """Calls are here no longer; the lock is held."""
        tenants = self._parts.executor.tenants
        if tenants is not None:
            tenants.forget(calls)

    def _drain(self) -> list[int]:
        """Take out what has not begun; the lock is held."""
        calls = drain(self._queue)
        self._forget(calls)
        return calls

    def _return_all(self) -> None:
        calls = self._drain()
        if calls:
            self._parts.mailbox.send(wire.GivenBack(calls))

    def cancel(self, call: int, force: bool) -> None:
        """See `Beside.cancel`: a thread cannot be interrupted; with `force` the process ends."""
        with self._lock:
            if take_out(self._queue, call):
                self._forget((call,))
                self._parts.interruption.ended(call)
                self._parts.mailbox.send(wire.Result(call, wire.CANCELLED, [], [], 0, []))
            elif force and call in self._running:
                os._exit(1)

    def posted(self, count: int) -> None:
        """See `Beside.posted`."""
        self._parts.mailbox.flush()

    @property
    def busy(self) -> bool:
        """See `Beside.busy`."""
        return bool(self._plain or self._nested or self._queue)

    # --- calls that wait --------------------------------------------------------------------

    @contextmanager
    def _begins_to_wait(self) -> Iterator[list[int]]:
        with self._lock:
            self._waiting += 1
            if self._lead.mine:
                self._lead.give_up()
            yield self._drain()

    def _ends_to_wait(self) -> None:
        with self._lock:
            self._waiting -= 1

    # --- threads --------------------------------------------------------------------------

    @property
    def _startable(self) -> int:
        """How many calls could be in a thread and are not; the lock is held."""
        return len(self._begun) + min(len(self._queue), self._slots - self._plain)

    def _provide(self) -> bool:
        """See to it that threads take what has come; False if there is none for a nested call."""
        while self._free < self._startable:
            extra = self._threads >= self._slots
            name = f"snakepit-thread-{self._made + 1}"
            try:
                threading.Thread(target=self._work, args=(extra,), name=name, daemon=True).start()
            except RuntimeError:
                if not self._threads:
                    raise  # Better that the driver has another worker.
                # The system gives no more. Those that there are will come to what has no slot.
                self._wake()
                return not self._begun
            self._made += 1
            self._threads += not extra
            self._free += 1
        self._wake()
        return True

    def _wake(self) -> None:
        """Have an idle thread look, one at a time: it wakes the next, if it must."""
        if self._idle and not self._waking and self._startable:
            self._waking = True
            self._arrived.notify()

    def _work(self, extra: bool) -> None:
        try:
            while (found := self._next(extra)) is not None:
                self._serve(*found)
        except DriverGone:
            return  # The main thread learns it too, and ends the process.
        except BaseException:
            # Its call would never end: better that the driver has another worker.
            traceback.print_exc()
            os._exit(1)

    def _next(self, extra: bool) -> tuple[wire.Execute, bool] | None:
        """Return the next call, and whether it is nested; None if an extra thread finds none."""
        with self._lock:
            while not self._has_next():
                if extra:
                    if self._lead.mine:
                        self._lead.give_up()
                    self._free -= 1
                    return None
                if self._lead.mine or self._lead.take():
                    self._read()
                    continue
                self._idle += 1
                self._arrived.wait()
                self._idle -= 1
                self._waking = False
            self._free -= 1
            nested = bool(self._begun)
            if nested:
                execute = self._begun.popleft()
            else:
                execute = self._queue.popleft()
                self._begins(execute)
                self._plain += 1
            self._lead_on(execute)
            return execute, nested

    def _has_next(self) -> bool:
        """Tell whether there is a call for the present thread."""
        if self._begun:
            return True
        if not self._queue or self._plain >= self._slots:
            return False
        # What is brief is left to the leader.
        lead = self._lead
        return not lead.thread or lead.mine or not self._is_brief(self._queue[0])

    def _is_brief(self, execute: wire.Execute) -> bool:
        micros = self._parts.executor.known[execute.template].micros
        return micros is not None and micros < BRIEF

    def _read(self) -> None:
        """Read the mailbox, as the leader, until there is a call; the lock is let go meanwhile."""
        came = False
        self._lock.release()
        try:
            came = self._parts.mailbox.wait_for(lambda: self._startable or self._over(), NEVER)
        finally:
            self._lock.acquire()
            if self._lead.mine and not (came and self._startable):
                # It is over, or nobody is there to read from.
                self._lead.give_up()

    def _lead_on(self, execute: wire.Execute) -> None:
        """A call is taken: if it is brief a leader goes on; otherwise others take what there is."""
        lead = self._lead
        brief = self._is_brief(execute) and not self._begun
        if lead.mine or (brief and lead.take()):
            if brief:
                lead.begins()
                return
            lead.give_up()
        elif lead.thread:
            return
        self._provide()

    def _begins(self, execute: wire.Execute) -> None:
        status = self._parts.status
        status[1] = execute.call
        status[0] = execute.sequence
        self._running.add(execute.call)
        self._parts.mailbox.spin = bool(execute.flags & wire.SPIN)

    def _ends(self, execute: wire.Execute, nested: bool, micros: int) -> None:
        with self._lock:
            self._lead.ended(micros)
            self._running.discard(execute.call)
            self._forget((execute.call,))
            self._free += 1
            if nested:
                self._nested -= 1
            else:
                self._plain -= 1

    # --- one call -------------------------------------------------------------------------

    def _serve(self, execute: wire.Execute, nested: bool) -> None:
        executor, runtime, _, interruption, values, output, _ = self._parts
        call = execute.call
        known = executor.known[execute.template]
        output.enter(known.template.name)
        token = CALL.set(call)
        self._shared.begins(call)
        started = perf_counter_ns()
        try:
            ended = executor.run(execute, known)
        finally:
            CALL.reset(token)
        if ended.outcome == wire.OK and interruption.unwanted(call):
            # Nothing could interrupt it: it may have asked, and ended by itself.
            values.release(each[2] for each in ended.values if is_stored(each))
            ended = Ended(wire.CANCELLED, [], [])
        micros = (perf_counter_ns() - started) // 1000
        known.learn(micros)
        interruption.ended(call)
        self._shared.ended(call)
        if output.dirty:
            output.flush()
        # Before the driver can know of it, and send another for the slot.
        self._ends(execute, nested, micros)
        result = wire.Result(call, ended.outcome, ended.values, ended.contained, micros, [])
        if self._lead.thread:
            runtime.reply_beside(result)  # Nobody else is likely to write.
        else:
            self.posted(runtime.post_reply(result))
        if not self.busy:
            self._rested()


def pool_of(slots: int, rested: Callable[[], None], parts: Iterable[Any]) -> Pooled:
    """Return the threads of a worker; `parts` are the fields of `Parts`."""
    return Pooled(slots, Parts(*parts), rested)
