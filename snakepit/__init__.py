"""Ray-style tasks, actors and shared objects on one machine, with no daemon and no open port."""

from __future__ import annotations

from . import errors, exceptions
from .api.actors import ActorClass
from .api.calls import cancel, exit_actor, get, get_actor, kill, put, wait
from .api.context import get_runtime_context, init, is_initialized, shutdown
from .api.functions import RemoteFunction
from .api.handles import ActorHandle
from .api.methods import method
from .api.refs import ObjectRef
from .api.remote import remote

__all__ = [
    # begin and end
    "init",
    "shutdown",
    "is_initialized",
    "get_runtime_context",
    # make remote
    "remote",
    "method",
    # use
    "get",
    "put",
    "wait",
    "cancel",
    "kill",
    "get_actor",
    "exit_actor",
    # types
    "ObjectRef",
    "RemoteFunction",
    "ActorClass",
    "ActorHandle",
    # modules
    "errors",
    "exceptions",
]
