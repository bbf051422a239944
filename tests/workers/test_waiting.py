"""How a call waits inside a worker."""

from __future__ import annotations

import threading
from typing import Any

from snakepit.deadline import NEVER
from snakepit.wire import messages as wire
from snakepit.workers.interruption import Interruption
from snakepit.workers.waiting import Waiting

PATIENCE = 30.0


class Box:
    """A mailbox that keeps what is sent, and waits for no message."""

    def __init__(self) -> None:
        self.sent: list[Any] = []
        self.waits = threading.Semaphore(0)

    def send(self, *messages: Any) -> None:
        self.sent += messages

    def wait_for(self, ready: Any, deadline: Any) -> bool:
        self.waits.release()
        while not ready():
            threading.Event().wait(0.001)
        return True


def test_a_call_waits_for_as_long_as_one_of_its_threads_does() -> None:
    box = Box()
    waiting = Waiting(box, Interruption(), list)  # type: ignore[arg-type]
    there = {1: threading.Event(), 2: threading.Event()}

    def wait(identifier: int) -> None:
        blocked = wire.Blocked(7, [identifier], True, [])
        assert waiting.beside(box.send, blocked, there[identifier].is_set, NEVER)

    threads = []
    for identifier in there:
        threads.append(threading.Thread(target=wait, args=(identifier,)))
        threads[-1].start()
        assert box.waits.acquire(timeout=PATIENCE)
    for identifier, thread in zip(there, threads, strict=True):
        there[identifier].set()
        thread.join(PATIENCE)
    assert box.sent == [
        wire.Blocked(7, [1], True, []),
        wire.Blocked(7, [1, 2], True, []),
        wire.Blocked(7, [2], True, []),
        wire.Unblocked(7),
    ]
