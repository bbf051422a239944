"""The start of a runtime: the first process is on its way before most of the package is loaded."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, final

from ..config import Config, environment
from ..errors import RuntimeStartError
from ..ids import new_run
from .interpreter import home_interpreter, own_interpreter
from .interrupts import Interrupts
from .launch import Launched, launch, raise_open_files, restore_open_files

if TYPE_CHECKING:
    from .driver import DriverRuntime
    from .host import StartZygote
    from .zygote import ZygoteClient


def start(config: Config, start_zygote: StartZygote | None = None) -> DriverRuntime:
    """Start a runtime; its processes are on their way when this returns.

    Args:
        config: its settings.
        start_zygote: starts its zygotes; by default what starts real ones.

    Raises:
        RuntimeStartError: the machine refuses descriptors, memory or the zygote's process.
    """
    try:
        interrupts = Interrupts()
    except OSError as error:
        raise RuntimeStartError(f"the runtime cannot start: {error}") from error
    # A Ctrl-C waits until the runtime is whole, and then ends it.
    token = interrupts.enter()
    ahead = None
    open_files = raise_open_files()
    try:
        run = new_run()
        if start_zygote is None:
            start_zygote = ahead = _Ahead(_launch(config, run, open_files), open_files)
        runtime = _assemble(config, run, interrupts, start_zygote)
    except BaseException:
        if ahead is not None:
            ahead.end()
        interrupts.uninstall()
        restore_open_files(open_files)
        raise
    runtime.at_end = partial(restore_open_files, open_files)
    try:
        interrupts.leave(token)
    except BaseException:
        runtime.shutdown()
        raise
    return runtime


def _launch(config: Config, run: str, open_files: int) -> Launched:
    home = home_interpreter(config.runtime_env)
    return launch(
        run=run,
        env=environment(),
        log_to_driver=config.log_to_driver,
        open_files=open_files,
        interpreter="" if home == own_interpreter() else home,
    )


def _assemble(
    config: Config, run: str, interrupts: Interrupts, start_zygote: StartZygote
) -> DriverRuntime:
    # The zygote loads what it needs while these are loaded.
    from ..store.platform import OutOfPages
    from .driver import DriverRuntime

    try:
        return DriverRuntime(config, run, interrupts, start_zygote)
    except (OSError, OutOfPages) as error:
        raise RuntimeStartError(f"the runtime cannot start: {error}") from error


@final
class _Ahead:
    """Starts zygotes, of which the first was launched ahead."""

    __slots__ = ("_client", "_launched", "_open_files")

    def __init__(self, launched: Launched, open_files: int) -> None:
        self._launched = launched
        self._client: ZygoteClient | None = None
        self._open_files = open_files

    def __call__(self, *, slots: int, ledger_fd: int, **settings: Any) -> ZygoteClient:
        """See `ZygoteClient.start`."""
        from .zygote import ZygoteClient

        if self._client is None:
            self._client = ZygoteClient(self._launched, slots, ledger_fd)
            return self._client
        return ZygoteClient.start(
            slots=slots, ledger_fd=ledger_fd, open_files=self._open_files, **settings
        )

    def end(self) -> None:
        """End the process that was launched, of a runtime that did not come to be."""
        if self._client is None:
            self._launched.end()
        else:
            self._client.kill()
            self._client.close()
