"""What workers print arrives whole, in order, under the right label, and stops nobody."""

from __future__ import annotations

from zygote_harness import Zygote, wait_until

from snakepit.wire.messages import Output
from snakepit.workers import output
from snakepit.workers.output import (
    CRASH_LINES,
    END,
    TAIL_LINES,
    LabelledLines,
    Relay,
    announce,
    last_lines,
    mark_of,
)
from snakepit.workers.spool import Spool


def pieces(zygote: Zygote) -> list[tuple[str, bytes]]:
    """(label, line) in the order of arrival."""
    return [
        (m.label, line)
        for m in zygote.messages
        if isinstance(m, Output)
        for line in m.text.splitlines()
    ]


def test_lines_bear_their_label_process_and_stream(zygote: Zygote) -> None:
    worker = zygote.spawn(label="first")
    worker.run("import sys; print('one'); print('two', file=sys.stderr)")
    worker.run("setup.output.enter('second'); print('three', flush=True)")
    worker.run("setup.output.enter('first'); print('vier: \\u2713 \\udc80')")
    zygote.wait_text(1, b"vier")
    zygote.wait_text(1, b"two", 2)
    found = [m for m in zygote.messages if isinstance(m, Output)]
    assert {(m.number, m.pid) for m in found} == {(1, worker.pid)}
    stdout = [(m.label, m.text) for m in found if m.stream == 1]
    assert stdout == [
        ("first", b"one\n"),
        ("second", b"three\n"),
        ("first", "vier: \u2713 \\udc80\n".encode()),
    ]
    assert [(m.label, m.text) for m in found if m.stream == 2] == [("first", b"two\n")]


def test_an_unfinished_line_belongs_to_who_wrote_it(zygote: Zygote) -> None:
    worker = zygote.spawn(label="a")
    worker.run("print('begun', end='')")
    worker.run("setup.output.enter('b'); print('other')")
    worker.run("import sys; sys.stdout.buffer.write(b'bytes'); setup.output.enter('c')")
    worker.cast("print('end', end=''); raise SystemExit")
    worker.died()
    assert pieces(zygote) == [("a", b"begun"), ("b", b"other"), ("b", b"bytes"), ("c", b"end")]


def test_subprocesses_write_under_the_current_label(zygote: Zygote) -> None:
    worker = zygote.spawn()
    worker.run(
        "import subprocess as s, os; setup.output.enter('x'); print('head');"
        "s.run(['echo', 'from echo']); os.write(1, b'raw\\n')"
    )
    zygote.wait_text(1, b"raw")
    assert pieces(zygote) == [("x", b"head"), ("x", b"from echo"), ("x", b"raw")]


def test_ten_megabytes_while_the_driver_is_busy(zygote: Zygote) -> None:
    zygote.pays = False
    worker = zygote.spawn()
    worker.run("for n in range(100_000): print(f'{n:06}', 'x' * 93)")
    # Nothing was received meanwhile: the worker did not wait for it.
    assert not any(isinstance(m, Output) for m in zygote.messages)
    zygote.wait_until(lambda: len(zygote.text(1)) >= output.WINDOW)
    # A reply after a reply: the zygote has handled what came before, and keeps the rest back.
    zygote.spawn().pid  # noqa: B018
    assert len(zygote.text(1)) < 3 * output.WINDOW
    zygote.pays = True
    from snakepit.wire.messages import Credit

    zygote.client.send(Credit(len(zygote.text(1))))
    zygote.wait_until(lambda: len(zygote.text(1)) >= 100_000 * 101)
    lines = zygote.text(1).split(b"\n")
    assert [int(line[:6]) for line in lines if line] == list(range(100_000))


def test_stop_delivers_what_was_printed(zygote: Zygote) -> None:
    zygote.pays = False
    worker = zygote.spawn()
    worker.run("for n in range(50_000): print(f'{n:06}', 'x' * 93)\nprint('end', end='', flush=1)")
    zygote.stop()
    text = zygote.text(1)
    assert len(text) == 50_000 * 101 + 4 and text.endswith(b"\nend\n")
    assert zygote.client.exit_code == 0


def test_output_can_be_declined() -> None:
    zygote = Zygote(log_to_driver=False)
    try:
        worker = zygote.spawn()
        worker.cast("import sys; print('x' * 300_000); print('why', file=sys.stderr); 1 / 0")
        assert "why\nTraceback" in worker.died().stderr
        zygote.stop()
        assert not any(isinstance(m, Output) for m in zygote.messages)
    finally:
        zygote.close()


def test_a_writer_that_escaped_does_not_delay_the_death(zygote: Zygote) -> None:
    worker = zygote.spawn()
    worker.run(
        "import subprocess as s; s.Popen(['sleep', '1000'], start_new_session=True); print('mine')"
    )
    worker.cast("import os; os._exit(1)")
    assert worker.died().code == 1
    assert zygote.text(1) == b"mine\n"


def test_closed_streams_hurt_nobody(zygote: Zygote) -> None:
    worker = zygote.spawn()
    worker.run("import os, sys; sys.stdout.close(); os.close(1); setup.output.flush()")
    assert worker.run("setup.output.enter('x'); reply = 3") == 3
    worker.cast("raise SystemExit(5)")
    assert worker.died().code == 5


# --- the parts ---------------------------------------------------------------------------------

MARK = mark_of("1-2-0123456789abcdef")


def cut(data: bytes, size: int) -> list[tuple[str, bytes]]:
    lines = LabelledLines(MARK, "a")
    found = [p for at in range(0, len(data), size) for p in lines.feed(data[at : at + size])]
    found += lines.finish()
    joined: list[tuple[str, bytes]] = []
    for label, text in found:
        if joined and joined[-1][0] == label:
            joined[-1] = (label, joined[-1][1] + text)
        else:
            joined.append((label, text))
    return joined


def test_lines_do_not_depend_on_how_the_stream_is_cut() -> None:
    data = (
        b"one\ntw"
        + announce(MARK, "b")
        + b"three\n\x1e \x1esnake "
        + announce(MARK, "c\x1e")
        + announce(MARK, "b")
        + b"four\n\n"
        + announce(MARK, "b")
        + b"five\x1e"
    )
    whole = cut(data, len(data))
    assert whole == [
        ("a", b"one\ntw\n"),
        ("b", b"three\n\x1e \x1esnake \nfour\n\nfive\x1e\n"),
    ]
    for size in range(1, 60):
        assert cut(data, size) == whole


def test_a_crash_leaves_room_for_the_last_words() -> None:
    words = [f"word {i}\n" for i in range(60)]
    assert last_lines("".join(words).encode()) == "".join(words[-TAIL_LINES:])
    short = ["Fatal Python error: Aborted\n", "\n", "Stack:\n", "  File 1\n", "\n", "Extensions\n"]
    assert last_lines("".join(words + short).encode()) == "".join((words + short)[-TAIL_LINES:])
    deep = ["Fatal Python error: Aborted\n", *(f"  File {i}\n" for i in range(100))]
    found = last_lines("".join(words + deep).encode()).splitlines(keepends=True)
    left = TAIL_LINES - CRASH_LINES - 1
    assert found[:left] == words[-left:]
    assert found[left:-1] == deep[:CRASH_LINES]
    assert found[-1] == "[... 85 lines are left out ...]\n"


def test_stacks_that_were_asked_for_leave_room_for_each_other() -> None:
    head = [
        "Thread 0x1 (most recent call first):\n",
        "Current thread 0x2 (most recent call first):\n",
    ]
    frames = [f'  File "a.py", line {n} in f\n' for n in range(90)]
    found = last_lines("".join(["word\n", head[0], *frames, "\n", head[1], *frames]).encode())
    short = frames[:CRASH_LINES]
    assert found == "".join(["word\n", head[0], *short, "\n", head[1], *short])
    traceback = ['  File "a.py", line 1, in f\n'] * TAIL_LINES
    assert last_lines("".join(traceback).encode()) == "".join(traceback)


def test_a_broken_announcement_does_not_hold_the_stream_up() -> None:
    assert cut(MARK + b"x" * 2000 + b"\n", 100) == [("a", MARK + b"x" * 2000 + b"\n")]
    assert cut(b"text" + MARK + b"cut off", 7) == [("a", b"text\n")]


def test_a_line_without_end_is_passed_on_in_parts() -> None:
    lines = LabelledLines(MARK, "a")
    found = [p for _ in range(100) for p in lines.feed(b"x" * 10_000)]
    assert sum(len(text) for _, text in found) > 900_000
    assert all(len(text) <= output.LONGEST_LINE + 10_000 for _, text in found)


def test_the_spool_is_a_ring() -> None:
    spool = Spool(1000)
    assert not spool and spool.take() is None
    kept: list[bytes] = []
    for n in range(2000):
        record = bytes([n % 256]) * (n % 97)
        while not spool.put(record):
            assert spool.take() == kept.pop(0)
        kept.append(record)
    assert [spool.take() for _ in kept] == kept
    assert not spool and not spool.put(b"x" * 997) and spool.put(b"x" * 996)
    spool.close()


def test_what_does_not_fit_is_counted_and_told() -> None:
    from snakepit.wire.codec import decode
    from snakepit.wire.frames import FrameDecoder

    decoder = FrameDecoder()
    got: list[Output] = []
    relay = Relay(lambda f: got.extend(map(decode, decoder.feed(f))), window=100, spool_limit=1000)
    for n in range(100):
        relay.offer(Output(1, 2, 1, "t", b"%049d\n" % n))
    assert len(got) == 2
    while len(got) < 100 and got[-1].label == "t" and b"missing" not in got[-1].text:
        relay.credit(50)
    kept = [m for m in got if b"missing" not in m.text]
    note = got[-1]
    assert [int(m.text) for m in kept] == list(range(len(kept)))
    assert note.text == b"[snakepit: %d bytes of workers' output are missing here]\n" % (
        (100 - len(kept)) * 50
    )
    assert (note.stream, note.number, note.pid) == (2, 1, 2)
    relay.credit(10_000)
    relay.offer(Output(1, 2, 1, "t", b"again\n"))
    assert got[-1].text == b"again\n"
    relay.close()


def test_the_mark_is_the_runs_own() -> None:
    assert MARK.startswith(END) and b"0123456789abcdef" in MARK
    assert wait_until(lambda: True)
