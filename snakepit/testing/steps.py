"""What scripted workers do with a call, in words: `reply(42)`, `then(reply(42), die())`.

Each function returns a step; any function of (worker, execute) is one too.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable
from typing import Any

from ..wire import messages as wire
from .workers import ScriptedWorker, Step


def reply(*values: Any) -> Step:
    """Answer with these values, one for each return."""
    return lambda worker, execute: worker.reply(*values)


def fail(error: BaseException, *, retry: bool = False) -> Step:
    """Answer with an exception; with `retry` as one that the call's options retry."""
    return lambda worker, execute: worker.fail(error, retry=retry)


def die(code: int = -9, stderr: str = "") -> Step:
    """End with this exit code, or if negative by this signal, and answer nothing more."""
    return lambda worker, execute: worker.die(code, stderr)


def silence() -> Step:
    """Answer nothing: the call stays begun until a test has the worker reply, or die."""
    return lambda worker, execute: None


def write(data: bytes | Callable[[ScriptedWorker], bytes]) -> Step:
    """Send these bytes, or those that a function makes of the worker, and nothing more."""
    return lambda worker, execute: worker.write(data(worker) if callable(data) else data)


def torn(value: Any, size: int) -> Step:
    """Send the first `size` bytes of the frame that would answer with `value`."""
    from ..payload import pack

    def step(worker: ScriptedWorker, execute: wire.Execute) -> None:
        payload = bytes(pack(value, what="a scripted reply").parts[0])
        worker.write(worker.frame(worker.result(wire.OK, [payload]))[:size])

    return step


def apply(function: Callable[..., Any] | None = None) -> Step:
    """Answer with what a function makes of the arguments, be it an exception.

    Args:
        function: by default the task's own. It runs in the thread that pumps: it must not call
            the runtime.
    """

    def step(worker: ScriptedWorker, execute: wire.Execute) -> None:
        args, kwargs = worker.arguments()
        try:
            value = (function or worker.function())(*args, **kwargs)
        except Exception as error:
            worker.fail(error)
        else:
            worker.reply(value)

    return step


def then(*steps: Step) -> Step:
    """Do one after the other."""

    def step(worker: ScriptedWorker, execute: wire.Execute) -> Any:
        return _all(steps, worker, execute)

    return step


def _all(
    steps: Iterable[Step], worker: ScriptedWorker, execute: wire.Execute
) -> Generator[type[Any], Any, None]:
    for each in steps:
        made = each(worker, execute)
        if isinstance(made, Generator):
            yield from made


def in_turn(*steps: Step) -> Step:
    """Do the first with the first call that any worker begins, and so on; the last again and again.

    Raises:
        ValueError: there are no steps.
    """
    if not steps:
        raise ValueError("in_turn() needs at least one step")
    left = list(steps)

    def step(worker: ScriptedWorker, execute: wire.Execute) -> Any:
        each = left.pop(0) if len(left) > 1 else left[0]
        return each(worker, execute)

    return step
