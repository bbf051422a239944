"""What a worker has asked the driver for."""

from __future__ import annotations

from snakepit.wire.messages import ERROR, OK
from snakepit.workers.wants import Wants


def test_values_are_asked_for_once_and_given_to_all_who_wait() -> None:
    wants = Wants()
    one, ask = wants.values([1, 2])
    assert ask == [1, 2]
    other, ask = wants.values([2, 3])
    assert ask == [3]
    wants.arrived(2, OK, b"two")
    wants.arrived(1, OK, b"one")
    assert one.over()
    assert not other.over()
    assert wants.take(one, [1, 2]) == {1: (OK, b"one"), 2: (OK, b"two")}
    wants.arrived(3, OK, b"three")
    assert other.over()
    assert wants.take(other, [2, 3]) == {2: (OK, b"two"), 3: (OK, b"three")}


def test_a_value_that_all_have_taken_is_asked_for_again() -> None:
    wants = Wants()
    wait, _ = wants.values([1])
    wants.arrived(1, OK, b"one")
    wants.take(wait, [1])
    wait, ask = wants.values([1])
    assert ask == [1]
    assert not wait.over()


def test_a_value_that_nobody_waits_for_any_more_is_not_kept() -> None:
    wants = Wants()
    wait, _ = wants.values([1])
    assert wants.take(wait, [1]) == {}
    wants.arrived(1, OK, b"late")
    wait, ask = wants.values([1])
    assert (wait.over(), ask) == (False, [1])


def test_an_error_ends_the_wait_for_values() -> None:
    wants = Wants()
    wait, _ = wants.values([1, 2])
    wants.arrived(2, ERROR, [b"error"])
    assert wait.over()
    assert wants.take(wait, [1, 2]) == {2: (ERROR, [b"error"])}
    # The other one is still on its way, to nobody.
    wants.arrived(1, OK, b"one")


def test_an_error_that_is_there_already_ends_it_at_once() -> None:
    wants = Wants()
    first, _ = wants.values([1])
    wants.arrived(1, ERROR, [b"error"])
    second, ask = wants.values([1, 2])
    assert second.over()
    assert ask == [2]
    assert wants.take(second, [1, 2]) == {1: (ERROR, [b"error"])}
    assert wants.take(first, [1]) == {1: (ERROR, [b"error"])}


def test_news_is_asked_for_once_however_often_one_waits() -> None:
    wants = Wants()
    ids = [1, 2, 3, 4]
    wait, ask = wants.news(ids, 1)
    assert ask == ids
    wants.arrived(3, OK, b"")
    assert wait.over()
    assert wants.known(wait, ids, 1) == [2]
    wait, ask = wants.news(ids, 1)
    assert (wait.over(), ask) == (True, [])
    assert wants.known(wait, ids, 1) == [2]
    wait, ask = wants.news(ids, 2)
    assert (wait.over(), ask) == (False, [])
    wants.arrived(1, ERROR, b"")
    assert wait.over()
    assert wants.known(wait, ids, 2) == [0, 2]


def test_news_ends_no_wait_for_a_value() -> None:
    wants = Wants()
    value, _ = wants.values([1])
    news, ask = wants.news([1], 1)
    assert ask == [1]
    wants.arrived(1, OK, b"")
    assert news.over()
    assert not value.over()
    wants.arrived(1, OK, b"one")
    assert value.over()


def test_a_value_is_news_too() -> None:
    wants = Wants()
    value, _ = wants.values([1])
    news, _ = wants.news([1], 1)
    wants.arrived(1, OK, b"one")
    assert news.over()
    assert value.over()


def test_what_was_dropped_is_forgotten_but_for_those_who_wait() -> None:
    wants = Wants()
    wait, _ = wants.news([1], 1)
    wants.forget([1, 9])
    wants.arrived(1, OK, b"")
    assert wait.over()
    wants.known(wait, [1], 1)
    wants.forget([1])
    _, ask = wants.news([1], 1)
    assert ask == [1]
    wants.arrived(7, OK, b"nobody's")
