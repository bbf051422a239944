"""Functions and classes as payloads, named by what they contain."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from .buffers import Buffers
from .dumps import finish
from .loads import unpack
from .packed import Packed, Part

DIGEST_BYTES: Final = 16


class Code(NamedTuple):
    """A packed definition.

    Args:
        digest: 16 bytes that name its content.
        packed: the definition.
    """

    digest: bytes
    packed: Packed


def pack_code(definition: Any) -> Code:
    """Pack a function or class.

    What can be imported goes by name, even where a decorator that sets `__wrapped__` took its
    place; all else, and what lives in `__main__`, by value.

    Args:
        definition: the function or class.

    Returns:
        Its parts, and the hash that names them.

    Raises:
        SerializationError: something that it refers to cannot be pickled; `path` says what, such
            as `f.<closure>.lock` or `f.<globals>.connection`.
    """
    from hashlib import blake2b

    from .pickler import dump

    buffers = Buffers()
    try:
        stream, refs = dump(definition, buffers)
        packed = finish(stream, buffers, refs)
    except MemoryError:
        raise
    except Exception as error:
        from .culprit import explain
        from .descriptors import refuse

        name = getattr(definition, "__name__", type(definition).__name__)
        roots = {name: definition}
        raise explain(error, f"the definition of {name}", roots, lend=refuse) from error
    digest = blake2b(digest_size=DIGEST_BYTES)
    for part in packed.parts:
        digest.update(len(part).to_bytes(8, "little"))
        digest.update(part)
    return Code(digest.digest(), packed)


def unpack_code(parts: Sequence[Part]) -> Any:
    """Turn a packed definition back into the function or class.

    Raises:
        SerializationError: something that it refers to is missing here.
    """
    return unpack(parts)
