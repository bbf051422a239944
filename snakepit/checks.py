"""The rules for the values of options and settings.

Each check takes the option's name and its value, and returns the value in the form that the rest
of the package uses. A wrong type raises TypeError, a wrong value `OptionError` (a ValueError);
both name the option, the value and what is allowed.
"""

from __future__ import annotations

from collections.abc import Mapping
from operator import index
from typing import Final, SupportsFloat, SupportsIndex

from .errors import OptionError

UNITS: Final = 10_000
"""Resources are counted in 1/10,000: sums of integers are exact, those of floats are not."""

RESERVES: Final = "+"
"""Before a name among an actor's needs: what it sets aside under that name, for its group."""

IN_GROUP: Final = "_group_"
"""In such a name, between the plain name and the group's."""

GROUPS: Final = "+placement groups"
"""The namespace of the names of placement groups, which are actors."""

INTERPRETER: Final = "SNAKEPIT_ENV_PY_EXECUTABLE"
"""Among an environment's pairs: the command of the interpreter that it names."""

LIMITS: Final = "SNAKEPIT_LIMITS"
"""The variable that tells a new worker what its pool lets it have; it is taken out at once."""

MAX_BYTES: Final = 1 << 49
MAX_QUANTITY: Final = 1_000_000_000
MAX_INTENSITY: Final = 1000
MAX_PERIOD: Final = 86_400.0
LEAST_PERIOD: Final = 0.1
"""Seconds for each restart: with the back-off between them, more could never come in the period."""
LONGEST_WAIT: Final = 2_000_000.0
"""Seconds, some 23 days: a system call can wait for no more, and who says more means for ever."""
RESERVED: Final = {"CPU": "num_cpus", "GPU": "num_gpus", "memory": "memory"}


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
    return check_text(option, value)


def check_text(option: str, value: str) -> str:
    """Return `value` if it can be sent: half of a pair of surrogates has no UTF-8."""
    try:
        value.encode()
    except UnicodeEncodeError:
        raise wrong_value(option, value, "text that UTF-8 can encode, no lone surrogates") from None
    return value


def check_choice(option: str, value: object, choices: tuple[str, ...]) -> str:
    """Return `value` if it is one of some strings."""
    allowed = f"one of {', '.join(map(repr, choices))}"
    if not isinstance(value, str):
        raise wrong_type(option, value, allowed)
    if value not in choices:
        raise wrong_value(option, value, allowed)
    return value


def check_timeout(value: object, option: str = "timeout") -> float | None:
    """Return `value` if it is a number of seconds that is not negative; None if it is for ever."""
    if value is None:
        return None
    allowed = "None or a number of seconds, 0 or more"
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise wrong_type(option, value, allowed)
    if not value >= 0:
        raise wrong_value(option, value, allowed)
    return None if value > LONGEST_WAIT else value


def check_seconds(option: str, value: object, most: float, *, zero: bool = True) -> float:
    """Return `value` if it is a number of seconds up to `most`."""
    allowed = f"a number of seconds, {'0 or more' if zero else 'more than 0'} and at most {most:g}"
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise wrong_type(option, value, allowed)
    if not 0 <= value <= most or (value == 0 and not zero):
        raise wrong_value(option, value, allowed)
    return float(value)


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


def check_gpus(option: str, value: object) -> int:
    """Return a quantity of GPUs in 1/`UNITS`: a part of one, or whole ones."""
    units = check_units(option, value)
    if units > UNITS and units % UNITS:
        raise wrong_value(option, value, "a part of one GPU, up to 1, or a whole number of them")
    return units


def check_bytes(option: str, value: object) -> int:
    """Return a number of bytes in 1/`UNITS`, as all resources are counted."""
    allowed = f"a number of bytes from 0 to {MAX_BYTES}"
    if isinstance(value, bool) or not isinstance(value, SupportsFloat):
        raise wrong_type(option, value, allowed)
    if not 0 <= float(value) <= MAX_BYTES:
        raise wrong_value(option, value, allowed)
    return int(float(value)) * UNITS


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
        check_text(f"a name in {option}", name)
        if name in RESERVED:
            raise wrong_value(
                f"a name in {option}", name, f"other than {name}, which {RESERVED[name]}= is for"
            )
        found.append((name, check_units(f"{option}[{name!r}]", quantity, zero=zero)))
    return tuple(sorted(found))
