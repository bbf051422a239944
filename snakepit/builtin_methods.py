"""Methods that every actor has, by Ray's names."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Final, NoReturn

from .protocol import ActorExit


def _ready(actor: Any) -> bool:
    return True


def _call(actor: Any, function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
    return function(actor, *args, **kwargs)


def _terminate(actor: Any) -> NoReturn:
    raise ActorExit


BUILT_IN: Final[Mapping[str, Callable[..., Any]]] = MappingProxyType(
    {"__ray_ready__": _ready, "__ray_call__": _call, "__ray_terminate__": _terminate}
)
"""What they do, given the instance: say that it was made; call a function with it; end after the
calls that came before."""


def method_of(actor: Any, name: str) -> Callable[..., Any]:
    """Return the method of an actor's instance of that name."""
    built_in = BUILT_IN.get(name)
    if built_in is not None:
        return built_in.__get__(actor)  # type: ignore[no-any-return]
    method: Callable[..., Any] = getattr(actor, name)
    return method
