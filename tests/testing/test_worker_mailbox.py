"""The workers' real mailbox on a stream in memory: pieces, ends, pokes and several readers."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest

from snakepit.deadline import Deadline
from snakepit.testing import MemoryStream, memory_pair
from snakepit.wire import codec
from snakepit.wire import messages as wire
from snakepit.workers.mailbox import DriverGone, Mailbox

NEVER = Deadline.after(None)


class Setting(NamedTuple):
    mailbox: Mailbox
    driver: MemoryStream
    taken: list[Any]

    def say(self, *messages: tuple[Any, ...]) -> None:
        self.driver.sendall(b"".join(map(codec.Encoder(), messages)))

    def wait(self, count: int) -> None:
        assert self.mailbox.wait_for(lambda: len(self.taken) >= count, Deadline.after(30))


@pytest.fixture(params=[False, True], ids=["blocking", "spinning"])
def setting(request: pytest.FixtureRequest) -> Iterator[Setting]:
    theirs, driver = memory_pair(capacity=1 << 20)
    taken: list[Any] = []
    mailbox = Mailbox(theirs, taken.append, lambda blocking, reads: None)
    mailbox.spin = request.param
    yield Setting(mailbox, driver, taken)
    theirs.close()
    driver.close()
    os.close(mailbox._wake)


def test_messages_arrive_in_whatever_pieces(setting: Setting) -> None:
    sent = [wire.Release([n]) for n in range(20)]
    setting.driver.split(1)
    setting.say(*sent)
    setting.wait(20)
    assert setting.taken == sent


def test_the_end_in_the_midst_of_a_message(setting: Setting) -> None:
    setting.say(wire.Trim(), wire.Release([1]))
    setting.driver.cut(after=setting.driver.unread - 1, reset=False)
    with pytest.raises(DriverGone):
        setting.mailbox.wait_for(lambda: False, NEVER)
    assert setting.taken == [wire.Trim()]


def test_a_broken_connection(setting: Setting) -> None:
    setting.say(wire.Trim())
    setting.driver.cut(after=setting.driver.unread, reset=True)
    with pytest.raises(DriverGone):
        setting.mailbox.wait_for(lambda: False, NEVER)
    assert setting.taken == [wire.Trim()]
    with pytest.raises(DriverGone):
        setting.mailbox.send(wire.Unblocked(1))


def test_a_deadline_ends_the_wait(setting: Setting) -> None:
    assert not setting.mailbox.wait_for(lambda: False, Deadline.after(0))
    setting.say(wire.Trim())
    setting.wait(1)


def test_a_poke_has_the_reader_look_again(setting: Setting) -> None:
    looked, asked = threading.Event(), threading.Event()

    def ready() -> bool:
        looked.set()
        return asked.is_set()

    def ask() -> None:
        looked.wait(30)
        asked.set()
        setting.mailbox.poke()

    thread = threading.Thread(target=ask)
    thread.start()
    assert setting.mailbox.wait_for(ready, NEVER)
    thread.join()


def test_each_of_several_readers_gets_what_it_waits_for(setting: Setting) -> None:
    """Whoever holds the role handles the messages of all."""
    threads = [threading.Thread(target=setting.wait, args=(n,)) for n in (8, 4, 2, 6)]
    for thread in threads:
        thread.start()
    for n in range(8):
        setting.say(wire.Release([n]))
    for thread in threads:
        thread.join(30)
        assert not thread.is_alive()
    assert setting.taken == [wire.Release([n]) for n in range(8)]


def test_writers_keep_their_frames_whole_while_the_driver_is_slow(setting: Setting) -> None:
    big = [wire.Handles(list(range(20_000)), [n]) for n in range(4)]
    threads = [
        threading.Thread(
            target=lambda n=n: [setting.mailbox.send(big[n], wire.Unblocked(n)) for _ in range(20)]
        )
        for n in range(4)
    ]
    for thread in threads:
        thread.start()
    from snakepit.wire.frames import FrameDecoder

    decoder, found = FrameDecoder(), []
    while len(found) < 160:
        found += map(codec.decode, decoder.feed(setting.driver.recv(10_000)))
    for thread in threads:
        thread.join()
    for first, second in zip(found[::2], found[1::2]):
        assert (first, second) == (big[second.call], wire.Unblocked(second.call))


def test_what_lies_there_is_read_without_waiting(setting: Setting) -> None:
    setting.mailbox.read_waiting()
    assert setting.taken == []
    setting.say(wire.Trim(), wire.Trim())
    setting.mailbox.read_waiting()
    assert setting.taken == [wire.Trim()] * 2
