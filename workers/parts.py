"""What a worker's client asks the driver, by way of parts whose methods are its own."""

from __future__ import annotations

from .directory import Directory
from .questions import Questions
from .sessions import Sessions


class Asking:
    """The methods of `snakepit.protocol.Runtime` that are questions to the driver."""

    __slots__ = tuple(
        (
            "answer ask ask_session cancel change_pool find_actor kill leave named_actors "
            "pending_calls placement_groups pool_stats relieve session_state"
        ).split()
    )

    def __init__(self, questions: Questions, directory: Directory, sessions: Sessions) -> None:
        self.answer = questions.answer
        self.ask = questions.ask
        self.cancel = questions.cancel
        self.kill = questions.kill
        self.pending_calls = questions.pending_calls
        self.relieve = questions.relieve
        self.find_actor = directory.find_actor
        self.named_actors = directory.named_actors
        self.placement_groups = directory.placement_groups
        self.pool_stats = directory.pool_stats
        self.change_pool = directory.change_pool
        self.ask_session = sessions.ask
        self.session_state = sessions.state
        self.leave = sessions.leave
