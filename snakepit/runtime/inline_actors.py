"""Actors of an inline runtime: an instance in the driver's own process."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, final

from ..builtin_methods import method_of
from ..wire.messages import ASYNC, METHOD, Template

if TYPE_CHECKING:
    from .inline_loop import InlineLoop

UNMADE: Final = object()


@final
class InlineActor:
    """One actor.

    Attributes:
        id: its id.
        template: that of its creation.
        methods: what its handles know of its methods.
        turn: held while one of its calls runs; not taken again by what that call calls.
        refs: the ids that its constructor's arguments contain, which it keeps for a restart.
        failure: the fields of the failure that its calls end in, once it is dead.
        restarts: how often it was made anew.
    """

    def __init__(
        self,
        identifier: int,
        template: Template,
        methods: Any,
        make: Callable[[], Any],
        forget: Callable[[InlineActor], None],
    ) -> None:
        """`make` returns a new instance; `forget` is told when the actor has ended."""
        self.id = identifier
        self.template = template
        self.methods = methods
        self.turn = threading.Lock()
        self.refs: tuple[int, ...] = ()
        self.failure: dict[str, Any] | None = None
        self.restarts = 0
        self._make = make
        self._forget = forget
        self._ending = threading.RLock()
        self._instance: Any = UNMADE
        self._loop: InlineLoop | None = None

    def construct(self) -> None:
        """Make the instance; whatever its constructor raises is raised."""
        if self.template.flavour == ASYNC:
            from .inline_loop import InlineLoop

            self._loop = InlineLoop()
        self._instance = self._on_loop(self._make, awaits=False)

    def run(self, template: Template, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Call a method and return what it returns, coroutines run to their end."""
        method = method_of(self._instance, template.method)
        awaits = template.kind == METHOD and template.flavour == ASYNC
        return self._on_loop(lambda: method(*args, **kwargs), awaits=awaits)

    def _on_loop(self, call: Callable[[], Any], *, awaits: bool) -> Any:
        return call() if self._loop is None else self._loop.run(call, awaits=awaits)

    def kill(self, *, no_restart: bool) -> None:
        """End it, or make it anew if its options allow that."""
        most = self.template.max_restarts
        with self._ending:
            if self.failure is not None:
                return
            if no_restart or 0 <= most <= self.restarts:
                self.leave("killed")
                return
            self._drop()
            self.restarts += 1
            try:
                self.construct()
            except Exception as error:
                self.leave("died", error=f"its constructor raised {error!r} at a restart")

    def leave(self, reason: str, **fields: Any) -> None:
        """It is dead: its instance goes, and later calls fail."""
        with self._ending:
            if self.failure is None:
                self.failure = {**fields, "reason": reason, "actor": self.template.name}
                self._forget(self)
                self._drop()

    def _drop(self) -> None:
        self._instance = UNMADE
        loop, self._loop = self._loop, None
        if loop is not None:
            loop.close()
