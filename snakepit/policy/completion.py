"""How calls end: values reach their objects, and whoever waits for those is told.

Works through a queue, not by recursion: a failure may run down a chain of a million dependents.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import Any, final

from ..wire.messages import FAILURE, OK
from .actions import Action, Resolved, Tell
from .calls import DONE, Call
from .objects import Entry, ObjectTable


@final
class Completion:
    """Ends calls, each exactly once."""

    def __init__(
        self,
        objects: ObjectTable,
        actions: deque[Action],
        ready: Callable[[Call], None],
        refuse: Callable[[Call, Entry], None],
    ) -> None:
        """`ready` hears of calls whose last argument is there, `refuse` of an argument's error."""
        self._objects = objects
        self._actions = actions
        self._ready = ready
        self._refuse = refuse
        self._news: deque[Entry] = deque()
        self._telling = False
        self.failures = 0
        self.pending: dict[tuple[int, int], int] = {}
        self.stream_ended: Callable[[Call], None] = lambda call: None
        self.session_ended: Callable[[Call], None] = lambda call: None

    def succeed(self, call: Call, values: Sequence[Any], contained: Sequence[list[int]]) -> None:
        """End `call` with one payload a return; `contained` is empty when no value has refs."""
        call.to("finish")
        tally = call.shape.tally
        if tally is not None:
            tally.succeeded += 1
        objects = self._objects
        identifier = call.id
        # A call that returns nothing has an entry nevertheless.
        for index, value in enumerate(values or (b"",)):
            entry = objects.entries[identifier + index]
            objects.settle(entry, OK, value, contained[index] if contained else ())
            if entry.waited or entry.wanted or entry.dependents or not entry.local:
                self._news.append(entry)
        if call.session is not None:
            self.session_ended(call)
        if call.refs or self._news or call.shape.returns < 0:
            self._end(call)

    def fail(self, call: Call, outcome: int, payload: Any, refs: Iterable[int] = ()) -> None:
        """End `call` with one error for all its returns; `refs` are inside it."""
        call.to("finish")
        shape = call.shape
        if shape.line is not None:
            shape.line.leave(call)
        if shape.tally is not None:
            shape.tally.failed(outcome, payload)
        if call.session is not None:
            self.session_ended(call)
        for identifier in call.returns:
            entry = self._objects.entries[identifier]
            self._objects.settle(entry, outcome, payload, refs)
            self._news.append(entry)
        # Last: who sees it without the lock looks for the failure at once, and but once.
        self.failures += 1
        self._end(call)

    def fail_with(self, call: Call, kind: str, /, **fields: Any) -> None:
        """End `call` with a failure record of the system."""
        fields["call"] = call.name
        self.fail(call, FAILURE, [kind, fields])

    def _end(self, call: Call) -> None:
        if call.shape.returns < 0:
            self.stream_ended(call)
        if call.refs:
            self._objects.unpin(call.refs)
        if call.shape.template.max_pending:
            self._uncount(call)
        self._tell()

    def count(self, call: Call) -> None:
        """Count a call to an actor that limits how many may be pending; its end is counted too."""
        key = call.actor, call.caller
        self.pending[key] = self.pending.get(key, 0) + 1

    def _uncount(self, call: Call) -> None:
        key = call.actor, call.caller
        self.pending[key] -= 1
        if not self.pending[key]:
            del self.pending[key]

    def announce(self, entry: Entry) -> None:
        """Tell whoever waits for an object that it has its value."""
        self._news.append(entry)
        self._tell()

    def _tell(self) -> None:
        if self._news and not self._telling:
            self._telling = True
            try:
                while self._news:
                    self._announce(self._news.popleft())
            finally:
                self._telling = False

    def _announce(self, entry: Entry) -> None:
        if entry.waited:
            entry.waited = False
            self._actions.append(Resolved(entry.id))
        if entry.wanted is not None:
            wanted, entry.wanted = entry.wanted, None
            for worker, values in wanted:
                self._actions.append(Tell(worker, entry.id, values))
        if entry.dependents is not None:
            dependents, entry.dependents = entry.dependents, None
            for call in dependents:
                self._arrived(call, entry)
        self._objects.collect(entry)

    def _arrived(self, call: Call, entry: Entry) -> None:
        if call.state is DONE:
            return
        if entry.outcome != OK:
            self._refuse(call, entry)
            return
        call.missing -= 1
        if not call.missing:
            self._ready(call)
