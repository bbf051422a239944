"""The worker: takes calls from its mailbox, runs them one at a time, and replies to each.

The reply of a call is written before the next call starts, so that a crash loses no result. What
had begun is on the status page, which the driver reads after a death: the id of the call first,
then its sequence, which announces it.
"""

from __future__ import annotations

import os
import sys
import threading
from collections import OrderedDict, deque
from time import perf_counter_ns
from typing import TYPE_CHECKING, Any, Final, final

from snakepit import protocol
from snakepit.deadline import Deadline
from snakepit.definitions import retries
from snakepit.errors import ObjectLostError
from snakepit.handles import Handles
from snakepit.payload import pack, pack_exception, unpack, unpack_code
from snakepit.protocol import ActorExit, TaskInterrupt
from snakepit.store import Ledger
from snakepit.values import Values
from snakepit.wire import messages as wire

from .client import WorkerRuntime
from .control import Control
from .interruption import Interruption
from .mailbox import DriverGone, Mailbox

if TYPE_CHECKING:
    from .spawn import WorkerSetup

SEGMENT: Final = 10.0
"""Seconds within which a segment's descriptor must come, once a message has named it."""

MOST_CODES: Final = 512
"""Definitions that a worker keeps; it asks again for one that it has let go."""

STACK_RESERVE: Final = 200
"""Frames that a call needs at least, of those that the interpreter's recursion limit allows."""

_NEVER: Final = Deadline.after(None)


def main(setup: WorkerSetup) -> int:
    """Serve until told to end; the zygote calls this in each new worker."""
    worker = Worker(setup)
    try:
        return worker.serve()
    except DriverGone:
        return 0


@final
class Worker:
    """One worker process, from its hello to its end."""

    def __init__(self, setup: WorkerSetup) -> None:
        self._setup = setup
        self._output = setup.output
        self._status = setup.status.cast("Q")
        self._templates: dict[int, wire.Template] = {}
        self._codes: OrderedDict[bytes, Any] = OrderedDict()
        self._code_payloads: dict[bytes, wire.Payload] = {}
        self._queue: deque[wire.Execute] = deque()
        self._nested: deque[wire.Execute] = deque()
        self._actor: Any = None
        self._exit_code: int | None = None
        self._segments = threading.Condition()
        self._interruption = Interruption()
        self._handles = Handles(self._idle_drop)
        self._mailbox = Mailbox(setup.mailbox, self._handle, self._strikeable)
        self._control = Control(setup.control, self._handle_control)
        self._values: Values | None = None
        self._runtime: WorkerRuntime | None = None

    # --- serving --------------------------------------------------------------------------

    def serve(self) -> int:
        """Say hello, then take calls until told to end; return the exit code."""
        self._interruption.install()
        self._control.start()
        self._mailbox.send(wire.Hello(wire.VERSION, self._setup.number, os.getpid()))
        queue = self._queue
        while self._exit_code is None:
            if queue:
                try:
                    execute = queue.popleft()
                except IndexError:
                    continue  # The control thread gave it back.
                self._run(execute)
            else:
                self._mailbox.wait_for(self._has_work, _NEVER)
        return self._exit_code

    def _has_work(self) -> bool:
        if self._handles.queue and self._runtime is not None:
            self._runtime.report_handles()
        return bool(self._queue) or self._exit_code is not None

    def _idle_drop(self) -> None:
        self._mailbox.notify()

    def _strikeable(self, blocking: bool) -> None:
        # While the main thread blocks inside a call of the user's, a cancel may strike.
        interruption = self._interruption
        if interruption.stack and threading.current_thread() is threading.main_thread():
            interruption.open = blocking

    # --- messages -------------------------------------------------------------------------

    def _handle(self, message: Any) -> None:
        kind = type(message)
        if kind is wire.Execute:
            self._take(message)
        elif kind is wire.Value:
            self.runtime.value(message)
        elif kind is wire.Define:
            fields = list(message.template)
            self._templates[message.number] = wire.Template(*fields)
        elif kind is wire.Code:
            self._code_payloads[message.digest] = message.payload
        elif kind is wire.Answer:
            self.runtime.answer(message)
        elif kind is wire.Release:
            self.values.release(message.offsets)
        elif kind is wire.Forget:
            for number in message.segments:
                self.values.mappings.discard(number)
        elif kind is wire.Imports:
            self._adopt_imports(message)
        elif kind is wire.Welcome:
            self._welcome(message)
        elif kind is wire.Exit:
            self._exit_code = 0 if self._exit_code is None else self._exit_code

    def _take(self, execute: wire.Execute) -> None:
        if execute.flags & wire.NESTED:
            if self._interruption.stack:
                self._nested.append(execute)
            else:
                # What it was to help has its answer already.
                self._mailbox.send(wire.GivenBack([execute.call]))
        elif self._interruption.stack and self.runtime.waiting and self._actor is None:
            self._mailbox.send(wire.GivenBack([execute.call]))
        else:
            self._queue.append(execute)

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
            fetch=self._await_segment,
            relieve=lambda needed: self.runtime.relieve(needed),
        )
        self._runtime = WorkerRuntime(
            setup.number,
            message.run,
            self._mailbox,
            self._values,
            self._handles,
            self._interruption,
            self._give_back,
        )
        self._runtime.namespace = message.namespace
        self._runtime.run_nested = self._run_nested
        self._runtime.has_nested = lambda: bool(self._nested)
        protocol.install(self._runtime)

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

    def _adopt_imports(self, message: wire.Imports) -> None:
        sys.path[:] = message.path
        if message.directory and message.directory != os.getcwd():
            try:
                os.chdir(message.directory)
            except OSError:
                # It is gone, or was never ours to enter; what is imported absolutely still works.
                return

    # --- control thread -------------------------------------------------------------------

    def _handle_control(self, message: Any, fds: tuple[int, ...]) -> None:
        kind = type(message)
        if kind is wire.Segment:
            with self._segments:
                if fds:
                    self.values.mappings.add(message.number, fds[0], message.size)
                self._segments.notify_all()
        elif kind is wire.Cancel:
            self._cancel(message)
        elif kind is wire.GiveBack:
            self._mailbox.read_waiting()
            calls = self._give_back()
            if calls:
                self._mailbox.send(wire.GivenBack(calls))
        elif kind is wire.Trim:
            self.values.trim()
        elif kind is wire.Ping:
            self._control.send(message)

    def _give_back(self) -> list[int]:
        calls: list[int] = []
        while self._queue:
            try:
                calls.append(self._queue.popleft().call)
            except IndexError:
                break
        return calls

    def _cancel(self, message: wire.Cancel) -> None:
        self._mailbox.read_waiting()
        interruption = self._interruption
        interruption.want(message.call)
        if message.call in interruption.stack:
            if message.force:
                os._exit(1)
            interruption.strike_until_ended(message.call)

    def _await_segment(self, number: int) -> None:
        deadline = Deadline.after(SEGMENT)
        with self._segments:
            while number not in self.values.mappings:
                if deadline.expired:
                    raise ObjectLostError(
                        f"segment {number} of the store did not come within {SEGMENT} s"
                    )
                self._segments.wait(deadline.remaining())

    # --- calls ----------------------------------------------------------------------------

    def _run_nested(self) -> None:
        """Run what the driver sent to the stack of the call that waits here."""
        while self._nested:
            self._run(self._nested.popleft())

    def _run(self, execute: wire.Execute) -> None:
        """Run one call and reply."""
        interruption = self._interruption
        template = self._templates[execute.template]
        self._mailbox.spin = bool(execute.flags & wire.SPIN)
        status = self._status
        status[1] = execute.call
        status[0] = execute.sequence
        self._output.enter(template.name)
        interruption.stack.append(execute.call)
        started = perf_counter_ns()
        try:
            outcome, values, contained = self._outcome(execute, template)
        finally:
            interruption.open = False
            interruption.stack.pop()
        micros = (perf_counter_ns() - started) // 1000
        interruption.ended(execute.call)
        if self._output.dirty:
            self._output.flush()
        added, dropped = self.runtime.handle_changes()
        result = wire.Result(execute.call, outcome, values, contained, micros, added)
        if dropped:
            self._mailbox.send(result, wire.Handles([], dropped))
        else:
            self._mailbox.send(result)

    def _outcome(
        self, execute: wire.Execute, template: wire.Template
    ) -> tuple[int, list[Any], list[list[int]]]:
        interruption = self._interruption
        try:
            if interruption.cancelled(execute.call):
                return wire.CANCELLED, [], []
            if execute.flags & wire.NESTED and self._too_deep():
                depth = len(interruption.stack)
                return (
                    wire.FAILURE,
                    [["nesting_depth", {"call": template.name, "depth": depth}]],
                    [],
                )
            return self._call(execute, template)
        except TaskInterrupt:
            return wire.CANCELLED, [], []
        except ActorExit:
            if self._actor is not None:
                self._exit_code = 0
                return wire.EXITED, [], []
            return self._raised(RuntimeError("exit_actor() was called outside an actor"), template)
        except DriverGone:
            raise
        except BaseException as error:
            return self._raised(error, template)

    def _call(
        self, execute: wire.Execute, template: wire.Template
    ) -> tuple[int, list[Any], list[list[int]]]:
        args, kwargs = self._arguments(execute)
        function = self._function(execute, template)
        interruption = self._interruption
        interruption.open = True
        value = function(*args, **kwargs)
        interruption.open = False
        del args, kwargs
        if template.kind == wire.CREATE:
            self._actor = value
            self.runtime.actor = execute.actor or execute.call
            return wire.OK, [], []
        return self._results(value, execute.call, template)

    def _arguments(self, execute: wire.Execute) -> tuple[Any, dict[str, Any]]:
        payload = execute.args
        pair = unpack((payload,)) if type(payload) is bytes else self.values.decode(payload)
        args, kwargs = pair
        if execute.deps:
            args = list(args)
            for where, _, value in execute.deps:
                if type(where) is int:
                    args[where] = self.values.decode(value)
                else:
                    kwargs[where] = self.values.decode(value)
        return args, kwargs

    def _function(self, execute: wire.Execute, template: wire.Template) -> Any:
        if template.kind == wire.METHOD:
            return getattr(self._actor, template.method)
        code = self._codes.get(template.code)
        if code is None:
            code = self._load_code(template.code)
        return code

    def _load_code(self, digest: bytes) -> Any:
        if digest not in self._code_payloads:
            self._mailbox.send(wire.NeedCode(digest))
            self._mailbox.wait_for(lambda: digest in self._code_payloads, _NEVER)
        payload = self._code_payloads.pop(digest)
        code = self._codes[digest] = unpack_code(self.values.parts(payload))
        while len(self._codes) > MOST_CODES:
            self._codes.popitem(last=False)
        return code

    def _results(
        self, value: Any, call: int, template: wire.Template
    ) -> tuple[int, list[Any], list[list[int]]]:
        count = template.returns
        if count == 1:
            values = (value,)
        elif count == 0:
            return wire.OK, [], []
        else:
            values = tuple(value)
            if len(values) != count:
                raise ValueError(
                    f"{template.name} has num_returns={count} but returned {len(values)} values"
                )
        payloads: list[Any] = []
        contained: list[list[int]] = []
        for index, item in enumerate(values):
            packed = pack(item, what=f"the result of {template.name}", root="result")
            payloads.append(self.runtime.encode_result(packed, call + index))
            contained.append(list(packed.refs))
        return wire.OK, payloads, contained if any(contained) else []

    def _raised(
        self, error: BaseException, template: wire.Template
    ) -> tuple[int, list[Any], list[list[int]]]:
        packed = pack_exception(error, task_name=template.name, pid=os.getpid())
        retryable = retries(template, error)
        # Whatever the frames of the traceback hold must not outlive the call.
        error.__traceback__ = None
        outcome = wire.RETRYABLE if retryable else wire.ERROR
        return outcome, [[bytes(part) for part in packed.parts]], []

    def _too_deep(self) -> bool:
        frame: Any = sys._getframe()
        depth = 0
        while frame is not None:
            depth += 1
            frame = frame.f_back
        return depth + STACK_RESERVE > sys.getrecursionlimit()
