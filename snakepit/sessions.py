"""The rules for sessions: what they may be called, and what they may be told to do."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from .checks import check_choice, check_seconds, check_text, wrong_type, wrong_value

AFFINITIES: Final = ("hint", "strict_queue", "strict_fail_fast")
"""How a session is bound to a worker, in the order of the scheduler's numbers for it."""

TTL: Final = 3600.0
LONGEST_TTL: Final = 366 * 86_400.0
LONGEST_ID: Final = 256
MOST_METADATA: Final = 32
LONGEST_METADATA: Final = 4096


def check_session_id(option: str, value: object) -> str:
    """Return `value` if a session may be called so."""
    allowed = f"a string of 1 to {LONGEST_ID} characters"
    if not isinstance(value, str):
        raise wrong_type(option, value, allowed)
    if not value:
        raise wrong_value(option, value, allowed)
    if len(value) > LONGEST_ID:
        raise wrong_value(option, f"{value[:32]}... ({len(value)} characters)", allowed)
    return check_text(option, value)


def check_affinity(option: str, value: object) -> str:
    """Return `value` if it is one of `AFFINITIES`."""
    return check_choice(option, value, AFFINITIES)


def check_ttl(option: str, value: object) -> float:
    """Return the seconds that a session may be unused; 0 for as long as the runtime lives."""
    return 0.0 if value is None else check_seconds(option, value, LONGEST_TTL, zero=False)


def check_metadata(option: str, value: object) -> dict[str, str]:
    """Return what a session says of itself: a few short strings by name."""
    allowed = (
        f"a dictionary of at most {MOST_METADATA} strings by name, of {LONGEST_METADATA} "
        "characters in all"
    )
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise wrong_type(option, value, allowed)
    found: dict[str, str] = {}
    for name, text in value.items():
        if not isinstance(name, str):
            raise wrong_type(f"a name in {option}", name, "a string")
        if not isinstance(text, str):
            raise wrong_type(f"{option}[{name!r}]", text, "a string")
        found[check_text(f"a name in {option}", name)] = check_text(f"{option}[{name!r}]", text)
    size = sum(len(name) + len(text) for name, text in found.items())
    if len(found) > MOST_METADATA or size > LONGEST_METADATA:
        raise wrong_value(option, f"{len(found)} items, {size} characters", allowed)
    return found


def plain(answer: tuple[str, Any] | list[Any]) -> Any:
    """Return what the answer to a question about a session says.

    Raises:
        SnakepitError: it says why there is no answer.
    """
    kind, body = answer
    if kind:
        from .faults import Failure, to_exception

        raise to_exception(Failure(kind, body))
    return body
