"""The way of an executor's calls: queued here, sent to the runtime, settled as futures.

Purpose: a `concurrent.futures` future can be cancelled for as long as its call has not been sent,
so that no more is sent than keeps the workers busy.

Guarantees:
* Each future is settled exactly once, by whoever finds its call resolved first: the runtime's
  callback, or a thread that waits for it.
* A thread of a task that waits for a future gives its CPU to others: it blocks in the runtime, not
  in a lock, but for as long as another thread needs to send a call or to settle one. So executors
  inside tasks of executors do not deadlock.

Assumptions: one lock guards the queue and what is in flight, and is held by no one who calls user
code, a future or the runtime. That holds without the GIL.
"""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import BrokenExecutor, Future
from concurrent.futures import wait as wait_for_all
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
        try:
            return super().result(self._wait(timeout))
        finally:
            del self  # What is raised has this frame, and the future has what is raised.

    def exception(self, timeout: float | None = None) -> BaseException | None:
        """Return what the call raised; see `concurrent.futures.Future.exception`."""
        return super().exception(self._wait(timeout))

    def _wait(self, timeout: float | None) -> float | None:
        """Wait in the runtime as far as possible; return the seconds that are left."""
        deadline = Deadline.after(timeout)
        while not self.done():
            flow, call = self._flow, self._call
            if flow is None or call is None or not flow.wait_for(call, deadline):
                break
        return None if timeout is None else max(0.0, deadline.remaining() or 0.0)


@final
class Call:
    """A call on its way.

    Attributes:
        future: what is told of it; it knows the call until that is over.
        send: sends it.
        ref: its result, once sent; None before.
        doomed: whether it is to be cancelled, also if it is just being sent.
        over: whether it is to be waited for no more: it was cancelled, or somebody settles it.
        sent: when that was.
    """

    __slots__ = ("doomed", "future", "over", "ref", "send", "sent")

    def __init__(self, future: Waiting[Any], send: Send) -> None:
        self.future = future
        future._call = self
        self.send = send
        self.ref: snakepit.ObjectRef[Any] | None = None
        self.sent = 0.0
        self.doomed = self.over = False


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
        self._moved = threading.Condition(self._lock)  # a call was sent, or is over
        self._quiet = threading.Condition(self._lock)  # the last one is over
        self._queue: deque[Call] = deque()
        self._flying: dict[Call, None] = {}
        self._settling: dict[Future[Any], None] = {}  # in flight no more, and not told so yet
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
                del self._settling[call.future]
                continue
            try:
                call.sent = perf_counter()
                ref = call.send()
                with self._lock:
                    call.ref, doomed = ref, call.doomed
                    self._moved.notify_all()
                if doomed:
                    snakepit.cancel(ref)
                runtime_of(ref).when_done(ref._id, lambda call=call: self._arrived(call))  # type: ignore[misc]
            except BaseException as error:
                if self._gone(call):
                    self._tell(call.future, None, error)
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
                self._settling[call.future] = None
                self._end(call)
        return found

    def _end(self, call: Call) -> None:
        """Nobody is to wait for a call any more; the lock is held."""
        call.over = True
        call.future._call = None
        self._moved.notify_all()
        if not self._flying and not self._queue:
            self._quiet.notify_all()

    def _settle(self, call: Call) -> None:
        """Tell the future of a call that has resolved, unless another thread does."""
        ref = call.ref
        if ref is None or not self._gone(call):
            return
        self._adapt(perf_counter() - call.sent)
        future = call.future
        future._flow = None
        try:
            value = ref._runtime.get_one(ref._id, None)
        except WorkerCrashedError as error:
            self._tell(future, None, _broken(error))
        except BaseException as error:
            # With a traceback it would keep the frames of who settles, and those the future.
            self._tell(future, None, error.with_traceback(None))
        else:
            self._tell(future, value, None)

    def _tell(self, future: Future[Any], value: Any, error: BaseException | None) -> None:
        try:
            if error is None:
                future.set_result(value)
            else:
                future.set_exception(error)
        finally:
            del self._settling[future]

    def _adapt(self, seconds: float) -> None:
        """Send further ahead while results come back at once, and less far when they do not."""
        if self._strict:
            return
        with self._lock:
            if seconds < AHEAD:
                self._window = min(self._window + 1, self._most)
            else:
                self._window = max(self._window // 2, self._width + 1)

    def wait_for(self, call: Call, deadline: Deadline) -> bool:
        """Wait in the runtime for a call, or while it is queued for another, and settle that.

        Returns:
            Whether there may be more to wait for; else the call is over, or it is too late, or it
            is queued in the driver, whose callbacks see to it.
        """
        if call.ref is None and not self._inside:
            return False
        return self._wait(self._to_wait_for(call, deadline), deadline) and not call.over

    def _to_wait_for(self, own: Call | None, deadline: Deadline) -> list[Call]:
        """Return `own` once it is sent, or all that are in flight; none if it is over or too late.

        Between the queue and the runtime a call is with the thread that sends it. Until it is there
        nobody can wait for it, nor rightly for others: it may be the first that ends.
        """
        while True:
            with self._lock:
                if own is not None and (own.over or own.ref is not None):
                    return [] if own.over else [own]
                sent = [call for call in self._flying if call.ref is not None]
                if len(sent) < len(self._flying):
                    if not self._moved.wait(deadline.remaining()):
                        return []
                    continue
                if sent or not self._queue:
                    return sent
            self._fill()  # Who has settled the last one may take long to tell its future.

    def _wait(self, calls: list[Call], deadline: Deadline) -> bool:
        """Wait in the runtime until one of these has resolved, and settle it; return whether."""
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
        return bool(ready)

    def close(self) -> None:
        """Take no more calls."""
        with self._lock:
            self._closed = True

    def cancel_queued(self) -> None:
        """Cancel the calls that have not been sent."""
        with self._lock:
            dropped = list(self._queue)
            self._queue.clear()
            for call in dropped:
                self._end(call)
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
        while self._inside and self._wait(self._to_wait_for(None, NEVER), NEVER):
            pass
        with self._lock:
            while self._flying or self._queue:
                self._quiet.wait()
            settling = list(self._settling)
        wait_for_all(settling)  # for their results, and not for what is called back with them


def _broken(error: WorkerCrashedError) -> BaseException:
    """Return the error of a dead worker as users of concurrent.futures catch it."""
    if type(error) is not WorkerCrashedError:
        return error.with_traceback(None)
    broken = BrokenWorkerError(*error.args)
    broken.__dict__.update(error.__dict__)
    broken.__cause__ = error.__cause__
    return broken
