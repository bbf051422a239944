"""Templates as they come from workers: looked at once, so that nothing else needs to."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from ..errors import ProtocolError
from .messages import GATE, TASK, Template

_PAIRS: Final = {"resources": int, "env": str, "groups": int}
"""Fields that are pairs of a name and this; they have come as lists."""

_TYPES: Final = {"code": bytes, "retry_exceptions": bytes, "timeout": (float, int)}
_TEXTS: Final = frozenset(
    ("name", "method", "pool", "actor_name", "namespace", "group", "function")
)


def read_template(fields: Sequence[Any]) -> Template:
    """Return the template that has these fields.

    Raises:
        ProtocolError: they are none.
    """
    try:
        sent = Template(*fields)
        pairs: dict[str, Any] = {name: _pairs(getattr(sent, name)) for name in _PAIRS}
        template = sent._replace(**pairs)
    except (TypeError, ValueError) as error:
        raise ProtocolError(f"a template cannot be read: {error!r}") from error
    for name, value in template._asdict().items():
        if name not in _PAIRS:
            _check(name, value, str if name in _TEXTS else _TYPES.get(name, int))
            continue
        for key, each in value:
            _check(f"a name in {name}", key, str)
            _check(f"{name}[{key!r}]", each, _PAIRS[name])
    if not TASK <= template.kind <= GATE:
        raise ProtocolError(f"a template cannot be read: there is no kind {template.kind}")
    return template


def _pairs(field: Any) -> tuple[tuple[Any, Any], ...]:
    return tuple((name, value) for name, value in field)


def _check(what: str, value: Any, expected: Any) -> None:
    if not isinstance(value, expected):
        raise ProtocolError(f"a template cannot be read: {what} is {value!r:.80}")
