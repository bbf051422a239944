"""How much the workers of a pool may do before others take their places, and who is to go."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple, final

if TYPE_CHECKING:
    from .workers import Worker

LOOKS: Final = 64
"""Looks at the age of a pool's workers, evenly spread over the time that they may live."""

EARLIEST: Final = 48
"""The look at which the first of them go; the others follow up to the last."""

SPREAD: Final = 64
STRIDE: Final = 37
"""Workers made one after another are spread evenly over the last quarter of a limit, each at a
place of its own: its number times the stride, modulo the spread. Both have no common divisor."""


class Lifespan(NamedTuple):
    """What a worker may have: seconds, calls, bytes of its own; None: as much as it likes."""

    ttl: float | None = None
    requests: int | None = None
    memory: int | None = None

    @property
    def limited(self) -> bool:
        """Whether there is any limit."""
        return self != UNLIMITED

    def last_look(self, number: int) -> int:
        """Return the look at which worker `number` has lived long enough."""
        return EARLIEST + _place(number) * (LOOKS - EARLIEST) // (SPREAD - 1)

    def enough(self, number: int) -> int:
        """Return how many calls worker `number` serves before another is started for it."""
        assert self.requests is not None
        return self.requests - self.requests // 4 * _place(number) // (SPREAD - 1)


UNLIMITED: Final = Lifespan()


def _place(number: int) -> int:
    return number * STRIDE % SPREAD


@final
class Turnover:
    """Who is to be replaced in one pool.

    Attributes:
        lifespan: what each worker may have.
        due: those who have had it, and wait for their turn.
        replaced: those beside whom another starts; they go when there are enough without them.
        aging: whether a timer looks at their ages.
        unweighed: those who have ended a call since their memory was last looked at.
    """

    __slots__ = ("aging", "due", "lifespan", "replaced", "unweighed")

    def __init__(self, lifespan: Lifespan = UNLIMITED) -> None:
        self.lifespan = lifespan
        self.due: dict[int, Worker] = {}
        self.replaced: dict[int, Worker] = {}
        self.aging = False
        self.unweighed: dict[int, Worker] = {}

    def forget(self, number: int) -> None:
        """A worker has gone, for whatever reason."""
        self.due.pop(number, None)
        self.replaced.pop(number, None)
        self.unweighed.pop(number, None)
