"""Retries and restarts, in one place each (design.md §8)."""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from .calls import Call

POISON_DEATHS: Final = 3
"""A call that killed this many workers is not tried again, whatever retries remain; nor is an actor
whose processes ended this many times in a row before it was made."""

START_FAILURES: Final = 3
"""Workers in a row that end before they are ready, until the calls that wait for one fail."""


def went_with_zygote(cause: Mapping[str, Any]) -> bool:
    """Tell whether a worker ended because its zygote did: nothing in it is to blame."""
    return "zygote" in cause


def blamed(cause: Mapping[str, Any], begun: Iterable[Call], blocked: Container[int]) -> list[Call]:
    """Return those of the calls that a dead worker had begun that may have killed it.

    Not one that waits in get() or wait(): what ran meanwhile is another call, above it on the
    stack, or nothing. Whoever waits long would be poisoned by chance on a machine that kills now
    and then. It did begin, so that it pays with a retry as the others do.

    Args:
        cause: how the worker ended.
        begun: the calls that it had begun and not answered.
        blocked: ids of the calls that wait.
    """
    if went_with_zygote(cause):
        return []
    return [call for call in begun if call.id not in blocked]


def after_death(deaths: int, tries: int, max_retries: int) -> str:
    """Decide about a call that had begun when its worker died.

    Args:
        deaths: workers that it may have killed so far.
        tries: how often it was tried in vain, those times included.
        max_retries: as its options say; -1 means for ever.

    Returns:
        "retry", "poisoned" or "crashed".
    """
    if 0 <= max_retries < tries:
        return "crashed"
    return "poisoned" if deaths >= POISON_DEATHS else "retry"


def after_exception(tries: int, max_retries: int) -> bool:
    """Tell whether a call that raised a retryable exception runs again after `tries` in vain."""
    return max_retries < 0 or tries <= max_retries


def may_restart(restarts: int, max_restarts: int) -> bool:
    """Tell whether an actor that was restarted `restarts` times is started once more.

    A process that ended before the constructor began is no life of the actor: another is started
    in any case, up to `POISON_DEATHS` in a row.
    """
    return max_restarts < 0 or restarts < max_restarts
