"""The driver's runtime on a zygote of one's choice, in place of the process's own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, final

from ..config import resolve
from ..errors import RuntimeStartError
from ..protocol import begin, retire
from ..runtime.driver import DriverRuntime
from ..runtime.host import StartZygote
from ..runtime.start import start
from .memory import CAPACITY
from .workers import ScriptedWorker, Step
from .zygotes import Birth, FakeZygote


@final
class Stage:
    """What `scripted_runtime` yields.

    Attributes:
        runtime: the driver's runtime; present is what the API talks to meanwhile.
        zygotes: every zygote so far, the present one last.
        start_failure: while set, no zygote can be started, for this reason.
    """

    runtime: DriverRuntime

    def __init__(self, script: Step, birth: Birth, capacity: int) -> None:
        self.zygotes: list[FakeZygote] = []
        self.start_failure = ""
        self._script = script
        self._birth = birth
        self._capacity = capacity

    @property
    def zygote(self) -> FakeZygote:
        """The present zygote."""
        return self.zygotes[-1]

    @property
    def workers(self) -> list[ScriptedWorker]:
        """The workers that live, in the order in which they were forked."""
        return [worker for worker in self.zygote.workers.values() if worker.alive]

    def start_zygote(
        self,
        *,
        run: str,
        slots: int,
        ledger_fd: int,
        env: Mapping[str, str],
        log_to_driver: bool,
        interpreter: str,
    ) -> FakeZygote:
        """See `ZygoteClient.start`."""
        if self.start_failure:
            raise RuntimeStartError(self.start_failure)
        zygote = FakeZygote(self._script, slots, self._birth, self._capacity)
        self.zygotes.append(zygote)
        return zygote


@contextmanager
def scripted_runtime(
    script: Step,
    *,
    birth: Birth = ScriptedWorker.hello,
    capacity: int = CAPACITY,
    **options: Any,
) -> Iterator[Stage]:
    """Let `snakepit` run on scripted workers inside the block; it is shut down at the end.

    Args:
        script: what each worker does with a call; see `snakepit.testing.steps`.
        birth: what a new worker does first; by default it says hello.
        capacity: bytes that a mailbox holds in either direction.
        options: as for `snakepit.config.resolve`; `num_cpus` is 1 unless given.

    Raises:
        RuntimeError: this process has a runtime already.
    """
    stage = Stage(script, birth, capacity)
    with hosted(stage.start_zygote, options) as stage.runtime:
        yield stage


@contextmanager
def hosted(start_zygote: StartZygote, options: Mapping[str, Any]) -> Iterator[DriverRuntime]:
    """Let `snakepit` run on this kind of zygote inside the block; it is shut down at the end.

    Args:
        start_zygote: starts the zygotes.
        options: as for `snakepit.config.resolve`; `num_cpus` is 1 unless given.

    Raises:
        RuntimeError: this process has a runtime already.
    """
    config = resolve(**{"num_cpus": 1, **options})
    runtime, new = begin(lambda: start(config, start_zygote))
    if not new or not isinstance(runtime, DriverRuntime):
        raise RuntimeError("this process has a runtime already: call snakepit.shutdown() first")
    try:
        yield runtime
    finally:
        try:
            runtime.shutdown()
        finally:
            retire(runtime)
