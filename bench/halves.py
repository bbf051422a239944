"""What a call costs each side alone: `python -m bench.halves [--profile]`.

The driver's half meets a worker that answers at once, in the same thread, and no socket; the
worker's half meets a mailbox that always has one more call. The least of many small batches stands,
which whatever else the machine does can only raise. With `--profile`, where the time goes.
"""

from __future__ import annotations

import argparse
import cProfile
import os
import pickle
import pstats
import select
import socket
import sys
import threading
from collections import deque
from collections.abc import Callable
from time import perf_counter
from typing import Any, Final

import msgpack

import snakepit
from snakepit import protocol
from snakepit.api.templates import task_template
from snakepit.deadline import NEVER
from snakepit.wire import codec
from snakepit.wire import messages as wire
from snakepit.wire.frames import FrameDecoder
from snakepit.workers.execution import Executor, Known
from snakepit.workers.interruption import Interruption
from snakepit.workers.mailbox import Mailbox

BATCHES: Final = 300
CALLS: Final = 50
NONE: Final = pickle.dumps(None, 5)


def nothing() -> None:
    """The task, which does nothing."""


def least(work: Callable[[int], Any], calls: int) -> float:
    """Microseconds per call in the fastest batch."""
    best = float("inf")
    for _ in range(BATCHES):
        began = perf_counter()
        work(calls)
        best = min(best, perf_counter() - began)
    return best / calls * 1e6


class AtOnce:
    """A mailbox whose worker answers within `send`."""

    def __init__(self, real: Any) -> None:
        self.fileno = real.fileno
        self.close = real.close
        self.answers = b""
        self._decoder = FrameDecoder()
        self._encode = codec.Encoder()

    def send(self, data: bytes) -> int:
        for body in self._decoder.feed(data):
            fields = msgpack.unpackb(body, strict_map_key=False)
            if fields[0] == codec.EXECUTE:
                result: tuple[object, ...] = (codec.RESULT, fields[2], 0, [NONE], [], 10, ())
                self.answers += self._encode.fields(result)
        return len(data)

    def recv(self, size: int) -> bytes:
        answers, self.answers = self.answers, b""
        return answers


class Polled:
    """An epoll set that sees those answers."""

    def __init__(self, real: Any, mailboxes: list[AtOnce]) -> None:
        self._real = real
        self._mailboxes = mailboxes

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)

    def poll(self, timeout: float | None = None) -> Any:
        events = [(m.fileno(), select.EPOLLIN) for m in self._mailboxes if m.answers]
        return events if events or timeout == 0 else self._real.poll(timeout)


def driver() -> tuple[Callable[[int], Any], Callable[[int], Any], Callable[[int], Any]]:
    """Return calls one by one, calls at once, and what the stand-in itself costs."""
    snakepit.init(num_cpus=1)
    task = snakepit.remote(nothing)
    snakepit.get([task.remote() for _ in range(CALLS)])
    runtime: Any = protocol.current()
    core = runtime._core
    pump = core.pump
    pump._closed = True  # the background thread, which would read beside this one
    pump.poke()
    pump._background_bell.ring()
    pump._thread.join()
    mailboxes = []
    for connection in core.connections.values():
        connection._mailbox = mailbox = AtOnce(connection._mailbox)
        connection.outbox._send = mailbox.send
        mailboxes.append(mailbox)
    pump._epoll = Polled(pump._epoll, mailboxes)
    frame = core._encode.fields((codec.EXECUTE, 1, 1, 1, 0, NONE, (), 1))

    def one_by_one(calls: int) -> None:
        for _ in range(calls):
            snakepit.get(task.remote())

    def at_once(calls: int) -> None:
        snakepit.get([task.remote() for _ in range(calls)])

    def stand_in(calls: int) -> None:
        for _ in range(calls):
            mailboxes[-1].send(frame)
            mailboxes[-1].recv(1)

    return one_by_one, at_once, stand_in


class Endless:
    """A stream that always has one more call."""

    def __init__(self) -> None:
        self._ends = socket.socketpair()
        self._ends[1].send(b"x")
        self.fileno = self._ends[0].fileno
        self.call = codec.Encoder()(wire.Execute(1, 5, 1, 0, pickle.dumps(((), {}), 5), [], 1))

    def setblocking(self, flag: bool) -> None:
        pass

    def sendall(self, data: bytes) -> None:
        pass

    def recv(self, size: int) -> bytes:
        return self.call


def worker() -> Callable[[int], Any]:
    """Return calls of an executor behind a mailbox, as the main loop of a worker makes them."""
    queue: deque[Any] = deque()
    never: Any = NEVER
    stream: Any = Endless()
    mailbox = Mailbox(stream, queue.append, lambda blocking, reads: None)
    interruption = Interruption()
    interruption.main = threading.get_ident()
    values: Any = None
    runtime: Any = None
    executor = Executor(values, interruption, runtime, mailbox, lambda digest: None)
    template: Any = task_template("nothing", {})._replace(code=b"d")
    known = executor.known[1] = Known(template)
    executor._codes[b"d"] = nothing

    def calls(count: int) -> None:
        for _ in range(count):
            mailbox.wait_for(lambda: queue, never)
            ended = executor.run(queue.popleft(), known)
            mailbox.send_fields((codec.RESULT, 5, *ended, 1, ()))

    return calls


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m bench.halves", description=__doc__)
    parser.add_argument("--profile", action="store_true", help="list the dearest functions")
    arguments = parser.parse_args()
    one_by_one, at_once, stand_in = driver()
    theirs = worker()
    halves = {"driver, one at a time": one_by_one, "worker": theirs}
    cost = least(stand_in, CALLS)
    print(f"driver, one at a time: {least(one_by_one, CALLS) - cost:.1f} µs")
    print(f"driver, {4 * CALLS} at once: {least(at_once, 4 * CALLS) - cost:.1f} µs")
    print(f"worker: {least(theirs, CALLS):.1f} µs")
    for name, work in halves.items() if arguments.profile else ():
        profiler = cProfile.Profile()
        profiler.runcall(work, 5000)
        print(f"\n{name}")
        pstats.Stats(profiler).sort_stats("tottime").print_stats(30)
    sys.stdout.flush()
    # The runtime's own end would wait for answers from a worker that is no more heard.
    os._exit(0)


if __name__ == "__main__":
    main()
