"""What workers print, shown at the driver through its own streams, so that notebooks see it."""

from __future__ import annotations

import sys
from functools import partial
from typing import TextIO, final

from ..bars import DISPLAY
from ..wire.messages import Output


@final
class LogPrinter:
    """Writes workers' lines with the name of the task or actor and the pid before each.

    A stream that is closed or broken is given up, silently: nobody reads it any more, and the
    tasks must not suffer for that. Another one in its place is tried again.
    """

    __slots__ = ("_broken",)

    def __init__(self) -> None:
        self._broken: dict[int, TextIO] = {}

    def show(self, output: Output) -> None:
        """Print whole lines of one worker."""
        stream = sys.stdout if output.stream == 1 else sys.stderr
        if stream is None or stream is self._broken.get(output.stream):
            return
        prefix = f"({output.label} pid={output.pid}) "
        text = output.text.decode("utf-8", "backslashreplace")
        lines = text.splitlines() or [""]
        printed = "".join(f"{prefix}{line}\n" for line in lines)
        DISPLAY.around(partial(self._print, output.stream, stream, printed))

    def _print(self, number: int, stream: TextIO, text: str) -> None:
        try:
            self._write(stream, text)
            stream.flush()
        except (OSError, ValueError):
            self._broken[number] = stream

    @staticmethod
    def _write(stream: TextIO, text: str) -> None:
        try:
            stream.write(text)
        except UnicodeEncodeError as error:
            # The stream's encoding lacks a character of theirs.
            encoded = text.encode(error.encoding, "backslashreplace")
            stream.write(encoded.decode(error.encoding))
