"""From a definition, as the API makes it, to a template and the bytes of its code."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .protocol import Definition
from .wire.messages import Template

if TYPE_CHECKING:
    from .payload import Packed

DEFAULT_POOL = "default"
"""Where calls go that name no pool."""

RETRY_ALL = b"*"
"""`Template.retry_exceptions` for every exception; else pickled types, or nothing for none."""


def complete(definition: Definition, namespace: str) -> tuple[Template, Packed | None]:
    """Return the definition's template with its code's digest, and the packed code.

    `namespace` is the runtime's own, for actors that name none.

    Raises:
        SerializationError: the function, class or an exception type cannot be pickled.
    """
    template = definition.template
    if not template.pool:
        template = template._replace(pool=DEFAULT_POOL)
    if not template.namespace:
        template = template._replace(namespace=namespace)
    retry_on = definition.retry_on
    if retry_on:
        types = RETRY_ALL if isinstance(retry_on, bool) else _pack_types(retry_on, template.name)
        template = template._replace(retry_exceptions=types)
    if definition.target is None:
        return template, None
    from .payload import pack_code

    code = pack_code(definition.target)
    return template._replace(code=code.digest), code.packed


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
