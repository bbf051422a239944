"""What tasks print appears at the driver, with its origin."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from typing import Any

import pytest

import snakepit
from tests.runtime.helpers import PATIENCE, wait_until

pytestmark = pytest.mark.usefixtures("runtime")


@snakepit.remote
def say(text: str, *, to: str = "stdout", end: str = "\n") -> int:
    print(text, file=getattr(sys, to), end=end)
    return os.getpid()


@contextmanager
def captured(to: str = "stdout") -> Iterator[io.StringIO]:
    """A stream in the place of the driver's, as a notebook puts one there."""
    stream = io.StringIO()
    with (redirect_stdout if to == "stdout" else redirect_stderr)(stream):
        yield stream


@pytest.mark.parametrize("to", ["stdout", "stderr"])
def test_lines_bear_the_name_and_the_pid(to: str) -> None:
    with captured(to) as stream:
        pid = snakepit.get(say.remote("hello\nthere é", to=to))
        expected = f"(say pid={pid}) hello\n(say pid={pid}) there é\n"
        assert wait_until(lambda: stream.getvalue() == expected), stream.getvalue()


def test_the_name_is_that_of_the_option() -> None:
    with captured() as stream:
        pid = snakepit.get(say.options(name="renamed").remote("x"))
        assert wait_until(lambda: stream.getvalue() == f"(renamed pid={pid}) x\n")


def test_actors_bear_theirs() -> None:
    @snakepit.remote
    class Speaker:
        def __init__(self) -> None:
            print("made")

        def speak(self) -> int:
            print("speaks")
            return os.getpid()

    with captured() as stream:
        speaker = Speaker.remote()
        pid = snakepit.get(speaker.speak.remote())
        named = Speaker.options(name="Bob").remote()
        other = snakepit.get(named.speak.remote())
        assert wait_until(lambda: len(stream.getvalue().splitlines()) == 4), stream.getvalue()
    lines = stream.getvalue().splitlines()
    for text, number in [("made", pid), ("speaks", pid), ("made", other), ("speaks", other)]:
        assert f"(Speaker pid={number}) {text}" in lines


def test_a_line_without_an_end_and_output_of_children() -> None:
    @snakepit.remote
    def mixed() -> None:
        subprocess.run([sys.executable, "-c", "print('from a child')"], check=True)
        os.write(1, b"raw\n")
        print("no end", end="")

    with captured() as stream:
        snakepit.get(mixed.remote(), timeout=PATIENCE)
        snakepit.get([say.remote("next") for _ in range(4)])
        wanted = sorted(["from a child", "raw", "no end", *["next"] * 4])

        def shown() -> list[str]:
            return sorted(line.partition(") ")[2] for line in stream.getvalue().splitlines())

        # All of them: a line that comes later would be found in the next test's stream.
        assert wait_until(lambda: shown() == wanted), stream.getvalue()


def test_streams_keep_their_order() -> None:
    @snakepit.remote
    def count() -> None:
        for number in range(2000):
            print(number)

    with captured() as stream:
        snakepit.get(count.remote(), timeout=PATIENCE)
        assert wait_until(lambda: len(stream.getvalue().splitlines()) >= 2000)
    numbers = [int(line.split(") ")[1]) for line in stream.getvalue().splitlines()]
    assert numbers == list(range(2000))


def test_a_broken_stream_harms_no_task() -> None:
    class Broken(io.StringIO):
        def write(self, text: str) -> int:
            raise ValueError("I/O operation on closed file")

    with redirect_stdout(Broken()):
        assert snakepit.get([say.remote("unseen") for _ in range(5)], timeout=PATIENCE)
    closed = io.StringIO()
    closed.close()
    with redirect_stdout(closed):
        assert snakepit.get(say.remote("unseen"), timeout=PATIENCE)
    with captured() as stream:
        snakepit.get(say.remote("seen again"), timeout=PATIENCE)
        assert wait_until(lambda: "seen again" in stream.getvalue())


def test_log_to_driver_may_be_off() -> None:
    code = (
        "import snakepit, sys\n"
        "with snakepit.init(num_cpus=1, log_to_driver=False):\n"
        "    snakepit.get(snakepit.remote(lambda: print('unwanted')).remote())\n"
        "print('end')\n"
    )
    done: Any = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.stdout, done.returncode) == ("end\n", 0), done.stderr


def test_nothing_printed_is_lost_at_the_end() -> None:
    code = (
        "import snakepit\n"
        "f = snakepit.remote(lambda n: print(f'line {n}'))\n"
        "snakepit.get([f.remote(n) for n in range(50)])\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    found = {line.split(") ")[1] for line in done.stdout.splitlines()}
    assert found == {f"line {number}" for number in range(50)}, done.stderr
    assert done.stderr == ""
