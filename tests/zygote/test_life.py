"""Workers are born as they should be, and their deaths are told in full."""

from __future__ import annotations

import os
import resource
import signal
import time
from pathlib import Path

import pytest
from zygote_harness import SLOTS, Zygote, is_alive, pids_of, wait_until

from snakepit.errors import RuntimeStartError
from snakepit.runtime import launch as launch_module
from snakepit.runtime.zygote import ZygoteClient
from snakepit.wire.messages import Died, Preload, Signal, Spawned, SpawnFailed, Started
from snakepit.workers.output import TAIL_BYTES, TAIL_LINES

DESCRIBE = """
import gc, os, resource, signal, sys
reply = dict(
    pid=os.getpid(), ppid=os.getppid(), sid=os.getsid(0), group=os.getpgid(0),
    number=setup.number, slot=setup.slot, label=setup.label, run=setup.run, slots=setup.slots,
    mark=os.environ["SNAKEPIT_RUN"], color=os.environ.get("COLOR"),
    omp=os.environ.get("OMP_NUM_THREADS"), blas=os.environ.get("OPENBLAS_NUM_THREADS"),
    fds={fd: os.readlink(f"/proc/self/fd/{fd}") for fd in sorted(os.listdir("/proc/self/fd"))
         if os.path.lexists(f"/proc/self/fd/{fd}")},
    known=[setup.mailbox.fileno(), setup.control.fileno(), setup.ledger],
    soft=resource.getrlimit(resource.RLIMIT_NOFILE)[0],
    int=signal.getsignal(signal.SIGINT) is signal.default_int_handler,
    default=[signal.getsignal(n) is signal.SIG_DFL
             for n in (signal.SIGCHLD, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)],
    mask=[int(n) for n in signal.pthread_sigmask(signal.SIG_BLOCK, ())],
    gc=gc.isenabled(), stdin=sys.stdin.read(), argv=sys.argv,
)
"""


def test_the_zygote_says_that_it_is_ready(zygote: Zygote) -> None:
    assert zygote.wait(Started).pid == zygote.client.pid
    zygote.stop()
    assert zygote.client.exit_code == 0
    assert zygote.client.startup_text() == ""


def test_a_worker_begins_with_a_clean_slate() -> None:
    zygote = Zygote(open_files=333, env={"OMP_NUM_THREADS": "3"})
    try:
        worker = zygote.spawn(label="mine", COLOR="red")
        told = worker.run(DESCRIBE)
        assert told["pid"] == worker.pid == told["sid"] == told["group"]
        assert told["ppid"] == zygote.client.pid
        assert (told["number"], told["slot"], told["label"], told["slots"]) == (1, 1, "mine", SLOTS)
        assert told["run"] == zygote.run
        assert told["mark"] == f"{zygote.run}:1"
        assert told["color"] == "red"
        assert (told["omp"], told["blas"]) == ("3", None)
        assert told["soft"] == 333
        assert told["int"] and all(told["default"]) and told["mask"] == []
        assert told["gc"] and told["stdin"] == "" and told["argv"] == ["snakepit-worker"]
        # 6 is the descriptor of the listing itself.
        assert {int(fd) for fd in told["fds"]} - {6} == {0, 1, 2, 3, 4, 5}
        assert sorted(told["known"]) == [3, 4, 5]
    finally:
        zygote.close()


def test_numeric_libraries_get_one_thread_unless_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    zygote = Zygote()
    try:
        told = zygote.spawn().run(DESCRIBE)
        assert (told["omp"], told["blas"]) == ("1", "1")
    finally:
        zygote.close()


def test_mailbox_status_and_control_are_the_drivers(zygote: Zygote) -> None:
    first, second = zygote.spawn(), zygote.spawn()
    assert first.run("setup.status[:3] = b'abc'; reply = len(setup.status)") == 64
    second.run("setup.status[60:] = b'wxyz'")
    assert bytes(zygote.client.status(1)[:4]) == b"abc\0"
    assert bytes(zygote.client.status(2)) == bytes(60) + b"wxyz"
    first.run("setup.control.sendall(b'hello')")
    assert zygote.controls[0].recv(9) == b"hello"


def test_fifty_workers(zygote: Zygote) -> None:
    zygote.wait(Started)
    before = time.perf_counter()
    workers = [zygote.spawn() for _ in range(50)]
    pids = {worker.run("import os; reply = os.getpid()") for worker in workers}
    print(f"fork and first reply: {(time.perf_counter() - before) / 50 * 1e3:.2f} ms a worker")
    assert pids == {worker.pid for worker in workers}
    zygote.stop()
    assert not pids_of(zygote.run)


@pytest.mark.parametrize(
    ("command", "code"),
    [
        ("raise SystemExit(7)", 7),
        ("import os; os._exit(3)", 3),
        ("import os; os.kill(os.getpid(), 9)", -signal.SIGKILL),
        ("import ctypes; ctypes.string_at(0)", -signal.SIGSEGV),
        ("1 / 0", 1),
        ("raise SystemExit", 0),
    ],
)
def test_a_death_is_told_with_its_code(zygote: Zygote, command: str, code: int) -> None:
    worker = zygote.spawn()
    worker.run("import sys; print('last words', file=sys.stderr)")
    worker.cast(command)
    died = worker.died()
    assert (died.code, died.pid) == (code, worker.pid)
    assert "last words" in died.stderr and "\x1e" not in died.stderr
    assert ("ZeroDivisionError" in died.stderr) == (command == "1 / 0")
    assert ("Segmentation fault" in died.stderr) == (code == -signal.SIGSEGV)
    assert zygote.spawn().run("reply = 1") == 1


def test_only_the_end_of_stderr_is_told(zygote: Zygote) -> None:
    worker = zygote.spawn()
    worker.cast(
        "import os, sys\n"
        "for n in range(5000): print(n, 'x' * 30, file=sys.stderr)\n"
        "os.write(2, b'\\xff not text')\n"
        "os._exit(1)"
    )
    lines = worker.died().stderr.splitlines()
    assert len(lines) == TAIL_LINES
    assert lines[0].startswith(f"{5001 - TAIL_LINES} ") and lines[-1] == "\ufffd not text"


def test_of_long_lines_on_stderr_only_the_end_is_told(zygote: Zygote) -> None:
    worker = zygote.spawn()
    worker.cast("import sys; print('y' * 100_000, 'end', file=sys.stderr); raise SystemExit(1)")
    told = worker.died().stderr
    assert len(told) == TAIL_BYTES and told.endswith("yyy end\n")


@pytest.mark.parametrize(
    ("entry", "code", "text"),
    [
        ("zygote_entries:fail", 1, "RuntimeError: worker 1 does not want to"),
        ("zygote_entries:leave", 1, "no reason"),
    ],
)
def test_an_entry_that_raises(entry: str, code: int, text: str) -> None:
    zygote = Zygote(entry)
    try:
        died = zygote.spawn().died()
        assert died.code == code and text in died.stderr
    finally:
        zygote.close()


def test_a_death_takes_the_workers_group_along(zygote: Zygote) -> None:
    worker = zygote.spawn()
    child = worker.run("import subprocess as s; reply = s.Popen(['sleep', '1000']).pid")
    worker.cast("import os; os._exit(0)")
    assert worker.died().code == 0
    assert wait_until(lambda: not is_alive(child))


def test_a_detached_daemon_outlives_its_worker_but_not_the_run(zygote: Zygote) -> None:
    worker = zygote.spawn()
    child = worker.run(
        "import subprocess as s; reply = s.Popen(['sleep', '1000'], start_new_session=True).pid"
    )
    worker.cast("import os; os._exit(0)")
    worker.died()
    assert is_alive(child)
    zygote.stop()
    assert not is_alive(child)


def test_a_signal_reaches_the_group(zygote: Zygote) -> None:
    worker = zygote.spawn()
    worker.run("reply = 1")
    zygote.client.send(Signal(1, signal.SIGTERM))
    assert worker.died().code == -signal.SIGTERM
    zygote.client.send(Signal(1, signal.SIGTERM))
    zygote.client.send(Signal(99, 0))
    assert zygote.spawn().run("reply = 2") == 2


def test_subprocesses_in_tasks_are_waited_for_as_usual(zygote: Zygote) -> None:
    worker = zygote.spawn()
    code = worker.run("import subprocess as s; reply = s.run(['sh', '-c', 'exit 5']).returncode")
    assert code == 5


def test_random_numbers_differ_between_workers(zygote: Zygote) -> None:
    zygote.client.send(Preload(["random", "numpy.random", "no_such_module"]))
    draw = "import random, numpy.random; reply = [random.random(), numpy.random.rand()]"
    first, second = zygote.spawn().run(draw), zygote.spawn().run(draw)
    assert first[0] != second[0] and first[1] != second[1]
    assert "no_such_module" in zygote.client.startup_text()


def test_a_preloaded_module_is_there_after_the_fork(zygote: Zygote) -> None:
    assert not zygote.spawn().run("import sys; reply = 'colorsys' in sys.modules")
    zygote.client.send(Preload(["colorsys"]))
    assert zygote.spawn().run("import sys; reply = 'colorsys' in sys.modules")


def test_a_module_that_cannot_be_read_for_want_of_descriptors_ends_nobody(zygote: Zygote) -> None:
    zygote.spawn().run("reply = 1")
    pid = zygote.client.pid
    limits = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (3, limits[1]))
    zygote.client.send(Preload(["colorsys"]))
    zygote.wait_until(lambda: "cannot preload colorsys" in zygote.client.startup_text())
    resource.prlimit(pid, resource.RLIMIT_NOFILE, limits)
    assert zygote.spawn().run("import colorsys; reply = 2") == 2
    assert zygote.workers[1].run("reply = 3") == 3


def test_two_hundred_lives_leak_no_descriptor(zygote: Zygote) -> None:
    zygote.wait(Started)
    own = Path(f"/proc/{zygote.client.pid}/fd")
    zygote.spawn().run("reply = 1")
    zygote.workers[1].cast("raise SystemExit")
    zygote.workers[1].died()
    wait_until(lambda: not zygote.client.pending)
    before = len(list(own.iterdir())), len(os.listdir("/proc/self/fd"))
    for _ in range(20):
        some = [zygote.spawn() for _ in range(10)]
        for worker in some:
            worker.cast("raise SystemExit")
        for worker in some:
            assert worker.died().code == 0
            worker.close()
    for control in zygote.controls[1:]:
        control.close()
    assert (len(list(own.iterdir())), len(os.listdir("/proc/self/fd"))) == before


def test_a_failed_spawn_is_told_and_the_zygote_lives_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    limited = launch_module._posix_spawn

    def spawn_limited(arguments: list[str], *rest: object) -> int:
        shell = ["/bin/sh", "-c", 'ulimit -n 24; exec "$@"', "sh", *arguments]
        return limited(shell, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(launch_module, "_posix_spawn", spawn_limited)
    zygote = Zygote()
    try:
        for _ in range(12):
            zygote.spawn()
        done = (Spawned, SpawnFailed)
        zygote.wait_until(lambda: sum(isinstance(m, done) for m in zygote.messages) == 12)
        failed = [m for m in zygote.messages if isinstance(m, SpawnFailed)]
        born = [m for m in zygote.messages if isinstance(m, Spawned)]
        assert failed and born
        assert all("open files" in m.reason for m in failed)
        for message in born:
            zygote.workers[message.number].cast("raise SystemExit")
        for message in born:
            assert zygote.workers[message.number].died().code == 0
        assert zygote.spawn().run("reply = 4") == 4
    finally:
        zygote.close()
    assert resource.getrlimit(resource.RLIMIT_NOFILE) == (soft, hard)


def test_a_wrong_slot_is_refused(zygote: Zygote) -> None:
    import socket

    from snakepit.wire.messages import Spawn

    one, two = socket.socketpair()
    zygote.client.send(Spawn(1, 100_000, "x", []), (one.detach(), two.detach()))
    assert "slot 100000" in zygote.wait(SpawnFailed).reason


def test_why_a_zygote_did_not_start_can_be_read() -> None:
    zygote = Zygote("no_such_module:main")
    try:
        wait_until(lambda: zygote.take() or zygote.gone)
        assert "No module named 'no_such_module'" in zygote.client.startup_text()
        zygote.client.kill()
        assert zygote.client.exit_code == 1
    finally:
        zygote.close()


def test_no_interpreter_no_zygote(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("/no/such/python", ""):
        monkeypatch.setattr("sys.executable", name)
        with pytest.raises(RuntimeStartError, match="zygote"):
            ZygoteClient.start(run="1-1-ab", slots=4, ledger_fd=0, env={})


def test_a_dead_workers_message_comes_once(zygote: Zygote) -> None:
    workers = [zygote.spawn() for _ in range(5)]
    for worker in workers:
        worker.cast("raise SystemExit(2)" if worker.number % 2 else "import os; os._exit(2)")
    for worker in workers:
        worker.died()
    assert len([m for m in zygote.messages if isinstance(m, Died)]) == 5
