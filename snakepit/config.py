"""The settings of a runtime, and the rules for option values.

Only this module reads the environment. These variables stand in for arguments of `init` that are
not given:

    SNAKEPIT_NUM_CPUS             2
    SNAKEPIT_RESOURCES            camera=2,disk=0.5
    SNAKEPIT_OBJECT_STORE_MEMORY  bytes
    SNAKEPIT_NAMESPACE            a name
    SNAKEPIT_LOG_TO_DRIVER        1, true, yes, on; 0, false, no, off
    SNAKEPIT_MAX_WORKERS          64
    SNAKEPIT_RESTART_INTENSITY    5
    SNAKEPIT_RESTART_PERIOD       60

Each check takes the option's name and its value, and returns the value in the form that the rest
of the package uses. A wrong type raises TypeError, a wrong value `OptionError` (a ValueError);
both name the option, the value and what is allowed.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from operator import index
from typing import Any, Final, NamedTuple, SupportsFloat, SupportsIndex, final

from .errors import OptionError
from .machine import available_cpus, available_memory

UNITS: Final = 10_000
"""Resources are counted in 1/10,000: sums of integers are exact, those of floats are not."""

MAX_CPUS: Final = 1024
MAX_QUANTITY: Final = 1_000_000_000
MAX_WORKERS: Final = 65_536
STORE_SHARE: Final = 0.4
SMALLEST_STORE: Final = 1 << 20
INTENSITY: Final = 5
PERIOD: Final = 60.0
MAX_INTENSITY: Final = 1000
MAX_PERIOD: Final = 86_400.0
LEAST_PERIOD: Final = 0.1
"""Seconds for each restart: with the back-off between them, more could never come in the period."""
RESERVED: Final = {"CPU": "num_cpus", "GPU": "num_gpus", "memory": "memory"}


# --- checks ----------------------------------------------------------------------------------


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."


def wrong_type(option: str, value: object, allowed: str) -> TypeError:
    """Return the error for a value of the wrong type."""
    return TypeError(
        f"{option} must be {allowed}, not {_shown(value)} (of type {type(value).__name__})"
    )


def wrong_value(option: str, value: object, allowed: str) -> OptionError:
    """Return the error for a value of the right type that is not allowed."""
    return OptionError(f"{option} must be {allowed}, not {_shown(value)}")


def check_int(option: str, value: object, low: int, high: int, note: str = "") -> int:
    """Return `value` if it is an integer from `low` to `high`; True and False are none."""
    if type(value) is int and low <= value <= high:
        return value
    allowed = f"an integer from {low} to {high}{note}"
    if isinstance(value, bool) or not isinstance(value, SupportsIndex):
        raise wrong_type(option, value, allowed)
    number = index(value)
    if not low <= number <= high:
        raise wrong_value(option, value, allowed)
    return number


def check_bool(option: str, value: object) -> bool:
    """Return `value` if it is True or False."""
    if not isinstance(value, bool):
        raise wrong_type(option, value, "True or False")
    return value


def check_name(option: str, value: object) -> str:
    """Return `value` if it is a string with something in it."""
    if not isinstance(value, str):
        raise wrong_type(option, value, "a string")
    if not value:
        raise wrong_value(option, value, "a string that is not empty")
    return value


def check_timeout(value: object) -> float | None:
    """Return `value` if it is None or a number of seconds that is not negative."""
    if value is None:
        return None
    allowed = "None or a number of seconds, 0 or more"
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise wrong_type("timeout", value, allowed)
    if not value >= 0:
        raise wrong_value("timeout", value, allowed)
    return None if value == float("inf") else value


def check_restarts(intensity: object, period: object) -> tuple[int, float]:
    """Return a restart intensity and its period in seconds, which must have room for it."""
    count = check_int("restart_intensity", intensity, 0, MAX_INTENSITY)
    least = LEAST_PERIOD * (count + 1)
    allowed = (
        f"a number of seconds from {least:g} to {MAX_PERIOD:g}, "
        f"{LEAST_PERIOD:g} for each restart and one more (restart_intensity={count})"
    )
    if isinstance(period, bool) or not isinstance(period, (int, float)):
        raise wrong_type("restart_period", period, allowed)
    if not least <= period <= MAX_PERIOD:
        raise wrong_value("restart_period", period, allowed)
    return count, float(period)


def check_units(option: str, value: object, *, zero: bool = True) -> int:
    """Return a quantity of a resource in 1/`UNITS`.

    Args:
        option: its name, for the error.
        value: a number; what lies between two multiples of 0.0001 is rounded.
        zero: whether 0 is allowed.
    """
    least = "0 or more" if zero else "more than 0"
    allowed = f"a number, {least} and at most {MAX_QUANTITY}"
    if isinstance(value, bool) or not isinstance(value, SupportsFloat):
        raise wrong_type(option, value, allowed)
    number = float(value)
    if not 0 <= number <= MAX_QUANTITY or (number == 0 and not zero):
        raise wrong_value(option, value, allowed)
    units = round(number * UNITS)
    if number and not units:
        raise wrong_value(option, value, f"{allowed}; 0.0001 is the smallest part")
    return units


def check_resources(
    option: str, value: object, *, zero: bool = True
) -> tuple[tuple[str, int], ...]:
    """Return custom resources as sorted pairs of a name and a quantity in 1/`UNITS`."""
    allowed = "a dict of names and quantities"
    if not isinstance(value, Mapping):
        raise wrong_type(option, value, allowed)
    found = []
    for name, quantity in value.items():
        if not isinstance(name, str):
            raise wrong_type(f"a name in {option}", name, "a string")
        if not name:
            raise wrong_value(f"a name in {option}", name, "a string that is not empty")
        if name in RESERVED:
            raise wrong_value(
                f"a name in {option}", name, f"other than {name}, which {RESERVED[name]}= is for"
            )
        found.append((name, check_units(f"{option}[{name!r}]", quantity, zero=zero)))
    return tuple(sorted(found))


# --- settings --------------------------------------------------------------------------------


class _Fields(NamedTuple):
    num_cpus: int
    resources: tuple[tuple[str, int], ...]
    object_store_memory: int
    namespace: str
    log_to_driver: bool
    max_workers: int | None
    restart_intensity: int
    restart_period: float


@final
class Config(_Fields):
    """The settings of one runtime; frozen, and checked when made.

    Attributes:
        num_cpus: CPUs that tasks and actors share, 0 to 1024.
        resources: custom resources, as sorted pairs of a name and a quantity in 1/`UNITS`.
        object_store_memory: bytes that stored objects may take.
        namespace: where actors' names are looked up; "" is the anonymous one.
        log_to_driver: whether what workers print appears at the driver.
        max_workers: the most worker processes at one time; None leaves it to the runtime.
        restart_intensity: how many restarts in vain are borne within `restart_period`.
        restart_period: seconds.
    """

    __slots__ = ()

    def __new__(
        cls,
        *,
        num_cpus: int,
        object_store_memory: int,
        resources: Mapping[str, float] | None = None,
        namespace: str | None = None,
        log_to_driver: bool = True,
        max_workers: int | None = None,
        restart_intensity: int = INTENSITY,
        restart_period: float = PERIOD,
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
            check_resources("resources", given, zero=False) if given != () else (),
            check_int(
                "object_store_memory", object_store_memory, SMALLEST_STORE, 1 << 60, " bytes"
            ),
            "" if namespace is None else check_name("namespace", namespace),
            check_bool("log_to_driver", log_to_driver),
            None if max_workers is None else check_int("max_workers", max_workers, 1, MAX_WORKERS),
            *check_restarts(restart_intensity, restart_period),
        )

    def __reduce__(self) -> tuple[Any, ...]:
        return _restore, tuple(self)

    def totals(self) -> dict[str, int]:
        """Return what there is to share out, CPUs included, in 1/`UNITS`."""
        return {"CPU": self.num_cpus * UNITS, **dict(self.resources)}


def _restore(*fields: Any) -> Config:
    return tuple.__new__(Config, fields)


def resolve(
    *,
    num_cpus: int | None = None,
    resources: Mapping[str, float] | None = None,
    object_store_memory: int | None = None,
    namespace: str | None = None,
    log_to_driver: bool | None = None,
    max_workers: int | None = None,
    restart_intensity: int | None = None,
    restart_period: float | None = None,
    environment: Mapping[str, str] | None = None,
) -> Config:
    """Return the settings: those given, else the environment's, else what suits this machine.

    Args:
        num_cpus: default: the least of CPU affinity and cgroup quota.
        resources: quantities by name; default: none.
        object_store_memory: bytes; default: 40 % of the memory that this process may use.
        namespace: default: the anonymous one.
        log_to_driver: default: True.
        max_workers: default: the runtime's choice.
        restart_intensity: default: 5.
        restart_period: seconds; default: 60.
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
    if resources is None:
        resources = variables.quantities("SNAKEPIT_RESOURCES")
    if object_store_memory is None:
        object_store_memory = variables.integer("SNAKEPIT_OBJECT_STORE_MEMORY")
    if object_store_memory is None:
        object_store_memory = max(SMALLEST_STORE, int(available_memory() * STORE_SHARE))
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
    return Config(
        num_cpus=num_cpus,
        resources=resources,
        object_store_memory=object_store_memory,
        namespace=namespace,
        log_to_driver=log_to_driver,
        max_workers=max_workers,
        restart_intensity=INTENSITY if restart_intensity is None else restart_intensity,
        restart_period=PERIOD if restart_period is None else restart_period,
    )


@final
class _Variables:
    """Reads settings from environment variables; an empty one counts as absent."""

    __slots__ = ("_all",)

    def __init__(self, variables: Mapping[str, str]) -> None:
        self._all = variables

    def text(self, name: str) -> str | None:
        return self._all.get(name, "").strip() or None

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
