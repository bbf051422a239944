"""From parts back to values."""

from __future__ import annotations

import pickle
from collections.abc import Sequence
from pickle import loads
from typing import Any

from ..errors import DescriptorLimitError, SerializationError
from .packed import Part


def unpack(parts: Sequence[Part]) -> Any:
    """Turn parts back into a value.

    Args:
        parts: the stream and its buffers; arrays and views lie in the buffers and keep them alive.

    Returns:
        The value.

    Raises:
        SerializationError: a module or a name is missing here, or some object refused, or code is
            of another Python.
        DescriptorLimitError: there is no descriptor left for a socket inside.
    """
    try:
        if len(parts) == 1:
            return loads(parts[0])
        return loads(parts[0], buffers=parts[1:])
    except (MemoryError, SerializationError, DescriptorLimitError):
        raise
    except Exception as error:
        raise _explain(error, parts) from error


def _explain(error: Exception, parts: Sequence[Part]) -> SerializationError:
    name, missing = _last_name(parts)
    reason = f"{type(error).__name__}: {error}"
    if isinstance(error, ModuleNotFoundError):
        text = (
            f"a value needs the module {error.name!r}, which this process cannot import: {reason}. "
            "Install it where the workers run, or put its folder on sys.path before the first call"
        )
    elif missing:
        text = (
            f"a value needs {name}, which this process cannot find: {reason}. "
            "Both sides must run the same version of that module"
        )
    else:
        where = f" after {name} was looked up" if name else ""
        text = f"a value could not be read back{where}: {reason}"
    return SerializationError(text, path=name)


def _last_name(parts: Sequence[Part]) -> tuple[str, bool]:
    """Read again, to learn the last name looked up before the failure, and if that failed."""
    import io

    names: list[str] = []
    found: list[Any] = []

    class Tracer(pickle.Unpickler):
        def find_class(self, module: str, name: str, /) -> Any:
            names.append(f"{module}.{name}")
            found.append(super().find_class(module, name))
            return found[-1]

    try:
        Tracer(io.BytesIO(parts[0]), buffers=parts[1:]).load()
    except Exception:
        return (names[-1] if names else ""), len(names) > len(found)
    return "", False
