"""Drivers that end, are ended, or cannot print: nothing stays, nobody waits, nothing is torn."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from faults_harness import MARKER, PATIENCE_S, bearing, drive, driving, script, wait_until

BUSY = """
import os, signal, sys, time
import snakepit

@snakepit.remote
def work(seconds):
    time.sleep(seconds)
    return seconds

@snakepit.remote
def daemon():
    os.posix_spawnp('sleep', ['sleep', '1000'], os.environ, setsid=True)
    return 1

snakepit.init(num_cpus=2)
assert snakepit.get(daemon.remote()) == 1
slow = [work.remote(1000) for _ in range(4)]
"""

HANGS_UP = "signal.signal(1, signal.SIG_DFL); os.kill(os.getpid(), 1); time.sleep(1000)"
"""By default, since nohup has all that it starts ignore it."""


@pytest.mark.parametrize(
    ("ending", "code"),
    [
        ("os.kill(os.getpid(), 15); time.sleep(1000)", -signal.SIGTERM),
        (HANGS_UP, -signal.SIGHUP),
        ("os._exit(7)", 7),
        ("os.abort()", -signal.SIGABRT),
        ("sys.exit(3)", 3),
        ("raise RuntimeError('by mistake')", 1),
        ("", 0),
        ("import threading; threading.Thread(target=snakepit.shutdown).start()", 0),
    ],
)
def test_every_ending_leaves_nothing(ending: str, code: int, tmp_path: Path) -> None:
    marker = f"ends-{os.getpid()}-{abs(hash(ending))}"
    with driving(BUSY + ending, tmp_path, marker=marker) as process:
        _, err = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == code, err
    assert "Exception ignored" not in err
    # A driver that was killed has a second; one that ended by itself took all with it.
    assert wait_until(lambda: not bearing(marker), timeout=2.0), bearing(marker)


def test_closed_streams_are_no_concern_of_tasks(tmp_path: Path) -> None:
    body = """
import os, sys
import snakepit

@snakepit.remote
def speak(x):
    print('out', x)
    print('err', x, file=sys.stderr)
    return x

results = []
for how in ('object', 'none', 'descriptor'):
    snakepit.init(num_cpus=2)
    if how == 'object':
        sys.stdout.close()
    elif how == 'none':
        sys.stdout = sys.stderr = None
    else:
        os.close(1)
        os.close(2)
    results.append(snakepit.get([speak.remote(x) for x in range(20)], timeout=30))
    snakepit.shutdown()
with open(sys.argv[0] + '.result', 'w') as file:
    file.write(str(results == [list(range(20))] * 3))
os._exit(0)
"""
    drive(body, tmp_path)
    assert (tmp_path / "driver.py.result").read_text() == "True"


def test_a_broken_pipe_is_no_concern_of_tasks(tmp_path: Path) -> None:
    body = """
import os, sys
import snakepit

@snakepit.remote
def speak(x):
    print('line', x)
    return x

snakepit.init(num_cpus=2)
assert snakepit.get([speak.remote(x) for x in range(200)], timeout=30) == list(range(200))
snakepit.shutdown()
sys.stderr.write('whole')
sys.stderr.flush()
os._exit(0)
"""
    reader, writer = os.pipe()
    os.close(reader)
    try:
        with driving(body, tmp_path, stdout=writer) as process:
            _, err = process.communicate(timeout=PATIENCE_S)
    finally:
        os.close(writer)
    assert (process.returncode, err) == (0, "whole")


def test_a_stream_that_lacks_a_character(tmp_path: Path) -> None:
    body = """
import snakepit

@snakepit.remote
def speak(x):
    print(x)

snakepit.init(num_cpus=1)
for text in ('sn\\u00e4ke', 'pit'):
    snakepit.get(speak.remote(text), timeout=30)
snakepit.shutdown()
"""
    env = {**os.environ, "PYTHONIOENCODING": "ascii", MARKER: "encoding"}
    command = [sys.executable, script(body, tmp_path)]
    out = subprocess.run(command, env=env, capture_output=True, timeout=PATIENCE_S).stdout
    assert [line.split(b") ")[1] for line in out.splitlines()] == [b"sn\\xe4ke", b"pit"]


def test_much_output_while_the_driver_is_busy(tmp_path: Path) -> None:
    body = """
import os, re, sys, time
import snakepit

@snakepit.remote
def pour(mark):
    line = 'x' * 99
    for number in range(100_000):
        print(f'{number:06d} {line[:92]}')
    open(mark, 'w').close()
    return 1

snakepit.init(num_cpus=2)
mark = sys.argv[0] + '.done'
ref = pour.remote(mark)
deadline = time.monotonic() + 30
# Busy in Python: the task must end while nobody here takes a line of its 10 MB.
while not os.path.exists(mark):
    sum(range(1000))
    assert time.monotonic() < deadline, 'the task was blocked by its output'
assert snakepit.get(ref, timeout=30) == 1
snakepit.shutdown()
"""
    lines = drive(body, tmp_path).splitlines()
    numbers = [int(line.split(") ")[1][:6]) for line in lines if line.startswith("(pour")]
    assert numbers == list(range(100_000))


def test_output_that_exceeds_the_spool_says_so(tmp_path: Path) -> None:
    body = """
import os, signal, sys, time
import snakepit

@snakepit.remote
def pour(mark):
    chunk = ('y' * 999 + '\\n') * 1000
    for number in range(280):
        os.write(1, chunk.encode())
    open(mark, 'w').close()

snakepit.init(num_cpus=1)
mark = sys.argv[0] + '.done'

class Stuck:
    '''A stream whose reader reads nothing until the task is done.'''
    lines = 0
    tail = ''
    def write(self, text):
        while not os.path.exists(mark):
            time.sleep(0.01)
        self.lines += text.count('\\n')
        self.tail = (self.tail + text)[-300:]
    def flush(self):
        return None

real, err = sys.stdout, sys.stderr
sys.stdout = stuck = Stuck()
sys.stderr = Stuck()
snakepit.get(pour.remote(mark), timeout=60)
# A shutdown prints for five seconds, and no longer.
end = time.monotonic() + 60
while 'missing' not in sys.stderr.tail and time.monotonic() < end:
    time.sleep(0.01)
snakepit.shutdown()
note = sys.stderr.tail
sys.stdout, sys.stderr = real, err
print(200_000 < stuck.lines < 280_000, 'missing' in note)
"""
    assert drive(body, tmp_path) == "True True\n"
