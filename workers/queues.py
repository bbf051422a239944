"""Queues of calls that have not begun, which several threads add to and take from without a lock.

Nothing relies on the GIL: a deque's `append`, `popleft` and `remove` are atomic, and whatever takes
more than one step looks again.
"""

from __future__ import annotations

from collections import deque

from snakepit.wire.messages import Execute


def emptied(queue: deque[Execute]) -> list[Execute]:
    """Take all out, one by one: another thread may add or take at the same time."""
    taken: list[Execute] = []
    while queue:
        try:
            taken.append(queue.popleft())
        except IndexError:
            break  # Another thread was faster.
    return taken


def drain(queue: deque[Execute]) -> list[int]:
    """Take all out; return the ids of the calls."""
    return [execute.call for execute in emptied(queue)]


def take_out(queue: deque[Execute], call: int) -> bool:
    """Take one call out that has not begun; tell whether it was there still."""
    while True:
        try:
            execute = next((each for each in queue if each.call == call), None)
            if execute is not None:
                queue.remove(execute)
            return execute is not None
        except ValueError:
            return False  # It has begun meanwhile.
        except (IndexError, RuntimeError):
            continue  # Another thread took or added one under the search: once more.
