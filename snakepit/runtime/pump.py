"""The pump: one thread at a time reads every socket and runs every timer.

Purpose: a thread in `get()` does the I/O itself, for a hand-over to another thread would cost more
than the whole call. Pumping is a role. Its holder serves *every* descriptor, since its own result
may depend on any of them; it spins for a moment, then blocks in epoll until the next timer.

Guarantees:
* While something waits, somebody pumps: whoever gives up the role hands it to a waiter, and where
  there is none the background thread takes it within a millisecond.
* Callbacks run without the role and without any lock, so they may call anything.
* An idle runtime makes no wake-ups: then the background thread blocks in epoll without a limit.

Assumptions: flags are set before those who look at them are woken; nothing relies on the GIL.
"""

from __future__ import annotations

import heapq
import os
import select
import threading
from collections import deque
from collections.abc import Callable
from os import sched_yield
from time import monotonic, perf_counter
from typing import Final, Protocol, final

from ..deadline import NEVER, Deadline
from ..errors import RuntimeFailedError
from ..resolving import call_back
from .interrupts import Interrupts
from .role import Role, Waiter

GRACE: Final = 0.001
"""Seconds that the background thread lets pass between looks while others pump."""

CALLS: Final = 64
"""Calls after which a thread that only makes calls looks for results."""

SPIN: Final = 100e-6
"""Seconds to poll before blocking: about what waking an idle core costs."""


class Target(Protocol):
    """What a thread waits for: an object, or several. Pending while `outcome` is negative."""

    @property
    def outcome(self) -> int:
        """Negative while it is not there yet."""
        ...


@final
class Pump:
    """The role, the epoll set and the timers of one runtime."""

    def __init__(self, interrupts: Interrupts, busy: Callable[[], bool]) -> None:
        """`busy` tells whether the cores have better to do than to spin."""
        self._interrupts = interrupts
        self._busy = busy
        self._epoll = select.epoll()
        self._handlers: dict[int, Callable[[int], None]] = {}
        self._role = Role()
        self._timers: list[tuple[float, int, Callable[[], None]]] = []
        self._timer_lock = threading.Lock()
        self._state_lock = threading.Lock()
        self._timer_count = 0
        self._blocking = False
        self._callbacks: deque[Callable[[], None]] = deque()
        self.activity = 0
        self._spin_misses = 0
        self._long_wait = False
        self._closed = False
        self._failed: Exception | None = None
        self._wake_fd = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self.watch(self._wake_fd, self._woken)
        self.watch(interrupts.reader, self._interrupted)
        self._background_bell = Waiter(1)
        self._background_asleep = False
        self._background_has_role = False
        self.broken: Callable[[Exception], None] = lambda error: None
        self.before_poll: Callable[[], None] = lambda: None
        self.before_block: Callable[[], None] = lambda: None
        self.after_block: Callable[[], None] = lambda: None
        self._thread = threading.Thread(target=self._background, name="snakepit-pump", daemon=True)

    def start(self) -> None:
        """Start the background thread."""
        self._thread.start()

    # --- descriptors and timers -------------------------------------------------------------

    def watch(self, fd: int, handler: Callable[[int], None]) -> None:
        """Call `handler` with the epoll events of `fd` when it is readable."""
        self._handlers[fd] = handler
        self._epoll.register(fd, select.EPOLLIN)

    def want_write(self, fd: int, wanted: bool) -> None:
        """Also watch for room to write, or no longer."""
        if fd in self._handlers:
            try:
                self._epoll.modify(fd, select.EPOLLIN | (select.EPOLLOUT if wanted else 0))
            except (FileNotFoundError, ValueError):
                return  # The pumping thread has just given it up, or all of them.

    def unwatch(self, fd: int) -> None:
        """Forget a descriptor, which is still open."""
        if self._handlers.pop(fd, None) is not None:
            self._epoll.unregister(fd)

    def arm(self, delay: float, action: Callable[[], None]) -> None:
        """Run `action` once, in whichever thread pumps, after `delay` seconds."""
        at = monotonic() + delay
        with self._timer_lock:
            self._timer_count += 1
            heapq.heappush(self._timers, (at, self._timer_count, action))
            first = self._timers[0][0] == at
        if first and self._blocking:
            self.poke()

    def later(self, callback: Callable[[], None]) -> None:
        """Run `callback` soon, without the role and without locks."""
        self._callbacks.append(callback)

    @property
    def blocking(self) -> bool:
        """Whether somebody blocks in epoll, and sees nothing but descriptors and timers."""
        return self._blocking

    def poke(self) -> None:
        """Wake whoever blocks in epoll; from any thread, also from finalizers."""
        try:
            os.eventfd_write(self._wake_fd, 1)
        except (BlockingIOError, OSError):
            return  # It is full, so it wakes already; or the runtime has closed.

    def _woken(self, _: int) -> None:
        try:
            os.eventfd_read(self._wake_fd)
        except BlockingIOError:
            return

    def _interrupted(self, _: int) -> None:
        self._interrupts.woken()
        # The main thread may be one of these; for the others it is only another look.
        self._role.ring()

    # --- waiting ------------------------------------------------------------------------------

    def take_turn(self, target: Target, deadline: Deadline) -> bool:
        """Pump until the target is there, if nobody else does; tell whether it is.

        Most waits need no more than this, and no waiter. Otherwise as `wait`.
        """
        while target.outcome < 0:
            if self._failed is not None or not self._role.take():
                return False
            self._serve_role(target, deadline)
            if deadline is not NEVER and deadline.expired:
                return target.outcome >= 0
        return True

    def wait(self, target: Target, deadline: Deadline, waiter: Waiter) -> bool:
        """Pump, or let others pump, until the target is there; False if the deadline came first.

        The caller has opened a section of its `Interrupts`.

        Args:
            target: what to wait for.
            deadline: until when.
            waiter: it is rung when the target is there.

        Raises:
            KeyboardInterrupt: the user pressed Ctrl-C.
            RuntimeFailedError: a handler failed, which ends the runtime.
        """
        while target.outcome < 0:
            self._check_sound()
            if self._role.take() or self._inherit(target, waiter, deadline):
                self._serve_role(target, deadline)
            if deadline.at is not None and deadline.expired and target.outcome < 0:
                return False
        return True

    def _serve_role(self, target: Target, deadline: Deadline) -> None:
        self.activity += 1
        try:
            self._pump(target, deadline)
        finally:
            self._give_up_role()
        if self._callbacks:
            self._run_callbacks()

    def _pump(self, target: Target, deadline: Deadline) -> None:
        while target.outcome < 0 and not self._callbacks and self._failed is None:
            if self._interrupts.pending:
                self._interrupts.breathe()
            self.before_poll()
            if self._spin_misses < 3 and not self._busy() and self._spin():
                continue
            limit = deadline.remaining()
            if limit == 0.0:
                return
            started = perf_counter()
            self._block(limit, target)
            # A wait as short as a spin would have been caught by one.
            self._spin_misses = 0 if perf_counter() - started < 2 * SPIN else self._spin_misses + 1

    def _spin(self) -> bool:
        poll = self._epoll.poll
        end = perf_counter() + SPIN
        while True:
            events = poll(0)
            if events:
                self._serve(events)
                self._spin_misses = 0
                return True
            # The kernel may have put the worker on this very core: let it have it.
            sched_yield()
            if perf_counter() > end:
                return False

    def _block(self, limit: float | None, target: Target | None = None) -> None:
        """Wait for events as long as timers and `limit` allow, and serve them."""
        self._blocking = True
        with self._state_lock:
            self._long_wait = True
        self.before_block()
        try:
            timeout = self._until_timer(limit)
            # Once more, now that `blocking` says so: what another thread resolves from here on
            # comes with a poke.
            if target is not None and target.outcome >= 0:
                timeout = 0
            depth = self._interrupts.pause()
            try:
                events = self._epoll.poll(timeout)
            finally:
                self._interrupts.resume(depth)
        finally:
            self._blocking = False
            with self._state_lock:
                self._long_wait = False
            self.after_block()
        self._serve(events)

    def _until_timer(self, limit: float | None) -> float | None:
        with self._timer_lock:
            if self._timers:
                wait = max(0.0, self._timers[0][0] - monotonic())
                return wait if limit is None else min(wait, limit)
        return limit

    def _serve(self, events: list[tuple[int, int]]) -> None:
        try:
            for fd, mask in events:
                handler = self._handlers.get(fd)
                if handler is not None:
                    handler(mask)
            if self._timers:
                self._run_timers()
        except Exception as error:
            # A bug of ours: whoever waits is told, for nobody else would ever answer.
            try:
                self.broken(error)
            finally:
                self._failed = error
                self._role.ring()

    def _check_sound(self) -> None:
        if self._failed is not None:
            raise RuntimeFailedError(
                f"the runtime has ended by an internal error: {self._failed!r}. Please report it "
                "with its traceback"
            ) from self._failed

    def _run_timers(self) -> None:
        now = monotonic()
        while True:
            with self._timer_lock:
                if not self._timers or self._timers[0][0] > now:
                    return
                action = heapq.heappop(self._timers)[2]
            action()

    def _inherit(self, target: Target, waiter: Waiter, deadline: Deadline) -> bool:
        """Sleep until something has changed; tell whether the caller has the role now."""
        role = self._role
        if role.line_up(waiter):
            return True
        try:
            if target.outcome < 0:
                if self._background_has_role:
                    self.poke()
                depth = self._interrupts.pause()
                try:
                    waiter.sleep(deadline.remaining())
                finally:
                    self._interrupts.resume(depth)
        except BaseException:
            if role.step_out(waiter):
                self._give_up_role()
            raise
        return role.step_out(waiter)

    def _give_up_role(self) -> None:
        if not self._role.leave() and self._background_asleep:
            self._background_bell.ring()

    def _run_callbacks(self) -> None:
        while self._callbacks:
            try:
                callback = self._callbacks.popleft()
            except IndexError:
                return
            call_back(callback)

    # --- the background thread -------------------------------------------------------------

    def _background(self) -> None:
        seen = -1
        while not self._closed and self._failed is None:
            if self.activity != seen or self._long_wait:
                seen = self.activity
                self._rest()
                continue
            if not self._role.take():
                self._rest()
                continue
            self._background_has_role = True
            try:
                if not self._role.wanted and not self._callbacks:
                    self._block(None)
            finally:
                self._background_has_role = False
                self._give_up_role()
            self._run_callbacks()

    def _rest(self) -> None:
        """Let others pump: for a moment, or while they are blocked themselves, until they stop."""
        with self._state_lock:
            # Whoever ends that long wait sees the flag when it gives up the role.
            asleep = self._background_asleep = self._long_wait
        self._background_bell.sleep(None if asleep else GRACE)
        self._background_asleep = False
        self.before_poll()

    def step(self) -> None:
        """Serve what is there now, if nobody else pumps: for event loops."""
        token = self._interrupts.enter()
        try:
            if self._failed is not None or not self._role.take():
                return
            try:
                self.activity += 1
                self.before_poll()
                self._serve(self._epoll.poll(0))
            finally:
                self._give_up_role()
            self._run_callbacks()
        finally:
            self._interrupts.leave(token)

    def called(self) -> None:
        """A thread has made a call: while it makes many, it serves now and then itself.

        The background thread keeps away from it: two threads that take turns with the GIL, or
        with the lock, cost each other more than the work.
        """
        self.activity += 1
        if not self.activity % CALLS:
            self.step()

    def fileno(self) -> int:
        """The epoll descriptor: readable when there is something to serve."""
        return self._epoll.fileno()

    def close(self) -> None:
        """End the background thread and close the epoll set; nobody waits any more."""
        if self._closed:
            return
        self._closed = True
        self.poke()
        self._background_bell.ring()
        if self._thread.is_alive() and self._thread is not threading.current_thread():
            self._thread.join()
        self._role.ring()
        self._role.take_at_last()
        self._close_descriptors()

    def abandon(self) -> None:
        """Close it in a forked child, which has neither the thread nor the locks' holders."""
        self._closed = True
        self._close_descriptors()

    def _close_descriptors(self) -> None:
        self._handlers.clear()
        self._epoll.close()
        # Finalizers poke at any time: the number must not be another file's by then.
        wake_fd, self._wake_fd = self._wake_fd, -1
        os.close(wake_fd)
