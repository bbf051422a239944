"""Circuit breakers: a pool whose calls crash its workers is given no more of them for a while.

    CLOSED --crash--> OPEN --wait--> HALF_OPEN --success--> CLOSED
                        ^----crash------+

A circuit is closed until the last `failures` crashes lie within `window` seconds. While it is open
its pool refuses calls; after `reset_after` seconds one call is let through, to try: its end without
a crash closes the circuit, a crash opens it again. What a user's code raises is no crash.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any, Final, final

from .calls import DONE, WAITING, Call, IllegalTransition

if TYPE_CHECKING:
    from .pools import Refusal

CLOSED, OPEN, HALF_OPEN = "closed", "open", "half-open"

CIRCUIT_TRANSITIONS: Final[dict[tuple[str, str], str]] = {
    (CLOSED, "crash"): OPEN,
    (OPEN, "wait"): HALF_OPEN,
    (HALF_OPEN, "crash"): OPEN,
    (HALF_OPEN, "success"): CLOSED,
}


@final
class Circuit:
    """The circuit breaker of one pool and of its variants. Times come with the events, in order.

    Attributes:
        refusal: what refused calls end in; None while it is closed.
        trial: the call that was let through last.
    """

    __slots__ = ("_times", "failures", "refusal", "reset_after", "state", "trial", "window")

    def __init__(self, failures: int, window: float, reset_after: float) -> None:
        self.failures = failures
        self.window = window
        self.reset_after = reset_after
        self.state = CLOSED
        self.refusal: Refusal | None = None
        self.trial: Call | None = None
        self._times: deque[float] = deque(maxlen=failures)

    def to(self, event: str) -> None:
        """Take `event`; the only setter of the state."""
        try:
            self.state = CIRCUIT_TRANSITIONS[self.state, event]
        except KeyError:
            raise IllegalTransition(f"circuit: {event} while {self.state}") from None

    @property
    def on_trial(self) -> bool:
        """Whether it has been open for long enough, and is neither open nor closed now."""
        return self.state is HALF_OPEN

    def crashed(self, now: float, cause: dict[str, Any]) -> bool:
        """Count a worker that a call has crashed; return whether that opens the circuit.

        Args:
            now: when.
            cause: fields of the failure in which calls then end.
        """
        if self.state is OPEN:
            return False  # It ran since before.
        if self.state is CLOSED:
            self._times.append(now)
            if len(self._times) < self.failures or now - self._times[0] > self.window:
                return False
        self.to("crash")
        self._times.clear()
        self.trial = None
        limits = {"failures": self.failures, "window": self.window, "reset_after": self.reset_after}
        self.refusal = "circuit_open", {**cause, **limits, "reset_at": now + self.reset_after}
        return True

    def passes(self, call: Call) -> bool:
        """Tell whether a call is the one to try, or becomes it."""
        if self.state is not HALF_OPEN:
            return False
        trial = self.trial
        if trial is None or trial.state is DONE or trial.state is WAITING:
            # Who waits for an argument keeps nobody else from being tried.
            self.trial = call
        return self.trial is call

    def answered(self, call: Call) -> bool:
        """A worker has ended a call without a crash; return whether that closes the circuit."""
        if self.state is not HALF_OPEN or call is not self.trial:
            return False
        self.to("success")
        self.trial = self.refusal = None
        return True
