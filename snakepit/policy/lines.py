"""The line of calls before a pool: how many may wait, and how long. And what became of them.

Time is not known here. A line whose calls may not wait for ever is a wheel of `PARTS` baskets: who
comes goes into the newest, and each `PARTS`-th of the time allowed a timer has the oldest taken
away with whoever still is in it. So a call waits for as long as it is allowed, or up to a
`PARTS`-th longer; and to come and to leave take the same few steps however many wait.
"""

from __future__ import annotations

from collections import deque
from typing import Any, Final, final

from ..wire.messages import FAILURE
from .calls import Call

PARTS: Final = 16


@final
class Line:
    """Who waits for the workers of one pool and of its variants.

    Args:
        limit: how many calls may wait until a worker is done; None: any number.
        timeout: seconds that each may wait; None: for ever.

    Attributes:
        turning: whether a timer will call `turn`.
    """

    __slots__ = ("_baskets", "_patient", "_places", "_turns", "limit", "timeout", "turning")

    def __init__(self, limit: int | None, timeout: float | None) -> None:
        self.limit = limit
        self.timeout = timeout
        self.turning = False
        self._turns = 0
        self._baskets: deque[dict[int, Call]] = deque(({},))
        self._patient: dict[int, Call] = {}
        self._places: dict[int, dict[int, Call]] = {}

    def __len__(self) -> int:
        """Return how many wait."""
        return len(self._places)

    @property
    def limited(self) -> bool:
        """Whether it matters who waits."""
        return self.limit is not None or self.timeout is not None

    def join(self, call: Call) -> bool:
        """Take a call in; return whether a timer is to be set, for `turn`.

        One that has begun before waits for as long as need be: that it ran cannot be undone. One
        that a worker has given back has waited since it was here first.
        """
        impatient = self.timeout is not None and not call.tries
        basket = self._basket_for(call) if impatient else self._patient
        basket[call.id] = call
        self._places[call.id] = basket
        starts = impatient and not self.turning
        self.turning = self.turning or starts
        return starts

    def _basket_for(self, call: Call) -> dict[int, Call]:
        if call.lined < 0:
            call.lined = self._turns
        age = min(self._turns - call.lined, PARTS)
        while len(self._baskets) <= age:
            self._baskets.appendleft({})
        return self._baskets[-1 - age]

    def leave(self, call: Call) -> None:
        """A call waits no longer, if it did."""
        basket = self._places.pop(call.id, None)
        if basket is not None:
            del basket[call.id]

    def turn(self) -> list[Call]:
        """Turn the wheel; return who has waited for too long. Without calls it stands still."""
        overdue: list[Call] = []
        self._turns += 1
        self._baskets.append({})
        if len(self._baskets) > PARTS + 1:
            overdue = list(self._baskets.popleft().values())
        if not any(self._baskets):
            self.turning = False
            self._baskets = deque(({},))
        return overdue


@final
class Tally:
    """What became of the calls, and workers, of one pool and of its variants.

    Attributes:
        requests: how many have come.
        succeeded: how many of them have ended with a value.
        retries: how often one was tried again that had begun.
        errors: how many have ended otherwise: "error" is an exception of the user's, and other
            kinds are those of failure records.
        crashes: how many workers have died, by the kinds of `deaths`: those that ended as they were
            to, with their zygote, or by the end of a call's time, are not among them.
        recycled: how many workers were replaced, by reason.
    """

    __slots__ = ("crashes", "errors", "recycled", "requests", "retries", "succeeded")

    def __init__(self) -> None:
        self.requests = 0
        self.succeeded = 0
        self.retries = 0
        self.errors: dict[str, int] = {}
        self.crashes: dict[str, int] = {}
        self.recycled: dict[str, int] = {}

    @property
    def pending(self) -> int:
        """How many have not ended."""
        return self.requests - self.succeeded - sum(self.errors.values())

    def failed(self, outcome: int, payload: Any) -> None:
        """Count a call that has ended without a value."""
        kind = payload[0] if outcome == FAILURE else "error"
        self.errors[kind] = self.errors.get(kind, 0) + 1

    def crashed(self, kind: str) -> None:
        """Count a worker that has died."""
        self.crashes[kind] = self.crashes.get(kind, 0) + 1
