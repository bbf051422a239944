"""The way of an executor's calls: queued here, sent to the runtime, settled as futures.

Purpose: a `concurrent.futures` future can be cancelled for as long as its call has not been sent,
so that no more is sent than keeps the workers busy.

Guarantees:
* Each future is settled exactly once, by whoever finds its call resolved first: the runtime's
  callback, or a thread that waits for it.
* A thread of a task that waits for a future gives its CPU to others: it blocks in the runtime, not
  in a lock. So executors inside tasks of executors do not deadlock.

Assumptions: one lock guards the queue and what is in flight, and is held by no one who calls user
code, a future or the runtime. That holds without the GIL.
"""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import BrokenExecutor, Future
from time import perf_counter
from typing import Any, Final, TypeVar, final

import snakepit

from ..api.refs import runtime_of
from ..deadline import NEVER, Deadline
from ..errors import RuntimeClosedError, WorkerCrashedError
from ..protocol import Runtime

T = TypeVar("T")

AHEAD: Final = 0.01
"""Seconds of work that may be sent ahead: enough to hide the way there, and soon cancellable."""

MOST: Final = 1000
"""Calls in flight, at the most, beyond one for each worker."""

Send = Callable[[], "snakepit.ObjectRef[Any]"]


@final
class BrokenWorkerError(WorkerCrashedError, BrokenExecutor):
    """The worker process died while it ran this call; the executor and its other calls live on."""


@final
class Waiting(Future[T]):
    """A future of an executor, whose waiters block in the runtime where that can be."""

    def __init__(self, flow: Flow) -> None:
        super().__init__()
        self._flow: Flow | None = flow
        self._call: Call | None = None

    def result(self, timeout: float | None = None) -> T:
        """Return what the call returned; see `concurrent.futures.Future.result`."""
        return super().result(self._wait(timeout))

    def exception(self, timeout: float | None = None) -> BaseException | None:
        """Return what the call raised; see `concurrent.futures.Future.exception`."""
        return super().exception(self._wait(timeout))

    def _wait(self, timeout: float | None) -> float | None:
        """Wait in the runtime as far as possible; return the seconds that are left."""
        deadline = Deadline.after(timeout)
        while not self.done():
            flow = self._flow
            if flow is None or not flow.wait_for(self._call, deadline):
                break
        return None if timeout is None else max(0.0, deadline.remaining() or 0.0)


@final
class Call:
    """A call on its way.

    Attributes:
        future: what is told of it.
        send: sends it.
        ref: its result, once sent; None before.
        doomed: whether it is to be cancelled, also if it is just being sent.
        sent: when that was.
    """

    __slots__ = ("doomed", "future", "ref", "send", "sent")

    def __init__(self, future: Waiting[Any], send: Send) -> None:
        self.future = future
        self.send = send
        self.ref: snakepit.ObjectRef[Any] | None = None
        self.sent = 0.0
        self.doomed = False


@final
class Flow:
    """The calls of one executor.

    Args:
        width: how many calls run side by side.
        strict: whether no more than `width` may be in flight, because the runtime would run them.
        inside: whether this is a task, which gives its CPU away while it waits in the runtime.
    """

    def __init__(self, width: int, *, strict: bool, inside: bool) -> None:
        self._lock = threading.Lock()
        self._quiet = threading.Condition(self._lock)
        self._queue: deque[Call] = deque()
        self._flying: dict[Call, None] = {}
        self._width = width
        self._window = width if strict else width + 1
        self._most = width if strict else width + MOST
        self._strict = strict
        self._inside = inside
        self._closed = False
        self._pid = os.getpid()

    def submit(self, send: Send) -> Waiting[Any]:
        """Queue a call, and send what may be sent.

        Raises:
            RuntimeError: the executor was shut down.
        """
        future: Waiting[Any] = Waiting(self)
        call = Call(future, send)
        with self._lock:
            if self._closed:
                raise RuntimeError("cannot submit to an executor that was shut down")
            self._queue.append(call)
        self._fill()
        return future

    def _fill(self) -> None:
        """Send queued calls for as long as there is room in flight."""
        while True:
            with self._lock:
                if not self._queue or len(self._flying) >= self._window:
                    return
                call = self._queue.popleft()
                self._flying[call] = None
            if not call.future.set_running_or_notify_cancel():
                self._gone(call)
                continue
            try:
                call.sent = perf_counter()
                ref = call.send()
                with self._lock:
                    call.ref, doomed = ref, call.doomed
                call.future._call = call
                if doomed:
                    snakepit.cancel(ref)
                runtime_of(ref).when_done(ref._id, lambda call=call: self._arrived(call))  # type: ignore[misc]
            except BaseException as error:
                if self._gone(call):
                    call.future.set_exception(error)
                if not isinstance(error, Exception):
                    raise

    def _arrived(self, call: Call) -> None:
        self._settle(call)
        self._fill()

    def _gone(self, call: Call) -> bool:
        """Take a call out of what is in flight; return whether it was there."""
        with self._lock:
            found = call in self._flying
            if found:
                del self._flying[call]
                if not self._flying and not self._queue:
                    self._quiet.notify_all()
        return found

    def _settle(self, call: Call) -> None:
        """Tell the future of a call that has resolved, unless another thread does."""
        ref = call.ref
        if ref is None or not self._gone(call):
            return
        self._adapt(perf_counter() - call.sent)
        future = call.future
        future._call = future._flow = None
        try:
            value = ref._runtime.get_one(ref._id, None)
        except WorkerCrashedError as error:
            future.set_exception(_broken(error))
        except BaseException as error:
            future.set_exception(error)
        else:
            future.set_result(value)
        finally:
            # The error's traceback has this frame, and the frame must not have the future.
            del future, call

    def _adapt(self, seconds: float) -> None:
        """Send further ahead while results come back at once, and less far when they do not."""
        if self._strict:
            return
        with self._lock:
            if seconds < AHEAD:
                self._window = min(self._window + 1, self._most)
            else:
                self._window = max(self._window // 2, self._width + 1)

    def wait_for(self, own: Call | None, deadline: Deadline) -> bool:
        """Wait in the runtime until a call has resolved, and settle it.

        Args:
            own: the call that somebody waits for; None while it is queued.
            deadline: until when.

        Returns:
            False when there is nothing to wait for in the runtime, or it is too late.
        """
        if own is None and not self._inside:
            return False
        with self._lock:
            calls = [own] if own is not None else [c for c in self._flying if c.ref is not None]
        refs = [call.ref for call in calls if call.ref is not None]
        if not refs:
            return False
        runtime: Runtime = refs[0]._runtime
        try:
            ready = runtime.wait([ref._id for ref in refs], 1, deadline.remaining())
        except RuntimeClosedError:
            ready = list(range(len(refs)))
        for place in ready:
            self._arrived(calls[place])
        # Another thread may be about to settle our own call: its future says when.
        return own is None and bool(ready)

    def close(self) -> None:
        """Take no more calls."""
        with self._lock:
            self._closed = True

    def cancel_queued(self) -> None:
        """Cancel the calls that have not been sent."""
        with self._lock:
            dropped = list(self._queue)
            self._queue.clear()
            if not self._flying:
                self._quiet.notify_all()
        for call in dropped:
            call.future.cancel()
            call.future.set_running_or_notify_cancel()

    def interrupt(self) -> None:
        """Cancel the calls that are in flight, running ones too."""
        with self._lock:
            for call in self._flying:
                call.doomed = True
            refs = [call.ref for call in self._flying if call.ref is not None]
        for ref in refs:
            try:
                snakepit.cancel(ref)
            except RuntimeClosedError:
                return

    def drain(self) -> None:
        """Wait until every call is settled; in a forked child there is nothing to wait for."""
        if os.getpid() != self._pid:
            return
        while self._inside and self.wait_for(None, NEVER):
            pass
        with self._lock:
            while self._flying or self._queue:
                self._quiet.wait()


def _broken(error: WorkerCrashedError) -> BaseException:
    """Return the error of a dead worker as users of concurrent.futures catch it."""
    if type(error) is not WorkerCrashedError:
        return error
    broken = BrokenWorkerError(*error.args)
    broken.__dict__.update(error.__dict__)
    broken.__cause__ = error.__cause__
    return broken
