"""The public names, pinned: to change them is a decision, not an accident."""

from __future__ import annotations

import snakepit
import snakepit.exceptions

NAMES = {
    "init",
    "shutdown",
    "is_initialized",
    "get_runtime_context",
    "nodes",
    "cluster_resources",
    "available_resources",
    "get_gpu_ids",
    "timeline",
    "pool",
    "run_as_script",
    "remote",
    "method",
    "get",
    "put",
    "wait",
    "cancel",
    "kill",
    "get_actor",
    "exit_actor",
    "ObjectRef",
    "ObjectRefGenerator",
    "DynamicObjectRefGenerator",
    "RemoteFunction",
    "ActorClass",
    "ActorHandle",
    "Pool",
    "Session",
    "CircuitBreaker",
    "Heartbeat",
    "Executor",
    "errors",
    "exceptions",
    "actor",
    "aio",
    "remote_function",
    "util",
}


def test_all_lists_the_public_names() -> None:
    assert set(snakepit.__all__) == NAMES
    assert len(snakepit.__all__) == len(NAMES)


def test_each_public_name_exists_and_is_documented() -> None:
    undocumented = [name for name in NAMES if not getattr(snakepit, name).__doc__]
    assert undocumented == []
