"""The pickler for whatever is not plain data: cloudpickle, and what snakepit knows better.

Imported when first needed, because cloudpickle costs 20 ms.
"""

from __future__ import annotations

import io
import sys
import threading
from collections.abc import Callable, Mapping
from functools import partial
from importlib import import_module
from types import CodeType, FunctionType
from typing import Any, ClassVar, Final, cast, final

import cloudpickle
from cloudpickle import list_registry_pickle_by_value

from ..carried import reduce_exception
from . import descriptors
from .arrow import reduce_batch, reduce_table
from .buffers import Buffers, reduce_array, reduce_memoryview
from .bytecode import TAG, load_code
from .descriptors import Lend, refuse
from .modules import is_stray
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

# cloudpickle offers by-value reduction of what a module names only for modules that are registered
# with it, for the whole process; the user's own pickles must not change because of ours.
_reduce_class_by_value: Final = cast(Any, cloudpickle.cloudpickle)._dynamic_class_reduce
_REGISTERING: Final = threading.Lock()
_HEAP_TYPE: Final = 1 << 9

# What cloudpickle writes from 3.1.3 on in place of the name of a function's file.
_NO_FILE: Final = "<dynamic-code>"


@final
class ValuePickler(cloudpickle.Pickler):  # type: ignore[misc]
    """Pickles values of any type, by protocol 5.

    Args:
        file: where the stream goes.
        buffers: where the out-of-band buffers go.
        force_exceptions: distrust the reductions that exceptions define themselves.
        lend: has the descriptors of sockets and connections carried.
    """

    # Looked up below instead: the C code is slow to ask a mapping that is no dict, for each object.
    dispatch_table: ClassVar[dict[type, Any]] = {}

    # How users want instances of their classes sent, of exactly these classes. Process-wide, as
    # copyreg's table is, and replaced whole, so that it may be read at any time.
    registered: ClassVar[Mapping[type, Callable[[Any], Any]]] = {}

    def __init__(
        self, file: Any, buffers: Buffers, *, force_exceptions: bool = False, lend: Lend = refuse
    ) -> None:
        super().__init__(file, 5, buffers.keep)
        self._lend = lend
        self._force_exceptions = force_exceptions
        # Many objects are of few types; None leaves a type to pickle. No method of this object
        # may be among the values: the cycle would keep the whole pickled value alive.
        self._plans: dict[type, Callable[[Any], Any] | None] = {}

    def reducer_override(self, obj: Any) -> Any:
        """Choose the reduction of one object; NotImplemented leaves it to pickle."""
        kind = type(obj)
        try:
            reduce = self._plans[kind]
        except KeyError:
            reduce = self._plans[kind] = self._plan(kind)
        if reduce is None:
            return NotImplemented
        reduced = reduce(obj)
        if reduced is not None:
            return reduced
        if kind is FunctionType and is_stray(obj.__module__):
            return self._dynamic_function_reduce(obj)
        if isinstance(obj, type) and is_stray(obj.__module__) and obj.__flags__ & _HEAP_TYPE:
            return _reduce_class_by_value(obj)
        return super().reducer_override(obj)

    def _plan(self, kind: type) -> Callable[[Any], Any] | None:
        if kind is FunctionType or issubclass(kind, type):
            return _reduce_to_name
        if kind is CodeType:
            return _reduce_code
        if kind in self.registered:
            return self.registered[kind]
        name = kind.__module__, kind.__name__
        reduce = _REDUCERS.get(name)
        if reduce is not None:
            return reduce
        reduce_open = descriptors.REDUCERS.get(name)
        if reduce_open is not None:
            lend = self._lend
            return lambda obj: reduce_open(obj, lend)
        is_exception = issubclass(kind, BaseException)
        if is_exception and self._force_exceptions:
            return partial(reduce_exception, force=True)
        for table in _TABLES:
            if kind in table:
                return table[kind]
        return reduce_exception if is_exception else None


def register(cls: type, reduce: Callable[[Any], Any] | None) -> bool:
    """Send the instances of a class by `reduce`, as pickle knows it; None: as without it.

    Returns:
        Whether the class was registered before.
    """
    with _REGISTERING:
        others = {kind: known for kind, known in ValuePickler.registered.items() if kind is not cls}
        found = len(others) < len(ValuePickler.registered)
        ValuePickler.registered = others if reduce is None else {**others, cls: reduce}
    return found


def _reduce_to_name(definition: Any) -> Any:
    """Reduce a definition to a name that leads to it, or to what a decorator made of it.

    Asked before cloudpickle, which takes ten times as long and would send a decorated function,
    with all the globals that it mentions, by value.

    Returns:
        NotImplemented or a reduction; None where there is no such name, or none that leads there
        in another process.
    """
    name, qualname = definition.__module__, definition.__qualname__
    module = sys.modules.get(name) if isinstance(name, str) else None
    if module is None or name == "__main__" or list_registry_pickle_by_value():
        return None
    found = _lookup(module, qualname)
    wrapped = found is not None and getattr(found, "__wrapped__", None) is definition
    if (found is not definition and not wrapped) or is_stray(name):
        return None
    return (load_wrapped, (name, qualname)) if wrapped else NotImplemented


def _reduce_code(code: CodeType) -> Any:
    """Reduce code as cloudpickle does, with its file: a traceback without lines helps nobody.

    And with the name of its bytecode, since an interpreter with another one may get it.
    """
    reduced: Any = cloudpickle.Pickler.dispatch_table[CodeType](code)
    make, args = reduced
    args = tuple(code.co_filename if item == _NO_FILE else item for item in args)
    return load_code, (TAG, make, args)


def dump(
    value: Any,
    buffers: Buffers,
    *,
    force_exceptions: bool = False,
    lent: list[descriptors.Lent] | None = None,
) -> tuple[bytes, tuple[int, ...]]:
    """Pickle a value of any type.

    Args:
        value: what to pickle.
        buffers: where the out-of-band buffers go.
        force_exceptions: distrust the reductions that exceptions define themselves.
        lent: where handles on the descriptors inside go; None refuses descriptors.

    Returns:
        The stream, and the ids of the references inside, each once.
    """
    found: list[int] = []
    file = io.BytesIO()
    lend = refuse if lent is None else descriptors.Lender(lent)
    pickler = ValuePickler(file, buffers, force_exceptions=force_exceptions, lend=lend)
    token = start_collecting(found)
    try:
        pickler.dump(value)
    except BaseException:
        buffers.parts.clear()
        raise
    finally:
        stop_collecting(token)
        # A traceback may keep this frame: it shall not keep all that was pickled.
        pickler.clear_memo()
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
