"""Script mode in this process: statuses, what is refused, signals, and what is put back."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import snakepit
from snakepit.errors import OptionError, ScriptTimeoutError, TaskError
from snakepit.script import run_as_script

NUMBERS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@pytest.fixture(autouse=True)
def everything_is_put_back(signals_as_at_a_terminal: dict[int, Any]) -> Iterator[None]:
    yield
    assert "snakepit-script" not in {thread.name for thread in threading.enumerate()}


def wait_for_ever() -> None:
    threading.Event().wait(60)
    raise AssertionError("nothing came")


def leave(code: Any) -> Callable[[], None]:
    return lambda: sys.exit(code)


@pytest.mark.parametrize(
    ("main", "status", "said"),
    [
        (lambda: None, 0, ""),
        (lambda: 7, 0, ""),
        (leave(None), 0, ""),
        (leave(0), 0, ""),
        (leave(3), 3, ""),
        (leave(True), 1, ""),
        (leave("no luck"), 1, "no luck\n"),
    ],
)
def test_the_status_is_what_main_says(
    main: Callable[[], object], status: int, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_as_script(main, exit_mode="return") == status
    assert capsys.readouterr() == ("", said)


def test_in_mode_exit_it_is_raised(signals_as_at_a_terminal: dict[int, Any]) -> None:
    with pytest.raises(SystemExit) as raised:
        run_as_script(leave(5), exit_mode="exit")
    for number, handler in signals_as_at_a_terminal.items():  # the process was to end
        signal.signal(number, handler)
    assert raised.value.code == 5


def test_in_a_test_it_returns() -> None:
    assert run_as_script(leave(4)) == 4


def test_an_error_is_shown_as_python_shows_it(capsys: pytest.CaptureFixture[str]) -> None:
    def fails() -> None:
        raise LookupError("gone")

    assert run_as_script(fails) == 1
    shown = capsys.readouterr().err.splitlines()
    assert shown[0] == "Traceback (most recent call last):" and shown[-1] == "LookupError: gone"
    assert "in fails" in shown[1] and "script.py" not in shown[1].replace("test_script.py", "")


@pytest.mark.parametrize(
    ("arguments", "kind", "said"),
    [
        ({"main": 7}, TypeError, "main must be callable, not 7"),
        ({"on_signal": "f"}, TypeError, "on_signal must be callable"),
        ({"timeout": -1}, OptionError, "timeout must be None or a number of seconds"),
        ({"timeout": "1"}, TypeError, "timeout must be"),
        ({"timeout": float("nan")}, OptionError, "timeout must be"),
        ({"shutdown_timeout": -0.5}, OptionError, "shutdown_timeout must be"),
        ({"shutdown_timeout": True}, TypeError, "shutdown_timeout must be"),
        ({"exit_mode": "halt"}, OptionError, "one of 'auto', 'exit', 'return', not 'halt'"),
        ({"exit_mode": None}, TypeError, "exit_mode must be one of"),
    ],
)
def test_wrong_arguments_are_refused(
    arguments: dict[str, Any], kind: type[Exception], said: str
) -> None:
    with pytest.raises(kind, match=said.replace("(", r"\(")):
        run_as_script(**{"main": wait_for_ever, **arguments})


def test_a_coroutine_function_is_refused() -> None:
    async def main() -> None: ...

    with pytest.raises(TypeError, match=r"asyncio\.run"):
        run_as_script(main)


def test_another_thread_is_refused() -> None:
    said: list[str] = []

    def call() -> None:
        try:
            run_as_script(wait_for_ever)
        except RuntimeError as error:
            said.append(str(error))

    thread = threading.Thread(target=call)
    thread.start()
    thread.join()
    assert len(said) == 1 and "main thread" in said[0]


def test_a_task_is_refused(runtime: Any) -> None:
    @snakepit.remote
    def task() -> None:
        run_as_script(print)

    with pytest.raises(TaskError, match="is for the driver"):
        snakepit.get(task.remote())


def test_what_it_starts_it_ends() -> None:
    def main() -> None:
        assert snakepit.get(snakepit.put(3)) == 3

    assert run_as_script(main) == 0
    assert not snakepit.is_initialized()


def test_a_runtime_that_was_there_stays(runtime: Any) -> None:
    def main() -> None:
        assert snakepit.get(snakepit.put(3)) == 3
        signal.raise_signal(signal.SIGTERM)

    assert run_as_script(main) == 143
    assert snakepit.get(snakepit.put(4)) == 4
    with pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGINT)
    assert snakepit.get(snakepit.put(5)) == 5


@pytest.mark.parametrize("number", NUMBERS)
def test_a_signal_ends_main(number: signal.Signals) -> None:
    raised: list[BaseException] = []
    seen: list[tuple[int, Any]] = []

    def main() -> None:
        snakepit.init(num_cpus=1)
        try:
            signal.raise_signal(number)
            wait_for_ever()
        except BaseException as error:
            raised.append(error)
            raise

    def on_signal(number: int) -> None:
        seen.append((number, snakepit.get(snakepit.put(1))))

    assert run_as_script(main, on_signal=on_signal) == 128 + number
    kind = KeyboardInterrupt if number == signal.SIGINT else SystemExit
    assert [type(error) for error in raised] == [kind]
    assert seen == [(number, 1)]


def test_what_main_makes_of_a_signal(capsys: pytest.CaptureFixture[str]) -> None:
    def swallows() -> None:
        try:
            signal.raise_signal(signal.SIGINT)
        except KeyboardInterrupt:
            print("kept")

    def leaves() -> None:
        try:
            signal.raise_signal(signal.SIGINT)
        finally:
            sys.exit(9)

    def stumbles() -> None:
        try:
            signal.raise_signal(signal.SIGTERM)
        finally:
            raise LookupError("gone")

    assert [run_as_script(main) for main in (swallows, leaves, stumbles)] == [130, 9, 143]
    out, err = capsys.readouterr()
    assert out == "kept\n" and err.endswith("LookupError: gone\n")


def test_an_interrupt_that_no_signal_made_counts_as_one() -> None:
    def main() -> None:
        raise KeyboardInterrupt

    assert run_as_script(main) == 130


def test_an_error_in_on_signal_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    def main() -> None:
        signal.raise_signal(signal.SIGHUP)

    def on_signal(number: int) -> None:
        raise LookupError("gone")

    assert run_as_script(main, on_signal=on_signal) == 129
    assert capsys.readouterr().err.endswith("LookupError: gone\n")


def test_main_is_ended_after_its_time(capsys: pytest.CaptureFixture[str]) -> None:
    raised: list[ScriptTimeoutError] = []

    def main() -> None:
        try:
            wait_for_ever()
        except ScriptTimeoutError as error:
            raised.append(error)
            raise

    assert run_as_script(main, timeout=0.01, on_signal=lambda _: sys.exit("never")) == 1
    assert raised[0].timeout == 0.01 and isinstance(raised[0], TimeoutError)
    assert "the script has not ended within timeout=0.01 s" in capsys.readouterr().err


def test_a_timeout_that_main_swallows_is_a_failure() -> None:
    def main() -> None:
        try:
            wait_for_ever()
        except ScriptTimeoutError:
            return

    assert run_as_script(main, timeout=0) == 1


@pytest.mark.parametrize("seconds", [60, 1e300, float("inf"), 10**400, None])
def test_main_in_time_is_left_alone(seconds: float | None) -> None:
    assert run_as_script(lambda: None, timeout=seconds, shutdown_timeout=seconds) == 0


@pytest.mark.parametrize("number", NUMBERS)
def test_an_ignored_signal_stays_ignored(number: signal.Signals) -> None:
    before = signal.signal(number, signal.SIG_IGN)
    try:
        assert run_as_script(lambda: signal.raise_signal(number)) == 0
        assert signal.getsignal(number) is signal.SIG_IGN
    finally:
        signal.signal(number, before)
