"""What calls in the threads of one process share, by names: locks, thread-locals, objects.

For functions of thread pools. A function that is sent by its value, as those of `__main__` are, has
globals of its own in a worker, and neither locks nor thread-locals can be sent; names find the same
thing from everywhere in a process. In a process that runs one call at a time all of it works too.

The tables are the process's, like those of metrics: what users register stays until its end.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, Final

from ..checks import wrong_type

_LOCKS: Final[dict[str, threading.RLock]] = {}
_LOCALS: Final[dict[str, threading.local]] = {}
_SHARED: Final[dict[str, Any]] = {}
_TABLES: Final = threading.Lock()


def lock(name: str) -> threading.RLock:
    """Return the lock of that name: the same in all threads of this process.

    Args:
        name: any string.

    Returns:
        A `threading.RLock`: who holds it may take it again. `with lock("cache"): ...`

    Raises:
        TypeError: the name is no string.
    """
    _check(name)
    with _TABLES:
        return _LOCKS.setdefault(name, threading.RLock())


def local(name: str) -> threading.local:
    """Return the thread-local of that name, whose attributes each thread has for itself.

    The threads of a pool's worker, `threads_per_worker` of them, live as long as the worker. Calls
    that another one waits for may run in further threads, which end.

    Args:
        name: any string.

    Raises:
        TypeError: the name is no string.
    """
    _check(name)
    with _TABLES:
        return _LOCALS.setdefault(name, threading.local())


def shared(name: str, make: Callable[[], Any] | None = None) -> Any:
    """Return the object of that name: made once in this process, and kept until its end.

    Args:
        name: any string.
        make: makes the object if there is none; who asks meanwhile waits for it. If it raises, the
            next one who asks tries it. Without it the object must be there.

    Raises:
        TypeError: the name is no string.
        LookupError: nothing of that name is there, and nothing makes it.
    """
    _check(name)
    if name in _SHARED:
        return _SHARED[name]
    if make is None:
        raise LookupError(
            f"nothing is shared as {name!r} in this process: shared({name!r}, make) makes it, for "
            "instance in the pool's initializer"
        )
    with lock(f"shared {name}"):
        if name not in _SHARED:
            _SHARED[name] = make()
        return _SHARED[name]


def _check(name: object) -> None:
    if not isinstance(name, str):
        raise wrong_type("name", name, "a string")
