"""Progress bars: what is written for them, and what a terminal then shows."""

from __future__ import annotations

import io
import os
import pty
import re
import subprocess
import sys
from collections.abc import Callable
from contextlib import redirect_stderr
from typing import Any

import pytest

import snakepit
from snakepit import errors
from snakepit.bars import SELDOM, Bar, Display, line_of
from snakepit.util import tqdm

PROGRAM = """
import snakepit
from snakepit.util import tqdm

@snakepit.remote
def work(name, count):
    for n in tqdm(range(count), desc=name, flush_interval_s=0):
        print(f"{name} at {n}")

with snakepit.init(num_cpus=2):
    for ref in tqdm([work.remote(name, 3) for name in ("left", "right")], desc="both"):
        snakepit.get(ref)
print("the end")
"""


class Terminal(io.StringIO):
    """A stream that says that it is a terminal."""

    def isatty(self) -> bool:
        return True


def screen(text: str) -> list[str]:
    """What a terminal shows that was sent this: only the sequences that bars are made of."""
    lines, row, column = [""], 0, 0
    for escape, up, char in re.findall(r"(\x1b\[J)|\x1b\[(\d+)A|([^\x1b])", text):
        if escape:
            lines[row:] = [lines[row][:column]]
        elif up:
            row -= int(up)
        elif char == "\r":
            column = 0
        elif char == "\n":
            row, column = row + 1, 0
            lines += [""] * (row + 1 - len(lines))
        else:
            lines[row] = lines[row][:column].ljust(column) + char + lines[row][column + 1 :]
            column += 1
    return lines


def bar(done: float, name: str = "a", *, position: int = 0, closed: bool = False) -> Bar:
    return Bar(name.encode(), name, done, 4, "it", position, 2.0, closed)


def drawn(actions: Callable[[Display], None], stream: io.StringIO, now: list[float]) -> str:
    with redirect_stderr(stream):
        actions(Display(lambda: now[0]))
    return stream.getvalue()


@pytest.mark.parametrize(
    ("given", "width", "line"),
    [
        (bar(1), 60, "(x) a:  25% |####              | 1/4 [00:02<00:06, 0.5 it/s]"),
        (bar(1), 42, "(x) a:  25% 1/4 [00:02<00:06, 0.5 it/s]"),
        (bar(1), 20, "(x) a:  25% 1/4 [00:"),
        (bar(9), 45, "(x) a: 100% |###| 9/4 [00:02<00:00, 4.5 it/s]"),
        (bar(0), 36, "(x) a:   0% 0/4 [00:02<?, 0 it/s]"),
        (bar(2.5)._replace(total=None), 80, "(x) a: 2.5 it [00:02, 1.25 it/s]"),
        (bar(2)._replace(total=0, desc="", elapsed=0.0), 80, "(x) 2 it [00:00, ?]"),
        (bar(2)._replace(total=None, desc="\x1b[J\n", elapsed=4000), 40, None),
    ],
)
def test_a_bar_as_a_line(given: Bar, width: int, line: str | None) -> None:
    found = line_of("(x) ", given, width)
    assert found.isprintable() and len(found) <= width
    assert found == (line or "(x)  [J : 2 it [1:06:40, 0.0005 it/s]")


def test_bars_stand_below_what_is_printed_and_stay_when_they_end() -> None:
    terminal, now = Terminal(), [1.0]

    def shown() -> list[str]:
        return [line.partition("%")[0] for line in screen(terminal.getvalue())]

    def actions(display: Display) -> None:
        display.show(("r", 1), "(1) ", bar(1, "b", position=1))
        display.show(("r", 2), "(2) ", bar(1, "c"))
        display.show(("r", 1), "(1) ", bar(1, "a"))
        assert shown() == ["", "(1) a:  25", "(1) b:  25", "(2) c:  25"]
        display.around(lambda: print("a worker's line", file=sys.stderr))
        assert shown() == ["a worker's line", "", "(1) a:  25", "(1) b:  25", "(2) c:  25"]
        print("the driver's", file=sys.stderr)
        display.show(("r", 2), "(2) ", bar(2, "c"))  # too soon to be drawn
        now[0] += 1
        display.show(("r", 1), "(1) ", bar(2, "a"))
        printed = ["a worker's line", "the driver's"]
        assert shown() == [*printed, "", "(1) a:  50", "(1) b:  25", "(2) c:  50"]
        display.show(("r", 1), "(1) ", bar(4, "a", closed=True))
        assert shown() == [*printed, "(1) a: 100", "", "(1) b:  25", "(2) c:  50"]
        display.end(("r", 2))
        assert shown() == [*printed, "(1) a: 100", "(2) c:  50", "", "(1) b:  25"]
        assert "(its process has ended)" in screen(terminal.getvalue())[3]
        display.leave()
        assert shown() == [*printed, "(1) a: 100", "(2) c:  50", "(1) b:  25", ""]

    drawn(actions, terminal, now)


def test_more_bars_than_rows() -> None:
    def actions(display: Display) -> None:
        for number in range(40):
            display.show(("r", number), "", bar(1, f"n{number}"))

    lines = screen(drawn(actions, Terminal(), [1.0]))
    assert len(lines) == 22 and lines[-1] == "... and 20 more"


def test_where_there_is_no_terminal_lines_are_few() -> None:
    now = [0.0]

    def actions(display: Display) -> None:
        for done in range(4):
            display.show(("r", 1), "", bar(done))
            now[0] += 0.6 * SELDOM
        display.show(("r", 1), "", bar(4, closed=True))

    lines = drawn(actions, io.StringIO(), now).splitlines()
    assert [line.partition(" |")[0] for line in lines] == ["a:  50%", "a: 100%"]


def test_a_closed_stream_harms_nobody() -> None:
    for stream in (io.StringIO(), Terminal()):
        stream.close()
        with redirect_stderr(stream):
            display = Display()
            display.show(("r", 1), "", bar(1))
            display.show(("r", 1), "", bar(4, closed=True))


def test_what_is_asked_for_while_something_is_written_comes_after() -> None:
    display, order = Display(), []

    def first() -> None:
        display.around(lambda: order.append("second"))
        order.append("first")

    display.around(first)
    assert order == ["first", "second"]


@pytest.mark.parametrize(
    ("arguments", "error", "text"),
    [
        ({"iterable": 3}, TypeError, "iterable must be something to iterate, not 3"),
        ({"desc": 3}, TypeError, "desc must be a string"),
        ({"unit": 3}, TypeError, "unit must be a string"),
        ({"total": "3"}, TypeError, "total must be a number"),
        ({"total": -1}, errors.OptionError, "total must be 0 or more"),
        ({"total": float("nan")}, errors.OptionError, "total must be a finite number"),
        ({"position": -1}, errors.OptionError, "position must be an integer from 0"),
        ({"flush_interval_s": -1}, errors.OptionError, "flush_interval_s must be 0 or more"),
    ],
)
def test_wrong_arguments_are_refused(arguments: Any, error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        tqdm(**arguments)


def test_a_bar_of_a_process_without_a_runtime() -> None:
    with redirect_stderr(io.StringIO()) as stream:
        assert list(tqdm("abc", desc="letters", unit="letter")) == ["a", "b", "c"]
        with tqdm(desc="counted") as counted:
            counted.update(2.5)
            counted.total = 5
            counted.set_description("renamed")
            counted.n += 1
            counted.refresh()
            assert (counted.n, counted.total) == (3.5, 5)
        counted.close()
        given_up = tqdm(total=8)
        given_up.update()
        del given_up
        with pytest.raises(ValueError, match="goes through nothing"):
            next(iter(tqdm()))
        with pytest.raises(TypeError, match="n must be a number"):
            tqdm().update("1")  # type: ignore[arg-type]
    lines = [line.partition(" [")[0] for line in stream.getvalue().splitlines()]
    assert [re.sub(r"\|[# ]*\|", "||", line) for line in lines] == [
        "letters: 100% || 3/3",
        "renamed:  70% || 3.5/5",
        " 12% || 1/8",
        "0 it",
        "0 it",
    ]
    assert not snakepit.is_initialized()


def test_bars_in_inline_mode() -> None:
    @snakepit.remote
    def work() -> None:
        for _ in tqdm(range(3), desc="inline"):
            pass

    with redirect_stderr(io.StringIO()) as stream, snakepit.init(mode="inline"):
        snakepit.get(work.remote())
    assert re.match(r"inline: 100% \|#+\| 3/3 ", stream.getvalue())


def test_bars_of_workers_are_their_output() -> None:
    @snakepit.remote
    def work() -> None:
        for _ in tqdm(range(3), desc="unwanted"):
            pass

    with (
        redirect_stderr(io.StringIO()) as stream,
        snakepit.init(num_cpus=1, log_to_driver=False),
    ):
        snakepit.get(work.remote())
    assert stream.getvalue() == ""


def test_a_real_terminal_shows_lines_and_bars_apart() -> None:
    ours, theirs = pty.openpty()
    try:
        command = [sys.executable, "-c", PROGRAM]
        with subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs) as process:
            os.close(theirs)
            written = b""
            while chunk := _read(ours):
                written += chunk
        assert process.returncode == 0, written
    finally:
        os.close(ours)
    lines = screen(written.decode().replace("\r\n", "\n"))
    printed = [re.sub(r"pid=\d+", "pid", line) for line in lines if line]
    texts = [f"(work pid) {name} at {n}" for name in ("left", "right") for n in range(3)]
    bars = [each.partition(" |")[0] for each in printed if "%" in each]
    assert sorted(each for each in printed if "%" not in each) == sorted([*texts, "the end"])
    assert sorted(bars) == ["(pid) left: 100%", "(pid) right: 100%", "both: 100%"]


def _read(fd: int) -> bytes:
    try:
        return os.read(fd, 65536)
    except OSError:  # The other side is closed, all of it.
        return b""
