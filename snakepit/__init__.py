"""Ray-style tasks, actors and shared objects on one machine, with no daemon and no open port."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

from . import errors, exceptions
from .api.actors import ActorClass
from .api.calls import cancel, exit_actor, get, get_actor, kill, put, wait
from .api.context import init, is_initialized, shutdown
from .api.functions import RemoteFunction
from .api.generators import DynamicObjectRefGenerator, ObjectRefGenerator
from .api.handles import ActorHandle
from .api.methods import method
from .api.refs import ObjectRef
from .api.remote import remote

if TYPE_CHECKING:
    from . import actor, aio, remote_function, util
    from .api.cluster import (
        available_resources,
        cluster_resources,
        get_gpu_ids,
        nodes,
        timeline,
    )
    from .api.pools import pool
    from .api.sessions import Session
    from .api.whereabouts import get_runtime_context
    from .backends.executor import Executor
    from .heartbeats import Heartbeat
    from .pools import CircuitBreaker, Pool
    from .script import run_as_script

__all__ = [
    # begin and end
    "init",
    "shutdown",
    "is_initialized",
    "get_runtime_context",
    # what there is
    "nodes",
    "cluster_resources",
    "available_resources",
    "get_gpu_ids",
    "timeline",
    "pool",
    # programs
    "run_as_script",
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
    "ObjectRefGenerator",
    "DynamicObjectRefGenerator",
    "RemoteFunction",
    "ActorClass",
    "ActorHandle",
    "CircuitBreaker",
    "Heartbeat",
    "Pool",
    "Session",
    # at home elsewhere
    "Executor",
    # modules
    "errors",
    "exceptions",
    "actor",
    "aio",
    "remote_function",
    "util",
]

_ON_FIRST_USE: Final = {
    "actor": ".actor",
    "aio": ".aio",
    "remote_function": ".remote_function",
    "util": ".util",
    "get_runtime_context": ".api.whereabouts",
    "Executor": ".backends.executor",
    "CircuitBreaker": ".pools",
    "Heartbeat": ".heartbeats",
    "Pool": ".pools",
    "Session": ".api.sessions",
    "pool": ".api.pools",
    "run_as_script": ".script",
    **dict.fromkeys(
        ("nodes", "cluster_resources", "available_resources", "get_gpu_ids", "timeline"),
        ".api.cluster",
    ),
}
"""Public names that few programs use, and the modules that have them, or are them."""


def __getattr__(name: str) -> Any:
    """Load what `import snakepit` does not pay for, when it is first asked for."""
    where = _ON_FIRST_USE.get(name)
    if where is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = import_module(where, __name__)
    found = module if where == f".{name}" else getattr(module, name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
