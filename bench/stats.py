"""Medians and paired ratios of rounds."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from typing import NamedTuple


class Summary(NamedTuple):
    """The rounds of one cell."""

    median: float
    low: float  # first quartile
    high: float  # third quartile
    rounds: int


def summarise(values: Sequence[float]) -> Summary:
    """Median and quartiles.

    Args:
        values: one per round, at least one.

    Returns:
        The summary; of a single round, three times that round.

    Raises:
        ValueError: no value.
    """
    if not values:
        raise ValueError("no round to summarise")
    if len(values) == 1:
        return Summary(values[0], values[0], values[0], 1)
    low, median, high = statistics.quantiles(values, n=4, method="inclusive")
    return Summary(median, low, high, len(values))


def paired(ours: Sequence[float | None], theirs: Sequence[float | None]) -> list[float]:
    """Our figure over theirs, round by round.

    Rounds are compared with themselves because a machine drifts between rounds more than within
    one; a round that lacks either side is left out.

    Args:
        ours: one per round, None where the round failed.
        theirs: likewise.

    Returns:
        The ratios, at most one per round.
    """
    return [a / b for a, b in zip(ours, theirs) if a is not None and b]
