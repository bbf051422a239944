"""The suite itself: its page is up to date, and it is as large as it claims."""

from __future__ import annotations

from tests.conformance.differences import PAGE, differences, page


def test_the_page_of_differences_is_up_to_date() -> None:
    assert PAGE.read_text() == page(), "run: python -m tests.conformance"


def test_each_difference_is_said_in_sentences() -> None:
    for each in differences():
        assert each.what.endswith((".", ":")) and each.reason.endswith("."), each
