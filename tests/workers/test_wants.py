"""What a worker has asked the driver for."""

from __future__ import annotations

from snakepit.wire.messages import ERROR, OK
from snakepit.workers.wants import Wait, Wants


def values(wants: Wants, ids: list[int]) -> tuple[Wait, list[int]]:
    """Begin to wait for values and ask for them."""
    wait, ask = wants.values(ids)
    wants.asked(ask, True)
    return wait, ask


def news(wants: Wants, ids: list[int], count: int) -> tuple[Wait, list[int]]:
    """Begin to wait for news and ask for them."""
    wait, ask = wants.news(ids, count)
    wants.asked(ask, False)
    return wait, ask


def test_values_are_asked_for_once_and_given_to_all_who_wait() -> None:
    wants = Wants()
    one, ask = values(wants, [1, 2])
    assert ask == [1, 2]
    other, ask = values(wants, [2, 3])
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
    wait, _ = values(wants, [1])
    wants.arrived(1, OK, b"one")
    wants.take(wait, [1])
    wait, ask = values(wants, [1])
    assert ask == [1]
    assert not wait.over()


def test_a_value_that_nobody_waits_for_any_more_is_not_kept() -> None:
    wants = Wants()
    wait, _ = values(wants, [1])
    assert wants.take(wait, [1]) == {}
    wants.arrived(1, OK, b"late")
    wait, ask = values(wants, [1])
    assert (wait.over(), ask) == (False, [1])


def test_an_error_ends_the_wait_for_values() -> None:
    wants = Wants()
    wait, _ = values(wants, [1, 2])
    wants.arrived(2, ERROR, [b"error"])
    assert wait.over()
    assert wants.take(wait, [1, 2]) == {2: (ERROR, [b"error"])}
    # The other one is still on its way, to nobody.
    wants.arrived(1, OK, b"one")


def test_an_error_that_is_there_already_ends_it_at_once() -> None:
    wants = Wants()
    first, _ = values(wants, [1])
    wants.arrived(1, ERROR, [b"error"])
    second, ask = values(wants, [1, 2])
    assert second.over()
    assert ask == [2]
    assert wants.take(second, [1, 2]) == {1: (ERROR, [b"error"])}
    assert wants.take(first, [1]) == {1: (ERROR, [b"error"])}


def test_news_is_asked_for_once_however_often_one_waits() -> None:
    wants = Wants()
    ids = [1, 2, 3, 4]
    wait, ask = news(wants, ids, 1)
    assert ask == ids
    wants.arrived(3, OK, b"")
    assert wait.over()
    assert wants.known(wait, ids, 1) == [2]
    wait, ask = news(wants, ids, 1)
    assert (wait.over(), ask) == (True, [])
    assert wants.known(wait, ids, 1) == [2]
    wait, ask = news(wants, ids, 2)
    assert (wait.over(), ask) == (False, [])
    wants.arrived(1, ERROR, b"")
    assert wait.over()
    assert wants.known(wait, ids, 2) == [0, 2]


def test_news_ends_no_wait_for_a_value() -> None:
    wants = Wants()
    value, _ = values(wants, [1])
    told, ask = news(wants, [1], 1)
    assert ask == [1]
    wants.arrived(1, OK, b"")
    assert told.over()
    assert not value.over()
    wants.arrived(1, OK, b"one")
    assert value.over()


def test_a_value_is_news_too() -> None:
    wants = Wants()
    value, _ = values(wants, [1])
    told, _ = news(wants, [1], 1)
    wants.arrived(1, OK, b"one")
    assert told.over()
    assert value.over()


def test_what_was_dropped_is_forgotten_but_for_those_who_wait() -> None:
    wants = Wants()
    wait, _ = news(wants, [1], 1)
    wants.forget([1, 9])
    wants.arrived(1, OK, b"")
    assert wait.over()
    wants.known(wait, [1], 1)
    wants.forget([1])
    _, ask = news(wants, [1], 1)
    assert ask == [1]
    wants.arrived(7, OK, b"nobody's")


def test_who_asks_before_another_has_asked_asks_too() -> None:
    wants = Wants()
    first, ask = wants.values([1])
    second, also = wants.values([1])  # what this thread asks next must be answered after the value
    assert (ask, also) == ([1], [1])
    wants.asked(also, True)
    wants.arrived(1, OK, b"one")
    wants.asked(ask, True)  # late: it has come, and may have to be asked for again
    assert first.over() and second.over()
    for wait in (first, second):
        assert wants.take(wait, [1]) == {1: (OK, b"one")}
    wants.arrived(1, OK, b"one")  # the second answer, to nobody
    assert wants.values([1])[1] == [1]
