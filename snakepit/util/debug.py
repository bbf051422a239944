"""What is said once, by Ray's names."""

from __future__ import annotations

import threading
from collections.abc import Hashable
from typing import Final, final


@final
class _Keys:
    """Those that this process has met; guarded by a lock."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._met: set[Hashable] = set()

    def add(self, key: Hashable) -> bool:
        with self._lock:
            new = key not in self._met
            self._met.add(key)
        return new


_KEYS: Final = _Keys()


def log_once(key: Hashable) -> bool:
    """Return whether this is the first call with this key in this process.

    Each worker process is one of its own: what tasks say once, they say once in each worker.

    Args:
        key: names what is said, a string as a rule.

    Raises:
        TypeError: the key cannot be hashed.
    """
    return _KEYS.add(key)
