"""Objects of the store that several calls in one process use at a time: made once for all.

Guarantees:
* A value is unpickled by one of the calls that want it; others wait for it, and get the same one.
* It is let go with the last call that got it: nothing is kept for calls that may come, nor for
  threads that have outlived theirs.

Assumptions: a lock guards the table, and one of each value is held while it is made. Nothing relies
on the GIL.
"""

from __future__ import annotations

import threading
from typing import Any, final

from snakepit.values import Values, is_stored
from snakepit.wire.messages import OK, Payload

from .current import CALL


@final
class _Kept:
    """A value, and the calls that use it."""

    __slots__ = ("lock", "made", "users", "value")

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.made = False
        self.value: Any = None
        self.users: set[int] = set()


@final
class Shared:
    """The table of one process."""

    __slots__ = ("_lock", "_of", "_table", "_values")

    def __init__(self, values: Values) -> None:
        self._values = values
        self._lock = threading.Lock()
        self._table: dict[int, _Kept] = {}
        self._of: dict[int, set[int]] = {}  # the objects of each call that runs

    def begins(self, call: int) -> None:
        """A call may use values from now on, until it has ended."""
        self._of[call] = set()

    def decode(self, identifier: int, payload: Payload) -> Any:
        """Return the value of an object, for the call that runs in this thread.

        What came with its message, since it is small, each call has for itself.
        """
        call = CALL.get()
        if not call or not is_stored(payload):
            return self._values.decode(payload)
        with self._lock:
            kept = self._use(call, identifier)
        if kept is None:
            return self._values.decode(payload)
        with kept.lock:
            if not kept.made:
                kept.value = self._values.decode(payload)
                kept.made = True
            return kept.value

    def _use(self, call: int, identifier: int) -> _Kept | None:
        objects = self._of.get(call)
        if objects is None:
            return None  # It has ended, and left a thread behind.
        kept = self._table.get(identifier)
        if kept is None:
            kept = self._table[identifier] = _Kept()
        kept.users.add(call)
        objects.add(identifier)
        return kept

    def open(self, identifier: int, outcome: int, payload: Payload) -> Any:
        """Do the same for what `get` was told of an object; see `Values.open`."""
        if outcome == OK:
            return self.decode(identifier, payload)
        return self._values.open(outcome, payload)

    def ended(self, call: int) -> None:
        """A call uses nothing any more."""
        gone: list[_Kept] = []
        with self._lock:
            for identifier in self._of.pop(call):
                kept = self._table[identifier]
                kept.users.discard(call)
                if not kept.users:
                    gone.append(self._table.pop(identifier))
        # What their ends lead to is not done under the lock.
        gone.clear()
