"""Retries and restarts, in one place each (design.md §8)."""

from __future__ import annotations

from typing import Final

POISON_DEATHS: Final = 3
"""A call that killed this many workers is not tried again, whatever retries remain; nor is an actor
whose processes ended this many times in a row before it was made."""

START_FAILURES: Final = 3
"""Workers in a row that end before they are ready, until the calls that wait for one fail."""


def after_death(deaths: int, tries: int, max_retries: int) -> str:
    """Decide about a call that was running when its worker died for the `deaths`-th time.

    Args:
        deaths: workers that died while they ran it.
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
