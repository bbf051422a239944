"""Actors, under the names by which Ray's programs import them."""

from __future__ import annotations

from .api.actors import ActorClass, ActorClassInheritanceError
from .api.calls import exit_actor
from .api.handles import ActorHandle, ActorMethod
from .api.methods import method
from .api.typed import Actor, ActorProxy

__all__ = [
    "Actor",
    "ActorClass",
    "ActorClassInheritanceException",
    "ActorHandle",
    "ActorMethod",
    "ActorProxy",
    "exit_actor",
    "method",
]

ActorClassInheritanceException = ActorClassInheritanceError
