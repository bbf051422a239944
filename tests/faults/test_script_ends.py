"""Scripts that end by signals, by force and by broken pipes: the status, and nothing left."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from faults_harness import PATIENCE_S, bearing, driving, wait_until

from snakepit.registry import records

# A task that waits, with a daemon that lost its parent; main waits for it.
BODY = """
import os, subprocess, sys, time
import snakepit

@snakepit.remote
def waits():
    subprocess.run(['setsid', '--fork', 'sleep', '1000'], check=True)
    print('task', flush=True)
    time.sleep(1000)

def main():
    ref = waits.remote()
    try:
        snakepit.get(ref)
    finally:
        print('unwinding', flush=True)
        UNWINDING

snakepit.run_as_script(main, OPTIONS)
"""


pytestmark = pytest.mark.usefixtures("signals_as_at_a_terminal")


@pytest.fixture(autouse=True)
def empty_register(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """What else runs here, or was killed by other tests, is not this one's."""
    for name in ("XDG_RUNTIME_DIR", "TMPDIR"):
        monkeypatch.setenv(name, str(tmp_path))


@contextmanager
def running(
    folder: Path, unwinding: str = "pass", options: str = "", **more: Any
) -> Iterator[subprocess.Popen[str]]:
    """A script whose task runs; nothing of it may be left in the end."""
    body = BODY.replace("UNWINDING", unwinding).replace("OPTIONS", options)
    marker = f"script-{folder.name}-{os.getpid()}"
    with driving(body, folder, marker=marker, **more) as process:
        read_until(process, "task")
        yield process
        process.wait(PATIENCE_S)
    assert wait_until(lambda: not bearing(marker)), bearing(marker)
    assert wait_until(lambda: not records())


def read_until(process: subprocess.Popen[str], word: str) -> None:
    assert process.stdout is not None
    for line in process.stdout:
        if word in line:
            return
    raise AssertionError(f"it ended without {word!r}")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_the_first_signal_ends_it_in_order(tmp_path: Path, number: signal.Signals) -> None:
    options = "on_signal=lambda number: print('signal', number, flush=True)"
    with running(tmp_path, options=options) as process:
        process.send_signal(number)
        out, err = process.communicate()
    assert process.returncode == 128 + number
    assert (out, err) == (f"unwinding\nsignal {int(number)}\n", "")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_second_signal_ends_it_at_once(tmp_path: Path, number: signal.Signals) -> None:
    with running(tmp_path, unwinding="time.sleep(1000)") as process:
        process.send_signal(number)
        read_until(process, "unwinding")
        process.send_signal(signal.SIGINT)
        assert process.wait(PATIENCE_S) == -signal.SIGINT  # which shells show as 130


def test_what_does_not_end_in_time_is_ended_by_force(tmp_path: Path) -> None:
    with running(tmp_path, "time.sleep(1000)", "shutdown_timeout=0.3") as process:
        process.send_signal(signal.SIGTERM)
        _, err = process.communicate()
    assert process.returncode == 143
    assert err == "snakepit: ended by force: shutdown_timeout=0.3 s is over\n"


def test_a_thread_that_does_not_end_cannot_hold_up_the_end(tmp_path: Path) -> None:
    unwinding = "import threading; threading.Thread(target=time.sleep, args=(1000,)).start()"
    with running(tmp_path, unwinding, "shutdown_timeout=0.3") as process:
        process.send_signal(signal.SIGINT)
        _, err = process.communicate()
    assert process.returncode == 130 and "ended by force" in err


def test_a_hangup_that_nohup_ignores_is_ignored(tmp_path: Path) -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with running(tmp_path) as process:
            process.send_signal(signal.SIGHUP)
            process.send_signal(signal.SIGTERM)
            process.communicate()
    finally:
        signal.signal(signal.SIGHUP, before)
    assert process.returncode == 143


def test_a_fork_of_main_dies_by_the_signal_itself(tmp_path: Path) -> None:
    body = """
    import os, signal, snakepit, warnings
    warnings.simplefilter('ignore')  # since 3.12 there is one of forks beside threads
    def main():
        ended = []
        for number in (signal.SIGTERM, signal.SIGHUP):
            pid = os.fork()
            if not pid:
                signal.raise_signal(number)
                os._exit(7)
            ended.append(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
        print(ended)
    snakepit.run_as_script(main)
    """
    with driving(body, tmp_path) as process:
        out, err = process.communicate()
    assert (process.returncode, out, err) == (0, "[-15, -1]\n", "")


# --- pipes -------------------------------------------------------------------------------------

PRINTS = """
import snakepit
@snakepit.remote
def task():
    print('from the task')
def main():
    snakepit.get(task.remote())
    for number in range(100_000):
        print(number)
snakepit.run_as_script(main)
"""


def test_a_pipe_that_nobody_reads_ends_it_without_a_word(tmp_path: Path) -> None:
    with driving(PRINTS, tmp_path) as process:
        assert process.stdout is not None and process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == ""
        assert process.wait(PATIENCE_S) == 1
    assert wait_until(lambda: not records())


def test_a_pipe_that_was_closed_before_does_not_change_that(tmp_path: Path) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    try:
        with driving(PRINTS, tmp_path, stdout=writer) as process:
            _, err = process.communicate()
    finally:
        os.close(writer)
    assert (process.returncode, err) == (1, "")


def test_another_broken_pipe_is_an_error(tmp_path: Path) -> None:
    body = """
    import os, snakepit
    def main():
        reader, writer = os.pipe()
        os.close(reader)
        os.write(writer, b'x')
    snakepit.run_as_script(main)
    """
    with driving(body, tmp_path) as process:
        _, err = process.communicate()
    assert process.returncode == 1 and err.endswith("BrokenPipeError: [Errno 32] Broken pipe\n")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_is_told(tmp_path: Path) -> None:
    body = "import snakepit\nsnakepit.run_as_script(lambda: print('x'))"
    with open("/dev/full", "w") as full, driving(body, tmp_path, stdout=full) as process:
        _, err = process.communicate()
    assert process.returncode == 1
    assert "No space left on device" in err and "Exception ignored" not in err


# --- where it exits ----------------------------------------------------------------------------

AUTO = "import snakepit; print('returned', snakepit.run_as_script(lambda: None))"


@pytest.mark.parametrize(("flags", "returns"), [(["-c", AUTO], False), (["-i", "-c", AUTO], True)])
def test_a_script_exits_and_a_prompt_does_not(flags: list[str], returns: bool) -> None:
    done = subprocess.run(
        [sys.executable, *flags], stdin=subprocess.DEVNULL, capture_output=True, text=True
    )
    assert (done.returncode, "returned 0" in done.stdout) == (0, returns)
