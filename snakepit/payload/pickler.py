"""The pickler for whatever is not plain data: cloudpickle, and what snakepit knows better.

Imported when first needed, because cloudpickle costs 20 ms.
"""

from __future__ import annotations

import io
import sys
from collections.abc import Callable, Mapping
from functools import partial
from importlib import import_module
from pickle import PickleBuffer
from types import FunctionType
from typing import Any, ClassVar, Final, cast, final

import cloudpickle
from cloudpickle import list_registry_pickle_by_value

from ..carried import reduce_exception
from .arrow import reduce_batch, reduce_table
from .buffers import reduce_array, reduce_memoryview
from .references import start_collecting, stop_collecting

# By name, so that no library is loaded for the question.
_REDUCERS: Final[dict[tuple[str, str], Callable[[Any], Any]]] = {
    ("builtins", "memoryview"): reduce_memoryview,
    ("numpy", "ndarray"): reduce_array,
    ("numpy", "memmap"): reduce_array,
    ("pyarrow.lib", "RecordBatch"): reduce_batch,
    ("pyarrow.lib", "Table"): reduce_table,
}


# cloudpickle's own reductions by type, then those that libraries register; both stay live.
_TABLES: Final[tuple[Mapping[type, Callable[[Any], Any]], ...]] = tuple(
    cast(Any, cloudpickle.Pickler.dispatch_table).maps
)


@final
class ValuePickler(cloudpickle.Pickler):  # type: ignore[misc]
    """Pickles values of any type, by protocol 5.

    Args:
        file: where the stream goes.
        keep_buffer: called with each out-of-band buffer.
        force_exceptions: distrust the reductions that exceptions define themselves.
    """

    # Looked up below instead: the C code is slow to ask a mapping that is no dict, for each object.
    dispatch_table: ClassVar[dict[type, Any]] = {}

    def __init__(
        self,
        file: Any,
        keep_buffer: Callable[[PickleBuffer], Any],
        *,
        force_exceptions: bool = False,
    ) -> None:
        super().__init__(file, 5, keep_buffer)
        self._force_exceptions = force_exceptions
        # Many objects are of few types; None leaves a type to pickle.
        self._plans: dict[type, Callable[[Any], Any] | None] = {}

    def reducer_override(self, obj: Any) -> Any:
        """Choose the reduction of one object; NotImplemented leaves it to pickle."""
        kind = type(obj)
        try:
            reduce = self._plans[kind]
        except KeyError:
            reduce = self._plans[kind] = self._plan(kind)
        return NotImplemented if reduce is None else reduce(obj)

    def _plan(self, kind: type) -> Callable[[Any], Any] | None:
        if kind is FunctionType or issubclass(kind, type):
            return self._reduce_definition
        reduce = _REDUCERS.get((kind.__module__, kind.__name__))
        if reduce is not None:
            return reduce
        is_exception = issubclass(kind, BaseException)
        if is_exception and self._force_exceptions:
            return partial(reduce_exception, force=True)
        for table in _TABLES:
            if kind in table:
                return table[kind]
        return _reduce_exception if is_exception else None

    def _reduce_definition(self, obj: Any) -> Any:
        """By name where the name leads to it, or to what a decorator made of it.

        Asked here and not of cloudpickle, which takes ten times as long and would send a
        decorated function, with all the globals that it mentions, by value.
        """
        name, qualname = obj.__module__, obj.__qualname__
        module = sys.modules.get(name) if isinstance(name, str) else None
        if module is not None and name != "__main__" and not list_registry_pickle_by_value():
            found = _lookup(module, qualname)
            if found is obj:
                return NotImplemented
            if found is not None and getattr(found, "__wrapped__", None) is obj:
                return load_wrapped, (name, qualname)
        return super().reducer_override(obj)


def _reduce_exception(exc: BaseException) -> Any:
    return reduce_exception(exc) or NotImplemented


def dump(
    value: Any, buffers: list[PickleBuffer], *, force_exceptions: bool = False
) -> tuple[bytes, tuple[int, ...]]:
    """Pickle a value of any type.

    Args:
        value: what to pickle.
        buffers: gets the out-of-band buffers.
        force_exceptions: distrust the reductions that exceptions define themselves.

    Returns:
        The stream, and the ids of the references inside, each once.
    """
    found: list[int] = []
    file = io.BytesIO()
    pickler = ValuePickler(file, buffers.append, force_exceptions=force_exceptions)
    token = start_collecting(found)
    try:
        pickler.dump(value)
    finally:
        stop_collecting(token)
    return file.getvalue(), tuple(dict.fromkeys(found))


def load_wrapped(module: str, qualname: str) -> Any:
    """Find a definition by the name that now leads to what a decorator made of it."""
    found = _lookup(import_module(module), qualname)
    if found is None:
        raise AttributeError(f"module {module!r} has no {qualname!r}")
    return found.__wrapped__


def _lookup(module: Any, qualname: str) -> Any:
    found = module
    for name in qualname.split("."):
        found = getattr(found, name, None)  # `<locals>` leads nowhere
    return found
