"""From a definition, as the API makes it, to a template and the bytes of its code."""

from __future__ import annotations

from collections.abc import Container
from typing import TYPE_CHECKING, Any

from .checks import IN_GROUP, RESERVES, UNITS
from .errors import NotSupportedError, TaskTimeoutError
from .policy.resources import Needs
from .protocol import Definition
from .wire.messages import ASYNC, CREATE, METHOD, TASK, Template

if TYPE_CHECKING:
    from .payload import Packed

DEFAULT_POOL = "default"
"""Where calls go that name no pool."""

RETRY_ALL = b"*"
"""`Template.retry_exceptions` for every exception; else pickled types, or nothing for none."""


def complete(
    definition: Definition, namespace: str, threaded: Container[str] = ()
) -> tuple[Template, Packed | None]:
    """Return the definition's template with its code's digest, and the packed code.

    `namespace` is the runtime's own, for actors that name none; `threaded` are the names of its
    thread pools.

    Raises:
        SerializationError: the function, class or an exception type cannot be pickled.
        NotSupportedError: it says that it is not thread-safe, or is an actor with coroutines, and
            names a thread pool.
    """
    template = definition.template
    if not template.pool:
        template = template._replace(pool=DEFAULT_POOL)
    if (template.kind == TASK or template.pooled) and template.pool in threaded:
        _check_thread_safe(definition.target, template)
        _check_flavour(template)
        _check_memory_limit(template)
    if not template.namespace:
        template = template._replace(namespace=namespace)
    retry_on = definition.retry_on
    if retry_on:
        types = RETRY_ALL if isinstance(retry_on, bool) else _pack_types(retry_on, template.name)
        template = template._replace(retry_exceptions=types)
        if template.timeout:
            again = isinstance(retry_on, bool) or issubclass(TaskTimeoutError, retry_on)
            template = template._replace(retry_timeout=int(again))
    if definition.target is None:
        return template, None
    from .payload import pack_code

    code = pack_code(definition.target)
    return template._replace(code=code.digest), code.packed


def _check_flavour(template: Template) -> None:
    if template.flavour == ASYNC:
        raise NotSupportedError(
            f"{template.name} has methods that are coroutines, and the actors of pool "
            f"{template.pool!r} run in threads, side by side with other calls: none of them can be "
            'an event loop. Take a pool with profile="process" or no pool, where it has a process '
            "to itself; or plain methods and max_concurrency"
        )


def _check_memory_limit(template: Template) -> None:
    if template.memory_limit:
        raise NotSupportedError(
            f"memory_limit of {template.name}: pool {template.pool!r} runs several calls at once "
            "in each process, which shares its memory; give the pool a memory_limit"
        )


def _check_thread_safe(target: Any, template: Template) -> None:
    if getattr(target, "thread_safe", True) is False:
        raise NotSupportedError(
            f"{template.name} says thread_safe = False, and pool {template.pool!r} runs several "
            "calls at once in threads of one process: call it in a pool with "
            'profile="process", or guard what it shares by a lock and take thread_safe away'
        )


def function_of(template: Template, creation: Template | None) -> str:
    """Return the full name of what a call runs.

    Args:
        template: the call's.
        creation: that of the actor's constructor, if the call is of an actor.
    """
    kind = creation.function if creation is not None else template.function
    if template.kind == CREATE:
        return f"{kind}.__init__"
    return f"{kind}.{template.method}" if template.kind == METHOD else kind


def assigned(needs: Needs) -> dict[str, float]:
    """Return what a task or actor is given; of a placement group under the plain names."""
    found: dict[str, float] = {}
    for name, amount in needs:
        if amount and not name.startswith(RESERVES):
            found[name.partition(IN_GROUP)[0]] = amount / UNITS
    return found


def group_of(template: Template) -> str | None:
    """Return the id of the placement group that a task or actor runs in."""
    for name, _ in template.resources:
        if IN_GROUP in name and not name.startswith(RESERVES):
            return name.rpartition("_")[2]
    return None


def _pack_types(types: tuple[type[BaseException], ...], name: str) -> bytes:
    from .payload import pack

    return bytes(pack(types, what=f"retry_exceptions of {name}").parts[0])


def retries(template: Template, error: BaseException) -> bool:
    """Tell whether the options of a call want this exception to be retried."""
    wanted = template.retry_exceptions
    if not wanted:
        return False
    if wanted == RETRY_ALL:
        return isinstance(error, Exception)
    from .payload import unpack

    types: Any = unpack([wanted])
    return isinstance(error, types)
