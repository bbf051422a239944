"""Tracebacks as text, as the user should read them: without the frames of the runtime."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

from ..errors import TaskError

if TYPE_CHECKING:
    from traceback import FrameSummary, TracebackException

MOST_CHARACTERS: Final = 200_000


def remote_traceback(exc: BaseException) -> str:
    """Format an exception and those that led to it.

    Frames of snakepit are left out, unless there are no others. The chain ends at a TaskError,
    whose message tells the rest.

    Args:
        exc: an exception that was raised.

    Returns:
        The text, cut in the middle if it is very long.
    """
    from traceback import TracebackException

    whole = TracebackException(type(exc), exc, exc.__traceback__, compact=True)
    _prune(whole, exc, _own_folders())
    text = "".join(whole.format())
    if len(text) > MOST_CHARACTERS:
        half = MOST_CHARACTERS // 2
        text = (
            f"{text[:half]}\n  [... {len(text) - 2 * half} characters left out ...]\n{text[-half:]}"
        )
    return text


def _own_folders() -> tuple[str, ...]:
    import sys

    folders = [str(Path(__file__).parents[1])]
    # Not below the package when it is not installed.
    workers = sys.modules.get("snakepit.workers")
    folders.extend(getattr(workers, "__path__", ()))
    return tuple(f"{folder}/" for folder in folders)


def _prune(whole: TracebackException, exc: BaseException, own: tuple[str, ...]) -> None:
    pairs = [(whole, exc)]
    while pairs:
        text, exc = pairs.pop()
        frames: list[FrameSummary] = [f for f in text.stack if not f.filename.startswith(own)]
        if frames:
            text.stack[:] = frames
        if isinstance(exc, TaskError):
            text.__cause__ = text.__context__ = None
            continue
        if text.__cause__ is not None and exc.__cause__ is not None:
            pairs.append((text.__cause__, exc.__cause__))
        if text.__context__ is not None and exc.__context__ is not None:
            pairs.append((text.__context__, exc.__context__))
        if text.exceptions and isinstance(exc, BaseExceptionGroup):
            pairs.extend(zip(text.exceptions, exc.exceptions))
