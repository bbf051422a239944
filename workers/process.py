"""The worker: takes calls from its mailbox, runs them one at a time, and replies to each.

The reply of a call is written before the next call starts, so that a crash loses no result. What
had begun is on the status page, which the driver reads after a death: the id of the call first,
then its sequence, which announces it.
"""

from __future__ import annotations

import os
import threading
from collections import deque
from time import perf_counter_ns
from typing import TYPE_CHECKING, Any, NamedTuple, final

from snakepit import protocol
from snakepit.deadline import NEVER
from snakepit.handles import Handles
from snakepit.payload import unpack_code
from snakepit.store import Copy, Ledger
from snakepit.values import Values, is_stored
from snakepit.wire import messages as wire
from snakepit.wire.codec import RESULT

from .beside import Beside, Threads
from .blocking import Blocking
from .client import WorkerRuntime
from .control import Control
from .current import CALL
from .execution import Ended, Executor, Known, Load
from .interruption import Interruption
from .mailbox import DriverGone, Mailbox
from .queues import drain, emptied, take_out
from .segments import Segments
from .surroundings import Surroundings

if TYPE_CHECKING:
    from .pooled import Pooled
    from .spawn import WorkerSetup


class Seams(NamedTuple):
    """Parts of a worker in whose place `snakepit.testing` puts others, which die at a given point.

    `copy` moves objects into the store (None: as the store does); `load` unpickles definitions.
    """

    copy: Copy | None = None
    load: Load = unpack_code


def main(setup: WorkerSetup, seams: Seams = Seams()) -> int:  # noqa: B008  an immutable value
    """Serve until told to end; the zygote calls this in each new worker."""
    try:
        return Worker(setup, seams).serve()
    except DriverGone:
        return 0


@final
class Worker:
    """One worker process, from its hello to its end."""

    def __init__(self, setup: WorkerSetup, seams: Seams) -> None:
        self._setup = setup
        self._surroundings = Surroundings(os.environ)
        self._seams = seams
        self._output = setup.output
        self._status = setup.status.cast("Q")
        self._queue: deque[wire.Execute] = deque()
        self._nested: deque[wire.Execute] = deque()
        self._exit_code: int | None = None
        self._label = ""  # an actor's name, which what all of its methods print bears
        self._segments = Segments()
        self._beginning = threading.Lock()
        self._welcomed = threading.Event()
        self._interruption = Interruption()
        self._blocking = Blocking(self._interruption)
        self._mailbox = Mailbox(setup.mailbox, self._handle, self._blocking)
        self._interruption.sending = self._mailbox.sending
        self._handles = Handles(self._mailbox.poke)
        self._control = Control(setup.control, self._handle_control)
        self._values: Values | None = None
        self._runtime: WorkerRuntime | None = None
        self._executor: Executor | None = None
        self._beside: Beside | None = None  # what runs calls, if several at once
        self._pooled: Pooled | None = None  # the same, if it is no actor
        self._initializer: wire.Payload = b""

    # --- serving --------------------------------------------------------------------------

    def serve(self) -> int:
        """Say hello, then take calls until told to end; return the exit code."""
        self._interruption.install()
        self._control.start()
        self._mailbox.send(wire.Hello(wire.VERSION, self._setup.number, os.getpid()))
        self._mailbox.wait_for(self._welcomed.is_set, NEVER)
        if self._initializer:
            from .initializer import run_initializer

            run_initializer(self._seams.load, self.values.parts(self._initializer), self._mailbox)
        if self._pooled is not None:
            self._pooled.serve(self._is_over)
        queue = self._queue
        while self._exit_code is None or self._beside is not None:
            if queue and self._beside is None:
                try:
                    execute = queue.popleft()
                except IndexError:
                    continue  # The control thread gave it back.
                self._run(execute)
            elif self._mailbox.wait_for(self._has_work, NEVER) and self._beside is not None:
                break
        self._mailbox.drain()
        return self._exit_code or 0

    def _is_over(self) -> bool:
        """Report handles; tell whether this process, which runs calls side by side, is to end."""
        self._handles.sleeping = True
        if self._handles.queue:
            self.runtime.report_handles()
        assert self._beside is not None
        # They were read while this process became the actor's.
        for execute in emptied(self._queue):
            self._take(execute)
        # What came before the wish to end is done first, unless the actor itself wishes it.
        return self._exit_code is not None and (not self._beside.busy or self.executor.exiting)

    def _has_work(self) -> bool:
        if self._handles.queue and self._runtime is not None:
            self._runtime.report_handles()
        if self._beside is not None:
            return self._is_over()
        return bool(self._queue) or self._exit_code is not None

    # --- messages -------------------------------------------------------------------------

    def _handle(self, message: Any) -> None:
        kind = type(message)
        if kind is wire.Execute:
            self._take(message)
        elif kind is wire.Value:
            self.runtime.value(message)
        elif kind is wire.Define:
            self.executor.define(message)
        elif kind is wire.Code:
            self.executor.code(message)
        elif kind is wire.Leave:
            self.runtime.leave(message.session)
        elif kind is wire.Evict and self._pooled is not None:
            self._pooled.evict(message.actor)
        elif kind is wire.Taken:
            self.executor.producer.taken(message)
        elif kind is wire.Answer:
            self.runtime.answer(message)
        elif kind is wire.Release:
            self.values.release(message.offsets)
        elif kind is wire.Trim:
            self.values.trim()
        elif kind is wire.Forget:
            self.values.mappings.forget(message.segments)
        elif kind is wire.Imports:
            self._surroundings.adopt(message.path, message.directory)
        elif kind is wire.Welcome:
            self._welcome(message)
        elif kind is wire.Exit:
            self._exit_code = 0 if self._exit_code is None else self._exit_code

    def _take(self, execute: wire.Execute) -> None:
        if self._beside is not None:
            self._beside.take(execute, self.executor.known[execute.template].template.group)
            if self._interruption.cancelled(execute.call):  # by the other socket, before it came
                self._beside.cancel(execute.call, False)
            return
        # Whether the running call waits is looked at when the new one is there: it may begin or
        # end to wait at this very moment, in another thread, and looks at the queues after that.
        nested = execute.flags & wire.NESTED
        queue = self._nested if nested else self._queue
        queue.append(execute)
        waits = self.runtime.waiting.on_top
        back = (not waits) if nested else (waits and not self.executor.actor_id)
        if back and (calls := drain(queue)):
            self._mailbox.send(wire.GivenBack(calls))
        if self._interruption.cancelled(execute.call):
            self._give_up(execute.call)

    def _welcome(self, message: wire.Welcome) -> None:
        setup = self._setup
        ledger = Ledger.attach(setup.ledger, setup.slots)
        self._values = Values(
            setup.number,
            ledger,
            setup.slot,
            message.store_limit,
            self._handles,
            publish=lambda fd, size: self._control.send(
                wire.Segment(setup.number, size), (os.dup(fd),)
            ),
            fetch=lambda number: self._segments.wait_for(self.values, number),
            relieve=lambda needed: self.runtime.relieve(needed),
            copy=self._seams.copy,
        )
        self._runtime = WorkerRuntime(
            setup.number,
            message.run,
            self._mailbox,
            self._values,
            self._handles,
            self._interruption,
            self._give_back,
            self._control,
        )
        self._blocking.begin(self._runtime, self._handles, self._mailbox)
        self._runtime.namespace, self._runtime.threaded = message.namespace, message.threaded
        waiting = self._runtime.waiting
        waiting.run_nested = self._run_nested
        waiting.has_nested = lambda: bool(self._nested)
        waiting.give_back_nested = lambda: drain(self._nested)
        self._executor = Executor(
            self._values,
            self._interruption,
            self._runtime,
            self._mailbox,
            self._fetch_code,
            self._seams.load,
        )
        self._executor.set_up = self._surroundings.set_up_first
        protocol.install(self._runtime)
        self._initializer = message.initializer
        if message.threads > 1:
            # Cached, since the driver has the zygote import it before the fork.
            from .pooled import pool_of

            own = self.executor, self._runtime, self._mailbox, self._interruption, self._values
            parts = (*own, self._output, self._status)
            self._beside = self._pooled = pool_of(message.threads, self._rested, parts)
        self._welcomed.set()

    @property
    def runtime(self) -> WorkerRuntime:
        """The client that tasks use; there from the driver's first message on."""
        assert self._runtime is not None
        return self._runtime

    @property
    def values(self) -> Values:
        """This process's part of the store."""
        assert self._values is not None
        return self._values

    @property
    def executor(self) -> Executor:
        """What runs the calls; there from the driver's first message on."""
        assert self._executor is not None
        return self._executor

    def _fetch_code(self, digest: bytes) -> None:
        executor = self.executor
        self._mailbox.send(wire.NeedCode(digest))
        self._mailbox.wait_for(lambda: executor.has_code(digest), NEVER)

    # --- control thread -------------------------------------------------------------------

    def _handle_control(self, message: Any, fds: tuple[int, ...]) -> None:
        # The welcome comes by the other socket: what the driver sent after it may be here before.
        self._welcomed.wait()
        kind = type(message)
        if kind is wire.Segment:
            self._segments.arrived(self.values, message, fds)
        elif kind is wire.Descriptor:
            self.runtime.lending.arrived(message.number, fds)
        elif kind is wire.Cancel:
            self._cancel(message)
        elif kind is wire.GiveBack:
            self._mailbox.read_waiting()
            if calls := self._give_back():
                self._mailbox.send(wire.GivenBack(calls))
            if self._pooled is not None:
                self._pooled.give_back()
        elif kind is wire.Trim:
            self._mailbox.read_waiting()
            self.values.trim()
        elif kind is wire.Ping:
            self._control.send(message)

    def _give_back(self) -> list[int]:
        """Take out all that has not begun; return the ids."""
        return drain(self._queue) + drain(self._nested)

    def _cancel(self, message: wire.Cancel) -> None:
        self._mailbox.read_waiting()
        interruption = self._interruption
        interruption.want(message.call, message.late)
        if self._beside is not None:
            self._beside.cancel(message.call, message.force)
            self._mailbox.poke()  # It may be a generator that waits for its consumer.
        elif not self._give_up(message.call) and message.call in interruption.stack:
            if message.force:
                os._exit(1)
            interruption.strike(message.call)

    def _give_up(self, call: int) -> bool:
        """Answer a cancelled call that has not begun; tell whether it was here."""
        if not (take_out(self._queue, call) or take_out(self._nested, call)):
            return False
        self._interruption.ended(call)
        self._mailbox.send(wire.Result(call, wire.CANCELLED, [], [], 0, []))
        return True

    # --- calls ----------------------------------------------------------------------------

    def _run_nested(self) -> None:
        """Run one call that the driver sent to the stack of the call that waits here."""
        try:
            execute = self._nested.popleft()
        except IndexError:
            return  # The control thread gave it back.
        self._run(execute)

    def _run(self, execute: wire.Execute) -> None:
        """Run one call and reply."""
        call = execute.call
        executor = self._executor
        runtime = self._runtime
        assert executor is not None and runtime is not None
        known = executor.known[execute.template]
        if known.template.flavour == wire.ASYNC and known.template.kind == wire.CREATE:
            self._serve_coroutines(execute, known.template.groups)
            return
        interruption = self._interruption
        self._mailbox.spin = bool(execute.flags & wire.SPIN)
        status = self._status
        status[1] = call
        status[0] = execute.sequence
        self._output.enter(self._label or known.template.name)
        interruption.stack.append(call)
        started = perf_counter_ns()
        try:
            outcome, values, contained, _keep = executor.run(execute, known)
        finally:
            interruption.open = False
            interruption.stack.pop()
        micros = (perf_counter_ns() - started) // 1000
        interruption.ended(call)
        if self._output.dirty:
            self._output.flush()
        if executor.exiting:
            self._exit_code = 0
        if executor.actor_id != runtime.actor:
            self._become(known.template)
        if self._handles.queue or runtime.bars.late:
            runtime.reply(wire.Result(call, outcome, values, contained, micros, []))
        else:
            self._mailbox.send_fields((RESULT, call, outcome, values, contained, micros, ()))

    def _become(self, template: wire.Template) -> None:
        """This process is an actor's from now on."""
        self.runtime.actor = self.executor.actor_id
        self._label = template.name
        if template.groups and self._beside is None:
            flush = self._mailbox.flush
            self._beside = Threads(template.groups, self._run_in_thread, flush, self._rested)

    # --- calls side by side ----------------------------------------------------------------

    def _serve_coroutines(self, creation: wire.Execute, groups: Any) -> None:
        """Make an actor on an event loop, and serve it until its end."""
        # Cached, since the driver has the zygote import it before the fork.
        from .aio import Coroutines

        coroutines = Coroutines(
            groups,
            self._mailbox,
            self._run_coroutine,
            self._is_over,
            lambda execute: self.executor.known[execute.template].template.name,
        )
        self._beside = coroutines
        self.runtime.loop = coroutines
        coroutines.serve(creation)

    def _rested(self) -> None:
        """No call is left; the reader, who waits for that if the actor is to end, looks again."""
        if self._exit_code is not None:
            self._mailbox.poke()

    async def _run_coroutine(self, execute: wire.Execute) -> None:
        known = self._begin(execute)
        started = perf_counter_ns()
        ended = await self.executor.run_async(execute, known)
        self._end(execute.call, known, ended, started)

    def _run_in_thread(self, execute: wire.Execute) -> None:
        known = self._begin(execute)
        token = CALL.set(execute.call)
        try:
            started = perf_counter_ns()
            ended = self.executor.run(execute, known)
        finally:
            CALL.reset(token)
        if ended.outcome == wire.OK and self._interruption.unwanted(execute.call):
            # Nothing could interrupt it: it may have asked, and ended by itself.
            self.values.release(each[2] for each in ended.values if is_stored(each))
            ended = Ended(wire.CANCELLED, [], [])
        self._end(execute.call, known, ended, started)

    def _begin(self, execute: wire.Execute) -> Known:
        known = self.executor.known[execute.template]
        self._mailbox.spin = bool(execute.flags & wire.SPIN)
        self._output.enter(self._label or known.template.name)
        with self._beginning:
            # A later one of another group may have begun: then this one, for all that the driver
            # can tell, had begun before.
            if execute.sequence > self._status[0]:
                self._status[1] = execute.call
                self._status[0] = execute.sequence
        return known

    def _end(self, call: int, known: Known, ended: Ended, started: int) -> None:
        micros = (perf_counter_ns() - started) // 1000
        executor = self.executor
        self._interruption.ended(call)
        if self._output.dirty:
            self._output.flush()
        if executor.exiting:
            self._exit_code = 0
            self._mailbox.poke()
        if executor.actor_id != self.runtime.actor:
            self._become(known.template)
        beside = self._beside
        assert beside is not None
        beside.posted(self.runtime.post_reply(wire.Result(call, *ended[:3], micros, [])))
