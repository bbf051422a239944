"""`make starve`, small: a second with four processes that spin for each core."""

from __future__ import annotations

from . import starve


def test_nobody_who_is_only_slow_is_thought_to_hang() -> None:
    report = starve.run(1.0, 4, ahead=6)
    assert not report.ended, str(report)
    assert report.calls
