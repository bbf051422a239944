"""Source lines for tracebacks that come from a process which did not have them.

What a notebook's cell defines has no file. Its source is in the `linecache` of the process that ran
the cell, the driver, and a worker's traceback names the line without showing it.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    import re

_FRAME: Final = (
    r'^(?P<margin>[ |+-]*?)  File "(?P<file>[^"\n]+)", line (?P<line>\d+), in [^\n]+$'
    r"(?!\n(?P=margin)    )"  # its source does not follow
)


def with_sources(traceback: str) -> str:
    """Return a traceback's text with the source lines that this process can add.

    Only what was put into `linecache` without a file, as notebooks do: what a relative name means
    here may be another file than there.
    """
    linecache: Any = sys.modules.get("linecache")
    if linecache is None or 'File "' not in traceback:
        return traceback
    import re

    def shown(frame: re.Match[str]) -> str:
        line = _line(linecache.cache, frame["file"], int(frame["line"]))
        return f"{frame[0]}\n{frame['margin']}    {line}" if line else frame[0]

    return re.sub(_FRAME, shown, traceback, flags=re.MULTILINE)


def _line(cache: Mapping[str, Any], file: str, number: int) -> str:
    # Size, time of change (None: no file), lines, full name; or one item, not loaded yet.
    entry = cache.get(file)
    if entry is None or len(entry) != 4 or entry[1] is not None:
        return ""
    lines: list[str] = entry[2]
    return lines[number - 1].strip() if 0 < number <= len(lines) else ""
