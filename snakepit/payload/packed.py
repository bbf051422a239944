"""The form in which a value travels."""

from __future__ import annotations

from typing import Any, NamedTuple

Part = bytes | memoryview


class Packed(NamedTuple):
    """A value as parts.

    Args:
        parts: the pickle stream, then its out-of-band buffers, each one-dimensional and of bytes.
            Buffers are the value's own memory, not copies: write them out before the value may
            change.
        refs: ids of the references found inside, each once.
        uses_numpy: whether reading the value will likely import numpy.
        lent: handles on the descriptors found inside, whose ids are among `refs`: keep them until
            those are known to whoever keeps what the value mentions.
    """

    parts: list[Part]
    refs: tuple[int, ...]
    uses_numpy: bool
    lent: tuple[Any, ...] = ()
