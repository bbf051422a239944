"""Resources that an actor sets aside, as long as it lives, for those who ask for them by name.

An actor's needs may have entries whose names begin with `RESERVES`: it takes the plain ones, and
what they stand for is there under the other names once it is made. Placement groups are such
actors.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import final

from ..checks import RESERVES
from .actors import Actor
from .calls import DONE, Call
from .placement import Placement
from .resources import Needs


@final
class Groups:
    """What is set aside at the moment.

    Attributes:
        keepers: the actors that set something aside, by id, while they live.
    """

    __slots__ = ("_filled", "_placement", "keepers")

    def __init__(self, placement: Placement) -> None:
        self._placement = placement
        self._filled: set[str] = set()
        self.keepers: dict[int, Actor] = {}

    def announce(self, actor: Actor) -> None:
        """The actor comes to be: who asks for what it will set aside waits, and is not refused."""
        resources = self._placement.resources
        for name, amount in _set_aside(_needs(actor)):
            resources.total[name] = amount
            resources.free[name] = 0
            self.keepers[actor.id] = actor

    def fill(self, actor: Actor) -> None:
        """The actor is made: it is there."""
        free = self._placement.resources.free
        for name, amount in _set_aside(_needs(actor)):
            free[name] += amount
            self._filled.add(name)

    def end(self, actor: Actor) -> list[Call]:
        """The actor has ended: return the calls that wait in vain. Those that run go on."""
        self.keepers.pop(actor.id, None)
        resources = self._placement.resources
        names = set()
        for name, amount in _set_aside(_needs(actor)):
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


def _needs(actor: Actor) -> Needs:
    return actor.creation.shape.template.resources


def _set_aside(needs: Needs) -> Iterator[tuple[str, int]]:
    for name, amount in needs:
        if name.startswith(RESERVES):
            yield name.removeprefix(RESERVES), amount
