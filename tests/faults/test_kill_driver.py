"""kill -9 of the driver at random moments: after one second there is nothing of its run.

`SNAKEPIT_TEST_KILLS` sets how often.
"""

from __future__ import annotations

import os
import random
import select
import signal
import time
from pathlib import Path

import pytest
from faults_harness import PATIENCE_S, bearing, driving, is_alive, wait_until

KILLS = int(os.environ.get("SNAKEPIT_TEST_KILLS", "5"))

BODY = """
import os, subprocess, sys, time
import snakepit

@snakepit.remote
def subprocesses():
    child = subprocess.Popen(['sleep', '1000'])
    group = subprocess.Popen(['sh', '-c', 'sleep 1000 & sleep 1000'])
    return [child.pid, group.pid]

@snakepit.remote
def daemons():
    session = subprocess.Popen(['sleep', '1000'], start_new_session=True)
    # The double fork of a daemon: its parent is gone, its session its own.
    if not os.fork():
        os.setsid()
        if not os.fork():
            os.execvpe('sleep', ['sleep', '1000'], dict(os.environ))
        os._exit(0)
    os.wait()
    return [session.pid]

@snakepit.remote
class Actor:
    def work(self, seconds):
        time.sleep(seconds)
        return bytes(200_000)

@snakepit.remote
def work(seconds):
    time.sleep(seconds)
    return bytes(200_000)

def main():
    snakepit.init(num_cpus=2)
    actors = [Actor.options(num_cpus=0).remote() for _ in range(2)]
    if FORKS:
        pid = os.fork()
        if not pid:
            time.sleep(1000)
        print('child', pid, flush=True)
    print('begun', flush=True)
    while True:
        refs = [subprocesses.remote(), daemons.remote()]
        refs += [work.remote(0.002) for _ in range(20)]
        refs += [actor.work.remote(0.001) for actor in actors for _ in range(5)]
        stored = [snakepit.put(bytes(200_000)) for _ in range(3)]
        snakepit.get(refs)
        print('round', flush=True)
        del refs, stored

main()
"""


def names() -> set[str]:
    """Sockets with a name; names of shared memory are looked for after each test anyway."""
    found = set()
    for line in Path("/proc/net/unix").read_text().splitlines()[1:]:
        path = line.split(maxsplit=7)[7:]
        if path and "snakepit" in path[0]:
            found.add(path[0])
    return found


def strike(folder: Path, number: int, *, forks: bool) -> None:
    dice = random.Random(number + 1000 * forks)
    marker = f"killed-{os.getpid()}-{number}-{forks}"
    before = names()
    body = f"FORKS = {forks}\n" + BODY
    child = 0
    with driving(body, folder, marker=marker) as process:
        assert process.stdout is not None
        # Also before anything has begun, and while the runtime starts.
        moment = dice.choice(["start", "begun", "round"])
        while moment != "start":
            line = process.stdout.readline()
            assert line, process.communicate()[1][-2000:]
            if line.startswith("child"):
                child = int(line.split()[1])
            if line.startswith(moment):
                break
        # The random moment itself: nothing is waited for that could be missed.
        select.select([], [], [], dice.random() * 0.2)
        process.send_signal(signal.SIGKILL)
        killed = time.monotonic()
        process.wait()
        children = {child} if child else set()

        def left() -> dict[int, str]:
            found = {pid: text for pid, text in bearing(marker).items() if pid not in children}
            if forks and not child:
                # Struck before it could name its child, which is the driver's and not the run's.
                mine = [pid for pid, text in found.items() if str(folder) in text]
                children.update(pid for pid in mine if "SNAKEPIT_RUN" not in _environment(pid))
            return {pid: text for pid, text in found.items() if pid not in children}

        try:
            assert wait_until(lambda: not left(), timeout=1.0), left()
            assert time.monotonic() - killed < PATIENCE_S
            assert not names() - before, names() - before
            assert all(map(is_alive, {child} - {0}))
        finally:
            for pid in bearing(marker):
                os.kill(pid, signal.SIGKILL)
    assert wait_until(lambda: not bearing(marker))


def _environment(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/environ").read_text()
    except OSError:
        return ""


@pytest.mark.timeout(60 + 5 * KILLS)
def test_nothing_is_left(tmp_path: Path) -> None:
    for number in range(KILLS):
        strike(tmp_path, number, forks=False)


@pytest.mark.timeout(60 + 5 * KILLS)
def test_nothing_is_left_while_a_forked_child_lives(tmp_path: Path) -> None:
    for number in range(KILLS):
        strike(tmp_path, number, forks=True)
