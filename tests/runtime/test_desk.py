"""The desk of sessions by itself: when those out of use are closed, by a clock of the test's."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from snakepit.runtime.desk import Desk, Kept

TTL = 100.0


class Setting:
    """A desk with one session, and how busy that is."""

    def __init__(self) -> None:
        self.now = 0.0
        self.busy = False
        self.desk = Desk(
            lambda identifier, affinity: SimpleNamespace(number=1),
            lambda session: None,
            lambda session: self.busy,
            lambda session: None,
            lambda: ["pool"],
            now=lambda: self.now,
        )
        self.ask("s", "pool", "hint", TTL, {})

    def ask(self, session: Any, *arguments: Any) -> Any:
        return self.desk.answer("open", session, *arguments)

    def call(self) -> None:
        """A call comes, as the runtime notes it."""
        kept = self.desk.of(("s", 1), "pool")
        assert isinstance(kept, Kept)
        kept.called = True

    def sweep(self, until: float) -> bool:
        """Let time pass; tell whether the session is still open."""
        while self.now + self.desk.pause <= until and self.desk.kept:
            self.now += self.desk.pause
            self.desk.sweep()
        self.now = until
        return bool(self.desk.kept)


def test_it_is_closed_when_its_time_is_over_and_not_before() -> None:
    setting = Setting()
    assert setting.sweep(until=TTL)
    assert not setting.sweep(until=1.5 * TTL)


def test_the_end_of_a_call_is_a_use_wherever_between_two_sweeps() -> None:
    for begin, end in ((1.0, 24.0), (1.0, 49.0), (26.0, 99.0), (24.0, 26.0)):
        setting = Setting()
        assert setting.sweep(until=begin)
        setting.call()
        setting.busy = True
        assert setting.sweep(until=end)
        setting.busy = False
        assert setting.sweep(until=end + TTL), (begin, end)
        assert not setting.sweep(until=end + 1.5 * TTL + 1), (begin, end)


def test_one_that_has_gone_is_not_opened_by_its_number() -> None:
    setting = Setting()
    assert not setting.sweep(until=2 * TTL)
    assert setting.desk.of(("s", 1), "pool") == ("session_closed", {"session": "s"})
    assert setting.ask("s", "none", "hint", TTL, {})[0] == "unknown_pool"
    assert setting.ask("s", "pool", "hint", TTL, {}, False) == ("", 0)
    assert setting.ask("s", "pool", "hint", TTL, {}) == ("", 1)
