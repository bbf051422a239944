"""The settings of a runtime; the rules for their values are in `checks`.

Only this module reads the environment. These variables stand in for arguments of `init` that are
not given:

    SNAKEPIT_MODE                 process, inline
    SNAKEPIT_NUM_CPUS             2
    SNAKEPIT_NUM_GPUS             1
    SNAKEPIT_MEMORY               bytes
    SNAKEPIT_RESOURCES            camera=2,disk=0.5
    SNAKEPIT_OBJECT_STORE_MEMORY  bytes
    SNAKEPIT_NAMESPACE            a name
    SNAKEPIT_LOG_TO_DRIVER        1, true, yes, on; 0, false, no, off
    SNAKEPIT_MAX_WORKERS          64
    SNAKEPIT_RESTART_INTENSITY    5
    SNAKEPIT_RESTART_PERIOD       60
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, NamedTuple, final

from .checks import MAX_BYTES
from .checks import UNITS as UNITS
from .checks import check_bool as check_bool
from .checks import check_bytes as check_bytes
from .checks import check_gpus as check_gpus
from .checks import check_int as check_int
from .checks import check_name as check_name
from .checks import check_resources as check_resources
from .checks import check_restarts as check_restarts
from .checks import check_timeout as check_timeout
from .checks import check_units as check_units
from .checks import wrong_type as wrong_type
from .checks import wrong_value as wrong_value
from .machine import available_cpus, available_memory, present_gpus
from .pools import THREAD, Pool, check_heartbeat, check_pools
from .runtime_env import Pairs, check_runtime_env

if TYPE_CHECKING:
    from .heartbeats import Heartbeat

PROCESS: Final = "process"
INLINE: Final = "inline"
MAX_CPUS: Final = 1024
MAX_GPUS: Final = 1024
VISIBLE: Final = "CUDA_VISIBLE_DEVICES"
"""The variable that tells CUDA's libraries which GPUs a process may use."""
MAX_WORKERS: Final = 65_536
STORE_SHARE: Final = 0.4
SMALLEST_STORE: Final = 1 << 20
INTENSITY: Final = 5
MAX_SESSIONS: Final = 10_000
MOST_SESSIONS: Final = 10_000_000
PERIOD: Final = 60.0


class _Fields(NamedTuple):
    num_cpus: int
    gpus: tuple[str, ...]
    memory: int
    resources: tuple[tuple[str, int], ...]
    object_store_memory: int
    namespace: str
    log_to_driver: bool
    max_workers: int | None
    restart_intensity: int
    restart_period: float
    mode: str
    runtime_env: Pairs
    pools: tuple[Pool, ...]
    max_sessions: int
    heartbeat: Heartbeat | None


@final
class Config(_Fields):
    """The settings of one runtime; frozen, and checked when made.

    Attributes:
        num_cpus: CPUs that tasks and actors share, 0 to 1024.
        gpus: the GPUs that they share, as CUDA_VISIBLE_DEVICES names them.
        memory: bytes that they may ask for; a quantity to share out, and no limit.
        resources: custom resources, as sorted pairs of a name and a quantity in 1/`UNITS`.
        object_store_memory: bytes that stored objects may take.
        namespace: where actors' names are looked up; "" is the anonymous one.
        log_to_driver: whether what workers print appears at the driver.
        max_workers: the most worker processes at one time; None leaves it to the runtime.
        restart_intensity: how many restarts in vain are borne within `restart_period`.
        restart_period: seconds.
        runtime_env: the environment of all worker processes, as pairs.
        mode: where calls run: in processes of their own, or "inline" in the driver.
        pools: those that were asked for.
        max_sessions: how many sessions may be open.
        heartbeat: how all workers are watched whose pool does not say how its own are.
    """

    __slots__ = ()

    def __new__(
        cls,
        *,
        num_cpus: int,
        object_store_memory: int,
        gpus: tuple[str, ...] = (),
        memory: int = 0,
        resources: Mapping[str, float] | None = None,
        namespace: str | None = None,
        log_to_driver: bool = True,
        max_workers: int | None = None,
        restart_intensity: int = INTENSITY,
        restart_period: float = PERIOD,
        mode: str = PROCESS,
        runtime_env: Mapping[str, Any] | None = None,
        pools: Sequence[Pool] | None = None,
        max_sessions: int = MAX_SESSIONS,
        heartbeat: Heartbeat | None = None,
    ) -> Config:
        """Check every setting.

        Raises:
            TypeError: a setting has the wrong type.
            OptionError: a setting has a value that is not allowed.
        """
        given = () if resources is None else resources
        return super().__new__(
            cls,
            check_int("num_cpus", num_cpus, 0, MAX_CPUS),
            gpus,
            check_int("memory", memory, 0, MAX_BYTES, " bytes"),
            check_resources("resources", given, zero=False) if given != () else (),
            _store(object_store_memory),
            "" if namespace is None else check_name("namespace", namespace),
            check_bool("log_to_driver", log_to_driver),
            None if max_workers is None else check_int("max_workers", max_workers, 1, MAX_WORKERS),
            *check_restarts(restart_intensity, restart_period),
            _mode(mode),
            () if runtime_env is None else check_runtime_env("runtime_env", runtime_env),
            () if pools is None else check_pools(pools),
            check_int("max_sessions", max_sessions, 0, MOST_SESSIONS),
            None if heartbeat is None else check_heartbeat(heartbeat),
        )

    def __reduce__(self) -> tuple[Any, ...]:
        return _restore, tuple(self)

    @property
    def threaded(self) -> list[str]:
        """The names of the pools whose workers run calls in threads."""
        return [pool.name for pool in self.pools if pool.profile == THREAD]

    def totals(self) -> dict[str, int]:
        """Return what there is to share out, CPUs included, in 1/`UNITS`."""
        found = {"CPU": self.num_cpus * UNITS, "memory": self.memory * UNITS}
        if self.gpus:
            found["GPU"] = len(self.gpus) * UNITS
        return {**found, **dict(self.resources)}


def _mode(value: object) -> str:
    allowed = f'"{PROCESS}" or "{INLINE}"'
    if not isinstance(value, str):
        raise wrong_type("mode", value, allowed)
    if value not in (PROCESS, INLINE):
        raise wrong_value("mode", value, allowed)
    return value


def _store(size: object) -> int:
    return check_int("object_store_memory", size, SMALLEST_STORE, 1 << 60, " bytes")


def _restore(*fields: Any) -> Config:
    return tuple.__new__(Config, fields)


def resolve(
    *,
    num_cpus: int | None = None,
    num_gpus: int | None = None,
    memory: int | None = None,
    resources: Mapping[str, float] | None = None,
    object_store_memory: int | None = None,
    namespace: str | None = None,
    log_to_driver: bool | None = None,
    max_workers: int | None = None,
    restart_intensity: int | None = None,
    restart_period: float | None = None,
    mode: str | None = None,
    runtime_env: Mapping[str, Any] | None = None,
    pools: Sequence[Pool] | None = None,
    max_sessions: int | None = None,
    heartbeat: Heartbeat | None = None,
    environment: Mapping[str, str] | None = None,
) -> Config:
    """Return the settings: those given, else the environment's, else what suits this machine.

    Args:
        num_cpus: default: the least of CPU affinity and cgroup quota.
        num_gpus: default: those that are present and that CUDA_VISIBLE_DEVICES does not hide.
        memory: bytes to share out; default: what this process may use, less the object store.
        resources: quantities by name; default: none.
        object_store_memory: bytes; default: 40 % of the memory that this process may use.
        namespace: default: the anonymous one.
        log_to_driver: default: True.
        max_workers: default: the runtime's choice.
        restart_intensity: default: 5.
        restart_period: seconds; default: 60.
        mode: default: "process".
        runtime_env: default: the driver's own environment.
        pools: default: none but the one for calls that name none.
        max_sessions: default: 10,000.
        heartbeat: default: none.
        environment: in place of the process's own, for tests.

    Raises:
        TypeError: a setting has the wrong type.
        OptionError: a setting or a variable has a value that is not allowed.
    """
    variables = _Variables(os.environ if environment is None else environment)
    if num_cpus is None:
        num_cpus = variables.integer("SNAKEPIT_NUM_CPUS")
    if num_cpus is None:
        num_cpus = min(available_cpus(), MAX_CPUS)
    if num_gpus is None:
        num_gpus = variables.integer("SNAKEPIT_NUM_GPUS")
    if resources is None:
        resources = variables.quantities("SNAKEPIT_RESOURCES")
    if object_store_memory is None:
        object_store_memory = variables.integer("SNAKEPIT_OBJECT_STORE_MEMORY")
    if object_store_memory is None:
        object_store_memory = max(SMALLEST_STORE, int(available_memory() * STORE_SHARE))
    if memory is None:
        memory = variables.integer("SNAKEPIT_MEMORY")
    if memory is None:
        memory = max(0, available_memory() - _store(object_store_memory))
    if namespace is None:
        namespace = variables.text("SNAKEPIT_NAMESPACE")
    if log_to_driver is None:
        log_to_driver = variables.boolean("SNAKEPIT_LOG_TO_DRIVER", default=True)
    if max_workers is None:
        max_workers = variables.integer("SNAKEPIT_MAX_WORKERS")
    if restart_intensity is None:
        restart_intensity = variables.integer("SNAKEPIT_RESTART_INTENSITY")
    if restart_period is None:
        restart_period = variables.number("SNAKEPIT_RESTART_PERIOD")
    if mode is None:
        mode = variables.text("SNAKEPIT_MODE")
    return Config(
        num_cpus=num_cpus,
        gpus=_gpus(num_gpus, variables.listed(VISIBLE)),
        memory=memory,
        resources=resources,
        object_store_memory=object_store_memory,
        namespace=namespace,
        log_to_driver=log_to_driver,
        max_workers=max_workers,
        restart_intensity=INTENSITY if restart_intensity is None else restart_intensity,
        restart_period=PERIOD if restart_period is None else restart_period,
        mode=PROCESS if mode is None else mode,
        runtime_env=runtime_env,
        pools=pools,
        max_sessions=MAX_SESSIONS if max_sessions is None else max_sessions,
        heartbeat=heartbeat,
    )


def _gpus(count: int | None, visible: list[str] | None) -> tuple[str, ...]:
    """Return the names of the GPUs to share out: of those that the driver itself may use."""
    if count is None:
        present = present_gpus()
        return tuple(map(str, range(present)) if visible is None else visible[:present])
    check_int("num_gpus", count, 0, MAX_GPUS)
    if visible is None:
        return tuple(map(str, range(count)))
    if count > len(visible):
        raise wrong_value("num_gpus", count, f"at most the {len(visible)} that {VISIBLE} shows")
    return tuple(visible[:count])


@final
class _Variables:
    """Reads settings from environment variables; an empty one counts as absent."""

    __slots__ = ("_all",)

    def __init__(self, variables: Mapping[str, str]) -> None:
        self._all = variables

    def text(self, name: str) -> str | None:
        return self._all.get(name, "").strip() or None

    def listed(self, name: str) -> list[str] | None:
        text = self._all.get(name)
        if text is None:
            return None
        # As CUDA reads it: what stands behind an entry that names nothing is hidden.
        found = []
        for entry in text.split(","):
            if not entry.strip() or entry.strip() == "-1":
                break
            found.append(entry.strip())
        return found

    def integer(self, name: str) -> int | None:
        text = self.text(name)
        try:
            return None if text is None else int(text)
        except ValueError:
            raise wrong_value(f"the variable {name}", text, "an integer") from None

    def number(self, name: str) -> float | None:
        text = self.text(name)
        try:
            return None if text is None else float(text)
        except ValueError:
            raise wrong_value(f"the variable {name}", text, "a number") from None

    def boolean(self, name: str, *, default: bool) -> bool:
        text = self.text(name)
        if text is None:
            return default
        if text.lower() in ("1", "true", "yes", "on"):
            return True
        if text.lower() in ("0", "false", "no", "off"):
            return False
        raise wrong_value(
            f"the variable {name}", text, "one of 1, true, yes, on, 0, false, no, off"
        )

    def quantities(self, name: str) -> dict[str, float] | None:
        text = self.text(name)
        if text is None:
            return None
        found = {}
        for item in text.split(","):
            key, _, quantity = item.partition("=")
            try:
                found[key.strip()] = float(quantity)
            except ValueError:
                raise wrong_value(
                    f"the variable {name}", text, "of the form name=2,other=0.5"
                ) from None
        return found


def environment() -> dict[str, str]:
    """Return a copy of this process's environment, for the processes that it starts."""
    return dict(os.environ)


def runtime_directories() -> list[tuple[str, str]]:
    """Return where the register of runs may lie: a directory that exists, and a name in it.

    The user's runtime directory if that is the user's own, which it is not after a plain su; then
    the directory for temporary files.
    """
    user = os.geteuid()
    found = []
    base = os.environ.get("XDG_RUNTIME_DIR", "")
    try:
        if os.path.isabs(base) and os.stat(base).st_uid == user:
            found.append((base, "snakepit"))
    except OSError:
        pass
    return [*found, (os.environ.get("TMPDIR") or "/tmp", f"snakepit-{user}")]
