from __future__ import annotations

import pytest

from bench.stats import Summary, paired, summarise


def test_summary_of_rounds() -> None:
    assert summarise([5.0, 1.0, 3.0, 2.0, 4.0]) == Summary(3.0, 2.0, 4.0, 5)


def test_one_round_is_its_own_summary() -> None:
    assert summarise([7.0]) == Summary(7.0, 7.0, 7.0, 1)


def test_no_round_has_no_summary() -> None:
    with pytest.raises(ValueError, match="no round"):
        summarise([])


def test_ratios_are_of_the_same_round() -> None:
    assert paired([10.0, 40.0], [5.0, 10.0]) == [2.0, 4.0]


def test_rounds_that_lack_a_side_are_left_out() -> None:
    assert paired([10.0, None, 9.0, 8.0], [5.0, 1.0, None, 0.0]) == [2.0]
