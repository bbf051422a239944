"""Which actors have names."""

from __future__ import annotations

from typing import Literal, TypedDict, overload

from ..api.context import running
from ..checks import GROUPS, check_bool
from ..protocol import current


class NamedActor(TypedDict):
    """The name of an actor, and the namespace in which it is looked up."""

    namespace: str
    name: str


@overload
def list_named_actors(all_namespaces: Literal[False] = False) -> list[str]: ...


@overload
def list_named_actors(all_namespaces: Literal[True]) -> list[NamedActor]: ...


def list_named_actors(all_namespaces: bool = False) -> list[str] | list[NamedActor]:
    """Return the names of the living actors that have one, as `get_actor` finds them.

    Args:
        all_namespaces: not only of the caller's namespace; each then comes as a dictionary of its
            `namespace` and its `name`.

    Raises:
        TypeError: `all_namespaces` is neither True nor False.
    """
    check_bool("all_namespaces", all_namespaces)
    runtime = current() or running()
    # Without those that keep placement groups, whose names are the groups'.
    found = sorted(each for each in runtime.named_actors() if each[0] != GROUPS)
    if all_namespaces:
        return [NamedActor(namespace=namespace, name=name) for namespace, name in found]
    here = runtime.describe().get("namespace") or ""
    return [name for namespace, name in found if namespace == here]
