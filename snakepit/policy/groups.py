"""Resources that are set aside, for those who ask for them by names of their own.

A keeper is an actor without a process: it takes resources, and what its `RESERVES` entries stand
for is there under the other names from then on, until it ends. Placement groups are keepers. Since
it needs no constructor to run, it is made as soon as it is placed; and its methods do nothing but
to return then, so that there is something to wait for.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import final

from ..checks import RESERVES
from ..wire.messages import CREATE, NONE, Template
from .actors import Actor
from .calls import DONE, Call
from .completion import Completion
from .placement import Placement


@final
class Groups:
    """What is set aside.

    Attributes:
        keepers: those who set something aside or wait for it, by id.
    """

    def __init__(self, placement: Placement, completion: Completion) -> None:
        self._placement = placement
        self._completion = completion
        self.keepers: dict[int, Actor] = {}

    def announce(self, keeper: Actor) -> None:
        """It comes to be: who asks for what it will set aside waits, and is not refused."""
        self.keepers[keeper.id] = keeper
        resources = self._placement.resources
        for name, amount in _set_aside(keeper):
            resources.total[name] = amount
            resources.free[name] = 0

    def fill(self, keeper: Actor) -> None:
        """There is what it asks for: take that, and set it aside."""
        keeper.creation.to("finish")
        keeper.to("place")
        keeper.to("made")
        placement = self._placement
        placement.resources.change(keeper.creation.shape.klass.needs, 1)
        set_aside = dict(_set_aside(keeper))
        for name, amount in set_aside.items():
            placement.resources.free[name] += amount
        waiting, keeper.lanes = list(keeper.queued()), {}
        for call in waiting:
            if call.state is not DONE:
                self.answer(call)
        for klass in placement.classes.in_order():
            if klass.needs_any(set(set_aside)):
                placement.dispatch(klass)

    def answer(self, call: Call) -> None:
        """End a call of a keeper that has what it asked for."""
        self._completion.succeed(call, (NONE,), ())

    def end(self, keeper: Actor, filled: bool) -> list[Call]:
        """It has ended: return the calls that wait in vain. Those that run go on.

        `filled` says whether it had what it asked for.
        """
        del self.keepers[keeper.id]
        placement = self._placement
        resources = placement.resources
        if filled:
            resources.change(keeper.creation.shape.klass.needs, -1)
            if placement.waiting or placement.pinned.held:
                placement.dispatch_soon()
        set_aside = dict(_set_aside(keeper))
        for name, amount in set_aside.items():
            resources.total.pop(name, None)
            resources.free[name] -= amount * filled
            if not resources.free[name]:
                del resources.free[name]
        names = set(set_aside)
        stranded = placement.classes.without(names)
        return stranded + placement.sessions.take_waiting(lambda klass: klass.needs_any(names))


def is_keeper(template: Template) -> bool:
    """Tell whether a template makes an actor that does nothing but set something aside."""
    return template.kind == CREATE and any(
        name.startswith(RESERVES) for name, _ in template.resources
    )


def _set_aside(keeper: Actor) -> Iterator[tuple[str, int]]:
    for name, amount in keeper.creation.shape.template.resources:
        if name.startswith(RESERVES):
            yield name.removeprefix(RESERVES), amount
