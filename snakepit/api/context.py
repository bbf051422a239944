"""Begin and end a runtime.

A process has one runtime, in the slot that `snakepit.protocol` guards. It stays there until its
shutdown is over, so that an interrupted shutdown can be called again; what is submitted meanwhile
is refused by the runtime itself.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Literal, Never, final

from ..config import INLINE, Config, check_bool, resolve
from ..errors import ForkedRuntimeError
from ..pools import Pool
from ..protocol import Runtime, begin, current, ensure, retire
from .options import check_options

if TYPE_CHECKING:
    from ..heartbeats import Heartbeat

_SETTINGS: Final = (
    "num_cpus",
    "num_gpus",
    "memory",
    "resources",
    "object_store_memory",
    "namespace",
    "log_to_driver",
    "ignore_reinit_error",
    "max_workers",
    "restart_intensity",
    "restart_period",
    "runtime_env",
    "mode",
    "pools",
    "max_sessions",
    "heartbeat",
)
# What Ray's init takes besides, with the value that asks for what happens here anyway.
_LATER: Final[dict[str, Any]] = {
    "address": "local",
    "labels": None,
    "local_mode": False,
    "include_dashboard": False,
    "dashboard_host": None,
    "dashboard_port": None,
    "job_config": None,
    "configure_logging": None,
    "logging_level": None,
    "logging_config": None,
    "logging_format": None,
    "enable_resource_isolation": False,
}


@final
class Context(Mapping[str, Any]):
    """What `init` returns: facts of the runtime, by name, as they were when it was asked.

    As a context manager it shuts the runtime down at the end, if this `init` started it.
    """

    __slots__ = ("_facts", "_owner", "_runtime")

    def __init__(self, runtime: Runtime, *, owner: bool) -> None:
        self._runtime = runtime
        self._owner = owner
        self._facts = dict(runtime.describe())

    def __getitem__(self, name: str) -> Any:
        return self._facts[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._facts)

    def __len__(self) -> int:
        return len(self._facts)

    def __enter__(self) -> Context:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.disconnect()

    def disconnect(self) -> None:
        """Shut the runtime down if this `init` started it; otherwise nothing happens."""
        if self._owner and _here() is self._runtime:
            _close(self._runtime)

    def __repr__(self) -> str:
        facts = ", ".join(f"{name}={value!r}" for name, value in self._facts.items())
        return f"snakepit.Context({facts})"


def init(
    *,
    mode: Literal["process", "inline"] | None = None,
    num_cpus: int | None = None,
    num_gpus: int | None = None,
    memory: int | None = None,
    resources: Mapping[str, float] | None = None,
    object_store_memory: int | None = None,
    namespace: str | None = None,
    log_to_driver: bool | None = None,
    ignore_reinit_error: bool = False,
    max_workers: int | None = None,
    restart_intensity: int | None = None,
    restart_period: float | None = None,
    runtime_env: Mapping[str, Any] | None = None,
    pools: Sequence[Pool] | None = None,
    max_sessions: int | None = None,
    heartbeat: Heartbeat | None = None,
    **unknown: Never,
) -> Context:
    """Start the runtime of this process; inside a task, attach to the one that runs it.

    Without it, the first `.remote()`, `put` or `get` starts one with the defaults, which the
    environment may set (see `snakepit.config`).

    Args:
        mode: "process" (default): calls run in worker processes; "inline": they run here, in
            order, at once, so that a debugger stops in them.
        num_cpus: CPUs to share out, 0 to 1024; default: as many as this process may use.
        num_gpus: GPUs to share out; default: those that the NVIDIA driver shows and that
            CUDA_VISIBLE_DEVICES, if set, does not hide from this process.
        memory: bytes that tasks and actors may ask for, a quantity that is shared out and not a
            limit that is watched; default: what this process may use, less the object store.
        resources: custom resources: quantities above 0 by name.
        object_store_memory: bytes that stored objects may take; default: 40 % of the memory.
        namespace: where names of actors are looked up; default: the anonymous one.
        log_to_driver: whether what workers print appears here; default: True.
        ignore_reinit_error: return the runtime that is there already instead of raising.
        max_workers: the most worker processes at one time; default: the runtime's choice.
        restart_intensity: how many restarts in vain, of worker processes that end before they have
            begun a call, are borne within `restart_period`; one more, and the calls that wait for
            them fail with `PoolFailedError`; 0 to 1000, default: 5.
        restart_period: seconds, at least 0.1 for each restart and one more; default: 60.
        runtime_env: the environment of all worker processes; see `snakepit.runtime_env`.
        pools: pools of workers, each with a name, for calls that say so; see `snakepit.Pool`.
        max_sessions: how many sessions may be open, 0 to 10,000,000; default: 10,000; see
            `snakepit.Session`.
        heartbeat: a `snakepit.Heartbeat`, by which workers that hang are found and ended: those of
            actors, and of all pools that do not say how theirs are watched; default: none.
        unknown: refused; here to say what is allowed.

    Returns:
        The runtime's facts, which is also a context manager that ends the runtime.

    Raises:
        TypeError: an argument has a wrong type or an unknown name.
        OptionError: an argument has a value that is not allowed, or is not supported.
        RuntimeError: a runtime is there already.
    """
    check_options("init", unknown, dict.fromkeys(_SETTINGS, check_bool), _LATER)
    check_bool("ignore_reinit_error", ignore_reinit_error)
    config = resolve(
        mode=mode,
        num_cpus=num_cpus,
        num_gpus=num_gpus,
        memory=memory,
        resources=resources,
        object_store_memory=object_store_memory,
        namespace=namespace,
        log_to_driver=log_to_driver,
        max_workers=max_workers,
        restart_intensity=restart_intensity,
        restart_period=restart_period,
        runtime_env=runtime_env,
        pools=pools,
        max_sessions=max_sessions,
        heartbeat=heartbeat,
    )
    if config.threaded and not is_initialized():
        _tell_of_gil(config)
    runtime, new = begin(lambda: _start(config))
    if not new and not ignore_reinit_error and _shutdown_of(runtime) is not None:
        raise RuntimeError(
            "snakepit is running already, by an earlier init() or call. Call snakepit.shutdown() "
            "first, or init(ignore_reinit_error=True) to use the one that runs"
        )
    return Context(runtime, owner=new)


def _tell_of_gil(config: Config) -> None:
    """Warn, once for each interpreter of a runtime, that threads are not what they seem."""
    if config.mode == INLINE:
        return
    import warnings

    from ..runtime.interpreter import with_gil

    for program, version, pools in with_gil(config):
        warnings.warn(
            f"pool {', '.join(pools)}: {program} (Python {version}) has a global interpreter lock, "
            'so calls in the threads of profile="thread" are concurrent and not parallel: they run '
            "Python code by turns. A free-threaded build of Python runs them in parallel (name it "
            'by Pool(interpreter=...)); so does profile="process"',
            RuntimeWarning,
            stacklevel=3,
        )


def shutdown() -> None:
    """End the runtime with all its processes; nothing happens where none is, or inside a task."""
    runtime = _here()
    if runtime is not None:
        _close(runtime)


def is_initialized() -> bool:
    """Return whether this process has a runtime."""
    return _here() is not None


def running() -> Runtime:
    """Return the current runtime; start one with the defaults if there is none."""
    return ensure(lambda: _start(resolve()))


def _start(config: Config) -> Runtime:
    # The one place where the API names a runtime; loaded here because most of the package's
    # cost is behind it.
    if config.mode == INLINE:
        from ..runtime.inline import InlineRuntime

        return InlineRuntime(config)
    from ..runtime.start import start

    return start(config)


def _here() -> Runtime | None:
    try:
        return current()
    except ForkedRuntimeError:
        return None


def _shutdown_of(runtime: Runtime) -> Any:
    """The runtime's shutdown; None for a task's client, whose runtime is not its to end."""
    return getattr(runtime, "shutdown", None)


def _close(runtime: Runtime) -> None:
    end = _shutdown_of(runtime)
    if end is None:
        return
    try:
        end()
    except KeyboardInterrupt:
        # The first Ctrl-C must not leave processes behind; a second one gets out.
        end()
        raise
    finally:
        retire(runtime)
