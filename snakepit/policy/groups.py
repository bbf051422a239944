"""Resources that an actor sets aside, as long as it lives, for those who ask for them by name.

An actor's needs may have entries whose names begin with `RESERVES`: it takes the plain ones, and
what they stand for is there under the other names once it is made. Placement groups are such
actors.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import final

from ..checks import RESERVES
from .calls import DONE, Call
from .placement import Placement
from .resources import Needs


@final
class Groups:
    """What is set aside at the moment."""

    __slots__ = ("_filled", "_placement")

    def __init__(self, placement: Placement) -> None:
        self._placement = placement
        self._filled: set[str] = set()

    def announce(self, needs: Needs) -> None:
        """The actor comes to be: who asks for what it will set aside waits, and is not refused."""
        resources = self._placement.resources
        for name, amount in _set_aside(needs):
            resources.total[name] = amount
            resources.free[name] = 0

    def fill(self, needs: Needs) -> None:
        """The actor is made: it is there."""
        free = self._placement.resources.free
        for name, amount in _set_aside(needs):
            free[name] += amount
            self._filled.add(name)

    def end(self, needs: Needs) -> list[Call]:
        """The actor has ended: return the calls that wait in vain. Those that run go on."""
        resources = self._placement.resources
        names = set()
        for name, amount in _set_aside(needs):
            names.add(name)
            resources.total.pop(name, None)
            if name in self._filled:
                self._filled.remove(name)
                resources.free[name] -= amount
        return self._refuse(names) if names else []

    def _refuse(self, names: set[str]) -> list[Call]:
        stranded: list[Call] = []
        for klass in self._placement.klasses.values():
            if any(name in names for name, _ in klass.needs):
                klass.refusal = ("group_removed", {})
                stranded += [call for call in klass.queue if call.state is not DONE]
                klass.queue.clear()
                self._placement.waiting.pop(klass, None)
        return stranded


def _set_aside(needs: Needs) -> Iterator[tuple[str, int]]:
    for name, amount in needs:
        if name.startswith(RESERVES):
            yield name.removeprefix(RESERVES), amount
