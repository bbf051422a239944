"""What remote functions and actor classes share: they pickle without their runtime's state."""

from __future__ import annotations

from typing import Any

from ..protocol import Definition


class Portable:
    """A `Definition` with what is known of the target's signature; pickled by value.

    The state is restored as it was, never derived again from the target: when a function that
    names itself is unpickled, the function is still without its defaults and its name.
    """

    _definition: Definition

    def __getstate__(self) -> dict[str, Any]:
        state = dict(self.__dict__)
        own: Definition = state.pop("_definition")
        state["_parts"] = own.target, own.template, own.retry_on
        state.pop("_variants", None)
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        own = dict(state)
        target, template, retry_on = own.pop("_parts")
        self.__dict__.update(own, _definition=Definition(target, template, retry_on), _variants={})
