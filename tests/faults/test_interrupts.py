"""Ctrl-C at any moment: it raises KeyboardInterrupt, and nothing is lost, torn or left behind."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
from faults_harness import PATIENCE_S, bearing, drive, driving, wait_until

COMMON = """
import os, random, signal, sys, threading, time
import snakepit
from snakepit.protocol import current

# Ignored when the suite runs in the background of a shell.
signal.signal(signal.SIGINT, signal.default_int_handler)

@snakepit.remote
def square(x):
    return x * x

@snakepit.remote
def pause(seconds):
    time.sleep(seconds)
    return seconds

class Tormentor:
    '''Sends SIGINT to the main thread, some moments after each `strike`.'''

    def __init__(self, seed):
        self.dice = random.Random(seed)
        self.go = threading.Semaphore(0)
        self.most = 0.001
        self.struck = threading.Event()
        threading.Thread(target=self.run, daemon=True).start()

    def run(self):
        main = threading.main_thread().ident
        while True:
            self.go.acquire()
            end = time.perf_counter() + self.dice.random() * self.most
            while time.perf_counter() < end:
                pass
            signal.pthread_kill(main, signal.SIGINT)
            self.struck.set()

    def during(self, work, most=0.001):
        '''Whether Ctrl-C came out of `work`; it comes during it or right after.'''
        self.most = most
        self.struck.clear()
        try:
            self.go.release()
            work()
            self.struck.wait(10)
            # One that came in a finalizer comes again a moment later.
            end = time.monotonic() + 10
            while time.monotonic() < end:
                time.sleep(0.001)
        except KeyboardInterrupt:
            self.struck.wait(10)
            return True
        raise SystemExit('the signal was lost')

def works_on():
    assert snakepit.get([square.remote(x) for x in range(50)], timeout=30) == [
        x * x for x in range(50)
    ]
    resources = current()._core.scheduler.resources
    end = time.monotonic() + 30
    while resources.free != resources.total:
        assert time.monotonic() < end, resources.free
        time.sleep(0.001)
"""


def test_in_remote_get_put_and_wait(tmp_path: Path) -> None:
    out = drive(
        COMMON
        + """
snakepit.init(num_cpus=2)
tormentor = Tormentor(1)
refs = []

def submit():
    for x in range(200):
        refs.append((x, square.remote(x)))

def collect():
    for _ in range(100):
        assert snakepit.get(square.remote(3)) == 9

def store():
    for _ in range(10):
        assert snakepit.get(snakepit.put(b'x' * 200_000)) == b'x' * 200_000

def look():
    some = [square.remote(x) for x in range(20)]
    while some:
        _, some = snakepit.wait(some)

@snakepit.remote
class Counter:
    def __init__(self):
        self.calls = 0
    def count(self):
        self.calls += 1
        return self.calls

counter = Counter.remote()
counts = []

def count():
    for _ in range(100):
        counts.append(counter.count.remote())

for round in range(40):
    for work in (submit, collect, store, look, count):
        assert tormentor.during(work, 0.004)
    values = snakepit.get([ref for _, ref in refs], timeout=30)
    assert values == [x * x for x, _ in refs]
    refs.clear()
    counted = snakepit.get(counts, timeout=30)
    assert counted == sorted(set(counted))
works_on()
counts.clear()
core = current()._core
end = time.monotonic() + 30
while len(core.entries) > 1 or core.memory.ledger.used():
    assert time.monotonic() < end, (core.entries, core.memory.ledger.used())
    core.update(core.memory.trim)
    time.sleep(0.001)
print('whole')
""",
        tmp_path,
    )
    assert out == "whole\n"


def test_in_a_get_that_would_last_for_ever(tmp_path: Path) -> None:
    out = drive(
        COMMON
        + """
snakepit.init(num_cpus=2)
tormentor = Tormentor(2)
works_on()
slow = pause.remote(1000)
for _ in range(20):
    assert tormentor.during(lambda: snakepit.get(slow), 0.02)
    assert tormentor.during(lambda: snakepit.wait([slow]), 0.02)
# Nor can one be held off by results that keep coming.
flood = [square.remote(x) for x in range(20_000)]
started = time.monotonic()
assert tormentor.during(lambda: snakepit.get([*flood, slow]), 0.005)
assert snakepit.get(flood, timeout=30)[-1] == 19_999 ** 2
# While another thread waits as well.
got = []
thread = threading.Thread(target=lambda: got.append(snakepit.get(pause.remote(1.0))))
thread.start()
assert tormentor.during(lambda: snakepit.get(slow), 0.02)
thread.join(30)
assert got == [1.0]
snakepit.cancel(slow)
try:
    snakepit.get(slow, timeout=30)
except snakepit.errors.TaskCancelledError:
    works_on()
    print('whole')
""",
        tmp_path,
    )
    assert out == "whole\n"


def test_at_init_and_shutdown(tmp_path: Path) -> None:
    out = drive(
        COMMON
        + """
tormentor = Tormentor(3)

def start():
    snakepit.init(num_cpus=2)

def stop():
    snakepit.shutdown()

def fds():
    return len(os.listdir('/proc/self/fd'))

snakepit.init(num_cpus=2)
works_on()
snakepit.shutdown()
before = fds()
original = signal.getsignal(signal.SIGINT)
for round in range(12):
    assert tormentor.during(start, 0.02)
    if round % 2:
        snakepit.init(num_cpus=2, ignore_reinit_error=True)
        works_on()
    assert tormentor.during(stop, 0.02)
    snakepit.shutdown()
    assert not snakepit.is_initialized()
    assert signal.getsignal(signal.SIGINT) is original
import gc
gc.collect()
assert fds() <= before, (fds(), before)
try:
    pid, _ = os.waitpid(-1, os.WNOHANG)
    raise SystemExit(f'a child is left: {pid}')
except ChildProcessError:
    print('whole')
""",
        tmp_path,
    )
    assert out == "whole\n"


@pytest.mark.parametrize("where", ["get", "loop", "sleep"])
def test_a_driver_ended_by_it_leaves_nothing(where: str, tmp_path: Path) -> None:
    marker = f"interrupted-{os.getpid()}-{where}"
    body = (
        COMMON
        + f"""
snakepit.init(num_cpus=2)
slow = [pause.remote(1000) for _ in range(4)]
works = snakepit.get(square.options(num_cpus=0).remote(2))
print('ready', flush=True)
if {where!r} == 'get':
    snakepit.get(slow)
elif {where!r} == 'loop':
    while True:
        square.options(num_cpus=0).remote(1)
time.sleep(1000)
"""
    )
    # To the group, as a terminal does it: only the driver may hear it.
    with driving(body, tmp_path, marker=marker, start_new_session=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        os.killpg(process.pid, signal.SIGINT)
        _, err = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == -signal.SIGINT
    assert "KeyboardInterrupt" in err
    assert "Exception ignored" not in err
    assert wait_until(lambda: not bearing(marker)), bearing(marker)
