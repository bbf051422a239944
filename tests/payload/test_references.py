"""References are noted while a value is packed, and refused elsewhere."""

from __future__ import annotations

import pickle
from typing import Any

import pytest

from snakepit.payload import note_reference, pack, pack_call


class Reference:
    def __init__(self, number: int) -> None:
        self.number = number

    def __reduce__(self) -> Any:
        note_reference(self.number)
        return int, (self.number,)


def test_references_are_found_wherever_they_are() -> None:
    packed = pack_call((Reference(3), [1, {"k": Reference(5)}]), {"a": Reference(3)})
    assert packed.refs == (3, 5)


def test_a_reference_does_not_travel_elsewhere() -> None:
    with pytest.raises(TypeError, match="travel only inside"):
        pickle.dumps(Reference(1))


def test_a_failed_pack_leaves_no_collector() -> None:
    class Refuses:
        def __reduce__(self) -> Any:
            raise RuntimeError("no")

    with pytest.raises(TypeError):
        pack([Reference(1), Refuses()], what="a value")
    with pytest.raises(TypeError, match="travel only inside"):
        pickle.dumps(Reference(1))
