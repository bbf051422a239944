"""What a machine refuses to give: descriptors, processes, depth, memory."""

from __future__ import annotations

from pathlib import Path

from faults_harness import drive

LIMITED = """
import os, resource, sys, time
resource.setrlimit(resource.RLIMIT_NOFILE, (256, 256))
import snakepit
from snakepit import errors

@snakepit.remote
def square(x):
    return x * x

@snakepit.remote
class Actor:
    def pid(self):
        return os.getpid()

def works_on():
    assert snakepit.get([square.remote(x) for x in range(50)], timeout=30) == [
        x * x for x in range(50)
    ]

def fds():
    return len(os.listdir('/proc/self/fd'))
"""


def test_few_descriptors_are_enough(tmp_path: Path) -> None:
    drive(
        LIMITED
        + """
with snakepit.init(num_cpus=2):
    works_on()
    actors = [Actor.options(num_cpus=0).remote() for _ in range(20)]
    assert len(set(snakepit.get([a.pid.remote() for a in actors], timeout=30))) == 20
    large = [snakepit.put(bytes(100_000)) for _ in range(300)]
    assert len(snakepit.get(large[-1])) == 100_000
""",
        tmp_path,
    )


def test_actors_beyond_the_descriptors_are_refused_clearly(tmp_path: Path) -> None:
    out = drive(
        LIMITED
        + """
snakepit.init(num_cpus=2)
works_on()
before = fds()
actors = [Actor.options(num_cpus=0).remote() for _ in range(200)]
made, refused = 0, 0
for actor in actors:
    try:
        snakepit.get(actor.pid.remote(), timeout=60)
        made += 1
    except errors.ActorDiedError as error:
        assert 'Too many open files' in str(error) or 'open files' in str(error), error
        refused += 1
assert made > 50 and refused > 20, (made, refused)
del actors, actor
end = time.monotonic() + 30
while fds() > before + 4:
    assert time.monotonic() < end, (fds(), before)
    snakepit.get(square.remote(1), timeout=30)
    time.sleep(0.01)
works_on()
again = [Actor.options(num_cpus=0).remote() for _ in range(20)]
assert len(snakepit.get([a.pid.remote() for a in again], timeout=30)) == 20
snakepit.shutdown()
print('whole')
""",
        tmp_path,
    )
    assert out == "whole\n"


def test_a_driver_without_descriptors_fails_to_start_clearly(tmp_path: Path) -> None:
    out = drive(
        LIMITED
        + """
snakepit.init(num_cpus=1)
works_on()
snakepit.shutdown()
before = fds()
for spare in (0, 2, 4, 6, 8, 10, 12, 14):
    held = []
    try:
        while True:
            held.append(os.open('/dev/null', os.O_RDONLY))
    except OSError:
        for _ in range(spare):
            os.close(held.pop())
    try:
        snakepit.init(num_cpus=1)
        works_on()
        snakepit.shutdown()
    except errors.SnakepitError as error:
        print(type(error).__name__)
        if snakepit.is_initialized():
            snakepit.shutdown()
    for fd in held:
        os.close(fd)
assert fds() == before, (fds(), before)
snakepit.init(num_cpus=1)
works_on()
snakepit.shutdown()
""",
        tmp_path,
    )
    assert set(out.split()) <= {"RuntimeStartError", "PoolFailedError", "WorkerCrashedError"}
    assert "RuntimeStartError" in out


def test_recursion_without_end(tmp_path: Path) -> None:
    out = drive(
        """
import os, sys
import snakepit
from snakepit import errors
from snakepit.protocol import current

@snakepit.remote
def deeper(n):
    return snakepit.get(deeper.remote(n + 1))

@snakepit.remote
def square(x):
    return x * x

snakepit.init(num_cpus=2, max_workers=4)
placement = current()._core.scheduler.placement
most = 0
add = placement.staff.add
def count(*args, **kwargs):
    global most
    worker = add(*args, **kwargs)
    most = max(most, len(placement.workers))
    return worker
placement.staff.add = count
try:
    snakepit.get(deeper.remote(0), timeout=60)
except errors.NestingDepthError:
    print('refused')
assert most <= 4, most
assert snakepit.get([square.remote(x) for x in range(50)], timeout=30)[-1] == 49 * 49
snakepit.shutdown()
""",
        tmp_path,
    )
    assert out == "refused\n"


def test_a_bomb_of_calls_is_no_bomb_of_processes(tmp_path: Path) -> None:
    out = drive(
        """
import os, time
import snakepit
from snakepit.protocol import current

@snakepit.remote
def bomb():
    bomb.remote()
    bomb.remote()

snakepit.init(num_cpus=2)
core = current()._core
fuse = bomb.remote()
end = time.monotonic() + 1.0
most = 0
while time.monotonic() < end:
    most = max(most, len(core.connections))
    snakepit.wait([fuse], timeout=0.01)
assert most <= 4, most
# There is no end of it but this one.
snakepit.shutdown()
print('over')
""",
        tmp_path,
    )
    assert out == "over\n"
