"""What remote functions and actor classes share: they pickle without their runtime's state."""

from __future__ import annotations

from typing import Any

from ..protocol import Definition
from .signature import Signature


class Portable:
    """A `Definition` with what is known of its target's signature; pickled by value.

    The state is restored as it was, never derived again from the target: when a function that
    names itself is unpickled, the function is still without its defaults and its name.

    The two fields are slots because attributes of objects whose `__dict__` someone has looked at
    take several times as long to read.
    """

    __slots__ = ("_definition", "_signature")

    def _bind(self, definition: Definition, signature: Signature) -> None:
        self._definition = definition
        self._signature = signature

    def __getstate__(self) -> tuple[Any, ...]:
        own = self._definition
        rest = dict(getattr(self, "__dict__", ()))
        if "_variants" in rest:
            rest["_variants"] = {}
        session = getattr(self, "_session", "")
        if session:
            rest["_session"] = session
        return (own.target, own.template, own.retry_on), self._signature, rest

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        parts, signature, rest = state
        self._bind(Definition(*parts), signature)
        for name, value in rest.items():
            setattr(self, name, value)
