"""Tainted slots: the place of a worker that broke stays empty for a while.

What breaks native code, the memory or a GPU tends to do so again. So a pool that asks for it has
the others work on, and starts nobody in that place for `seconds`; for twice as long, and so on,
each time that the next worker there breaks before it has returned a result.
"""

from __future__ import annotations

from typing import Final, final

LONGEST: Final = 16
"""How many times `seconds` it is at most."""


@final
class Taint:
    """The slots of one pool that are held back.

    Attributes:
        slots: by number, how often in a row each has broken.
        suspects: the same of those that are free again: who starts next takes the last one's place.
    """

    __slots__ = ("_next", "seconds", "slots", "suspects")

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.slots: dict[int, int] = {}
        self.suspects: list[int] = []
        self._next = 1

    def fresh(self) -> Taint:
        """Return one that holds nothing back yet, for as long."""
        return Taint(self.seconds)

    def strikes(self) -> int:
        """Give away a slot; return how often in a row it has broken."""
        return self.suspects.pop() if self.suspects else 0

    def hold(self, strikes: int) -> tuple[int, float]:
        """Hold a slot back that has broken so often; return its number and for how many seconds."""
        slot = self._next
        self._next += 1
        self.slots[slot] = strikes
        return slot, self.seconds * min(LONGEST, 2 ** (strikes - 1))

    def free(self, slot: int) -> None:
        """Its time is over, or there is one slot less: it need not be held back."""
        strikes = self.slots.pop(slot, None)
        if strikes is not None:
            self.suspects.append(strikes)

    def keep(self, most: int) -> None:
        """Hold back no more than `most`, those that were held last."""
        while len(self.slots) > max(0, most):
            del self.slots[next(iter(self.slots))]
