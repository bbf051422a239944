"""The worker's mailbox, with more than one thread at it."""

from __future__ import annotations

import os
import socket
import threading
from typing import Any

from snakepit.deadline import NEVER
from snakepit.wire import codec
from snakepit.wire import messages as wire
from snakepit.workers.mailbox import Mailbox

PATIENCE = 30.0


def test_what_another_thread_read_meanwhile_is_not_waited_for() -> None:
    """It is read after the look for it, and before the role is taken."""
    ours, theirs = socket.socketpair()
    seen: list[Any] = []
    mailbox = Mailbox(ours, seen.append, lambda blocking: None)
    looks = 0

    def ready() -> bool:
        nonlocal looks
        looks += 1
        if looks == 1:
            theirs.sendall(codec.Encoder()(wire.Ping(1)))
            other = threading.Thread(target=mailbox.read_waiting)
            other.start()
            other.join()
            return False
        return bool(seen)

    waiter = threading.Thread(target=mailbox.wait_for, args=(ready, NEVER), daemon=True)
    waiter.start()
    waiter.join(PATIENCE)
    hangs = waiter.is_alive()
    mailbox.poke()
    os.close(mailbox.descriptors[1])
    ours.close()
    theirs.close()
    assert not hangs
    assert looks == 2
