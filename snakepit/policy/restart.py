"""Retries and restarts, in one place each (design.md §8)."""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
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


def blamed(cause: Mapping[str, Any], begun: Sequence[Call], blocked: Container[int]) -> list[Call]:
    """Return those of the calls that a dead worker had begun that may have killed it.

    A call that waits in get() below the one on top of its stack has not; should all of them wait,
    it is the last. Those spared pay with a retry like the others, for they did begin, but are not
    poisoned by what others did.

    Args:
        cause: how the worker ended.
        begun: in the order in which they began.
        blocked: ids of the calls that wait.
    """
    if went_with_zygote(cause):
        return []
    return [call for call in begun if call.id not in blocked] or list(begun[-1:])


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
