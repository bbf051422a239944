from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from snakepit.policy.resources import UNIT, Needs, Resources

NAMES = ("CPU", "gpu")
needs = st.lists(
    st.tuples(st.sampled_from(NAMES), st.integers(1, 3 * UNIT)),
    max_size=2,
    unique_by=lambda need: need[0],
).map(tuple)


def test_a_refusal_looks_at_the_total_and_fits_at_what_is_free() -> None:
    resources = Resources({"CPU": 2 * UNIT})
    two = (("CPU", 2 * UNIT),)
    resources.change((("CPU", UNIT),), 1)
    assert resources.refusal(two) is None
    assert not resources.fits(two)
    wanted = {"needs": {"gpu": 1.0}, "total": {"CPU": 2.0}}
    assert resources.refusal((("gpu", UNIT),)) == ("unschedulable", wanted)
    assert resources.fits(())


def test_room_is_how_many_fit() -> None:
    resources = Resources({"CPU": 3 * UNIT, "gpu": UNIT})
    assert resources.room((("CPU", UNIT),), 10) == 3
    assert resources.room((("CPU", UNIT),), 2) == 2
    assert resources.room((("CPU", UNIT), ("gpu", UNIT)), 10) == 1
    assert resources.room((), 7) == 7


def test_room_is_none_when_more_is_used_than_there_is() -> None:
    resources = Resources({"CPU": UNIT})
    resources.change((("CPU", UNIT),), 2)
    assert resources.free["CPU"] == -UNIT
    assert resources.room((("CPU", UNIT),), 5) == 0
    assert not resources.fits((("CPU", 1),))


@given(st.lists(needs))
def test_what_is_put_back_leaves_the_total(taken: list[Needs]) -> None:
    resources = Resources(dict.fromkeys(NAMES, UNIT))
    for need in taken:
        resources.change(need, 1)
    for need in reversed(taken):
        resources.change(need, -1)
    assert resources.free == resources.total
