"""A zygote with its client, and workers that obey, for tests."""

from __future__ import annotations

import json
import os
import select
import socket
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from snakepit.deadline import Deadline
from snakepit.ids import new_run
from snakepit.runtime.zygote import ZygoteClient, ZygoteGone
from snakepit.store.platform import memory_file
from snakepit.wire.messages import Credit, Died, Output, Spawn, Spawned

T = TypeVar("T")
SLOTS = 256
PATIENCE_S = 20.0


def pids_of(run: str) -> list[int]:
    """The living processes that bear a run's mark, the zygote included."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            if f"SNAKEPIT_RUN={run}:".encode() in (entry / "environ").read_bytes():
                found.append(int(entry.name))
        except (OSError, ValueError):
            continue
    return found


def wait_until(condition: Callable[[], Any], timeout: float = PATIENCE_S) -> bool:
    """Wait until something outside this process is true; return whether it came true in time."""
    end = time.monotonic() + timeout
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.002)
    return True


def is_alive(pid: int) -> bool:
    """Whether a process runs; a zombie does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


class Worker:
    """The driver's end of a worker that obeys."""

    def __init__(self, zygote: Zygote, number: int, mailbox: socket.socket) -> None:
        self.zygote = zygote
        self.number = number
        self.mailbox = mailbox
        self.mailbox.settimeout(PATIENCE_S)
        self.stream = mailbox.makefile("rwb", buffering=0)

    @property
    def pid(self) -> int:
        return int(self.zygote.wait(Spawned, lambda m: m.number == self.number).pid)

    def cast(self, command: str) -> None:
        """Have the worker run a command, without waiting."""
        self.stream.write(json.dumps(command).encode() + b"\n")

    def run(self, command: str) -> Any:
        """Run a command; return what it leaves in `reply`."""
        self.cast(command)
        return self.reply()

    def reply(self) -> Any:
        return json.loads(self.stream.readline())

    def died(self) -> Died:
        return self.zygote.wait(Died, lambda m: m.number == self.number)

    def close(self) -> None:
        self.stream.close()
        self.mailbox.close()


class Zygote:
    """A client, every message that came, and the workers; ends them all when closed."""

    def __init__(self, entry: str = "zygote_entries:obey", **options: Any) -> None:
        self.run = new_run()
        self.ledger = memory_file("test-ledger", 4096)
        folder = str(Path(__file__).parent)
        if folder not in sys.path:
            sys.path.insert(0, folder)
        env = {**os.environ, **options.pop("env", {})}
        self.client = ZygoteClient.start(
            run=self.run, slots=SLOTS, ledger_fd=self.ledger, env=env, entry=entry, **options
        )
        self.messages: list[Any] = []
        self.workers: dict[int, Worker] = {}
        self.controls: list[socket.socket] = []
        self.gone = False
        self.pays = True

    def spawn(self, *, label: str = "task", **env: str) -> Worker:
        number = len(self.workers) + 1
        mailbox, theirs = socket.socketpair()
        control, their_control = socket.socketpair()
        self.controls.append(control)
        self.workers[number] = worker = Worker(self, number, mailbox)
        fds = (theirs.detach(), their_control.detach())
        self.client.send(Spawn(number, number % SLOTS, label, list(env.items())), fds)
        return worker

    def take(self) -> None:
        """Receive what is there."""
        try:
            new = self.client.receive()
        except ZygoteGone:
            self.gone = True
            return
        self.messages += new
        printed = sum(len(m.text) for m in new if isinstance(m, Output))
        if self.pays and printed:
            self.client.send(Credit(printed))

    def wait_until(self, condition: Callable[[], Any]) -> None:
        """Receive until something is true."""
        end = time.monotonic() + PATIENCE_S
        poll = select.poll()
        while not condition():
            assert time.monotonic() < end, f"gave up; {self.messages[-9:]}"
            if self.gone:
                text = self.client.startup_text()
                raise AssertionError(f"the zygote is gone: {text}; {self.messages[-9:]}")
            events = select.POLLIN | (select.POLLOUT if self.client.pending else 0)
            poll.register(self.client.fileno(), events)
            poll.poll(50)
            self.client.flush()
            self.take()

    def wait(self, kind: type[T], which: Callable[[Any], bool] = lambda _: True) -> T:
        """Return the first message of a kind that passes, receiving until it comes."""
        found: list[T] = []

        def look() -> bool:
            found[:] = [m for m in self.messages if isinstance(m, kind) and which(m)][:1]
            return bool(found)

        self.wait_until(look)
        return found[0]

    def text(self, number: int, stream: int = 1) -> bytes:
        """All that a worker wrote, as far as it came."""
        return b"".join(
            m.text
            for m in self.messages
            if isinstance(m, Output) and (m.number, m.stream) == (number, stream)
        )

    def wait_text(self, number: int, text: bytes, stream: int = 1) -> None:
        self.wait_until(lambda: text in self.text(number, stream))

    def stop(self) -> None:
        self.client.stop(Deadline.after(PATIENCE_S), self.messages.append)

    def close(self) -> None:
        if self.client.exit_code is None:
            self.client.kill(Deadline.after(PATIENCE_S))
        self.client.close()
        for worker in self.workers.values():
            worker.close()
        for control in self.controls:
            control.close()
        if self.ledger >= 0:
            os.close(self.ledger)
        self.ledger = -1
