"""The bytes of messages: a msgpack array of the number of the kind, then the fields in order.

Every message is checked when it is decoded: an unknown kind or a wrong number of fields raises
`ProtocolError`. Text is UTF-8, in which a lone surrogate travels as if it were a character: names
of files have them, and whatever is named after a file.
"""

from __future__ import annotations

from typing import Any, Final, final

import msgpack

from ..errors import ProtocolError, SerializationError
from .frames import MAX_FRAME, refuse_size
from .messages import (
    Answer,
    Areas,
    Began,
    Blocked,
    Cancel,
    Code,
    Credit,
    Define,
    Descriptor,
    Died,
    Evict,
    Execute,
    Exit,
    Expect,
    Forget,
    GiveBack,
    GivenBack,
    Handles,
    Hello,
    Hung,
    Imports,
    Leave,
    NeedCode,
    Output,
    Ping,
    Preload,
    Progress,
    Put,
    Ready,
    Release,
    Request,
    Result,
    Segment,
    Signal,
    Spawn,
    Spawned,
    SpawnFailed,
    Started,
    Stop,
    Submit,
    Taken,
    Trim,
    Unblocked,
    Value,
    Want,
    Welcome,
    Yield,
)

_KINDS: Final[tuple[type[Any], ...]] = (
    Define, Code, Welcome, Imports, Execute, Value, Taken, Answer, Release, Trim, Forget, Leave,
    Evict, Exit,
    Hello, Result, Yield, Expect, Submit, Put, Want, Blocked, Unblocked, Handles, GivenBack,
    NeedCode, Progress, Request, Ready, Began,
    Segment, Descriptor, Cancel, GiveBack, Ping,
    Areas, Spawn, Signal, Hung, Preload, Stop, Credit, Started, Spawned, SpawnFailed, Died, Output,
)  # fmt: skip
_SURROGATES: Final = "surrogatepass"
"""How text is encoded that is no valid UTF-8. The packer is quicker without, and always strict."""

_NUMBER: Final[dict[type[Any], int]] = {kind: number for number, kind in enumerate(_KINDS)}


@final
class Encoder:
    """Turns messages into framed bytes; one writer at a time (its buffer is used again)."""

    __slots__ = ("_pack",)

    def __init__(self) -> None:
        self._pack = msgpack.Packer(autoreset=True).pack

    def __call__(self, message: tuple[Any, ...]) -> bytes:
        """Return the frame of `message`.

        Raises:
            ProtocolError: it is longer than a frame may be.
            SerializationError: it holds what no message can.
        """
        return self.fields((_NUMBER[type(message)], *message))

    def fields(self, numbered: tuple[Any, ...]) -> bytes:
        """Return the frame of a message given as its kind's number and its fields.

        For those that a call takes, without a message object in between.

        Raises:
            ProtocolError: it is longer than a frame may be.
            SerializationError: it holds what no message can.
        """
        try:
            body: bytes = self._pack(numbered)
        except (ValueError, TypeError, OverflowError) as error:
            body = _pack_again(numbered, error)
        size = len(body)
        if size > MAX_FRAME:
            refuse_size(size)
        return size.to_bytes(4, "little") + body


def _pack_again(numbered: tuple[Any, ...], error: Exception) -> bytes:
    """Return the body of a message that the packer refused, if only for its text."""
    try:
        if not isinstance(error, UnicodeEncodeError):
            raise error
        body: Any = msgpack.packb(numbered, unicode_errors=_SURROGATES)
    except (ValueError, TypeError, OverflowError) as final:
        kind = _KINDS[numbered[0]].__name__
        raise SerializationError(f"a message {kind} cannot be sent: {final}") from final
    return bytes(body)


EXECUTE: Final = _NUMBER[Execute]
RESULT: Final = _NUMBER[Result]
SUBMIT: Final = _NUMBER[Submit]
PUT: Final = _NUMBER[Put]
YIELD: Final = _NUMBER[Yield]
"""Kinds for `Encoder.fields`."""


def decode(body: bytes) -> Any:
    """Return the message whose frame's body this is.

    Raises:
        ProtocolError: the bytes are no message of this version.
    """
    try:
        fields = msgpack.unpackb(body, strict_map_key=False, unicode_errors=_SURROGATES)
        if type(fields) is not list or fields[0] < 0:
            raise ValueError("it is no array that begins with the number of a kind")
        return _KINDS[fields[0]](*fields[1:])
    except (ValueError, TypeError, IndexError, KeyError, msgpack.UnpackException) as error:
        raise ProtocolError(f"a message of {len(body)} bytes cannot be read: {error!r}") from error
