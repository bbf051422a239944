"""Resources: what exists, what is free, in whole ten-thousandths so that sums are exact."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import Any, Final, TypeAlias, final

from ..wire.messages import CREATE, TASK, Template

UNIT = 10_000

GPU = "GPU"
"""Of these it also counts which; see `devices`."""

Needs: TypeAlias = tuple[tuple[str, int], ...]
"""What a call uses, without zeros; what is refused is never asked for again."""


ONE_CPU: Final[Needs] = (("CPU", UNIT),)


def needs_of(template: Template, declared: bool) -> Needs:
    """Return what a call needs, with entries of 0: what it asks for, or else what is usual.

    That is a CPU for a task, and for an actor while it is made; nothing for what runs on what its
    actor has, or not at all, nor in a declared pool, whose workers are the limit.
    """
    elsewhere = not declared or (template.kind == CREATE and not template.pooled)
    usual = template.kind in (TASK, CREATE) and elsewhere
    return template.resources or (ONE_CPU if usual else ())


@final
class Resources:
    """Totals and what is free of them.

    Who uses what was a group's may use it longer than there is a total of it.
    """

    __slots__ = ("free", "total")

    def __init__(self, total: Mapping[str, int]) -> None:
        self.total = dict(total)
        self.free = defaultdict[str, int](int, total)

    def refusal(self, needs: Needs) -> tuple[str, dict[str, Any]] | None:
        """Return None if `needs` could ever be met, else kind and fields of the failure record."""
        if all(self.total.get(name, 0) >= amount for name, amount in needs):
            return None
        wanted = {name: amount / UNIT for name, amount in needs}
        total = {name: amount / UNIT for name, amount in self.total.items()}
        return "unschedulable", {"needs": wanted, "total": total}

    def fits(self, needs: Needs) -> bool:
        """Tell whether `needs` can be met now."""
        free = self.free
        for name, amount in needs:
            if free[name] < amount:
                return False
        return True

    def room(self, needs: Needs, most: int) -> int:
        """Return how many times `needs` fit now, `most` at the most."""
        for name, amount in needs:
            most = min(most, max(0, self.free[name]) // amount)
        return most

    def change(self, needs: Needs, times: int) -> None:
        """Take `needs` out `times` times, or put them back if it is negative.

        What is free may fall below zero: a call that ends its wait goes on at once, and whatever
        started meanwhile is not stopped for it.
        """
        free = self.free
        for name, amount in needs:
            free[name] -= amount * times
