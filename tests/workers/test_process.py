"""What a worker does with messages that overtake each other on its two sockets."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from snakepit.wire import messages as wire
from snakepit.workers.interruption import Interruption
from snakepit.workers.process import Worker


class Side:
    """Runs nothing; keeps what it is told."""

    def __init__(self) -> None:
        self.told: list[Any] = []

    def take(self, execute: wire.Execute, group: str) -> None:
        self.told.append(("take", execute.call, group))

    def cancel(self, call: int, force: bool) -> None:
        self.told.append(("cancel", call, force))


def test_a_cancel_that_came_before_its_call_is_not_lost() -> None:
    worker: Any = object.__new__(Worker)
    worker._beside = side = Side()
    worker._interruption = Interruption()
    template = SimpleNamespace(template=SimpleNamespace(group="io"))
    worker._executor = SimpleNamespace(known={3: template})
    worker._interruption.want(8)
    for call in (7, 8):
        worker._take(wire.Execute(call, call, 3, 0, b"", [], 0))
    assert side.told == [("take", 7, "io"), ("take", 8, "io"), ("cancel", 8, False)]
