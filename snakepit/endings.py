"""How processes end, in words: what an error says of a death, and what its reader can do."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

_SIGNAL_ADVICE: Final = {
    "SIGSEGV": "Native code crashed: look at the library that the call used",
    "SIGBUS": "Native code crashed, or a mapped file was cut short",
    "SIGILL": "Native code is built for another processor",
    "SIGFPE": "Native code crashed on arithmetic",
    "SIGABRT": "Native code gave up: its reason is usually in the lines of stderr",
    "SIGKILL": (
        "Often the kernel's out-of-memory killer: see dmesg, "
        "and run fewer calls at once (num_cpus) or give each more memory"
    ),
    "SIGTERM": "Something asked it to end",
}

_KIND_WORDS: Final = {"oom": " for lack of memory", "gpu": " after an error of the GPU"}

_KIND_ADVICE: Final = {
    "oom": "Run fewer calls at once (num_cpus), or give each more memory",
    "gpu": "See its lines of stderr for what the GPU's library said",
    "hang": "C code held the GIL, or it was stopped: see its stacks, or give it a longer Heartbeat",
}

_LET_GO: Final = {
    "size": "was let go when its pool was made smaller",
    "gpus": "was let go after its call, as each that has GPUs",
}


def how(fields: Mapping[str, Any]) -> str:
    """Return how a process ended, after its name."""
    signal, code = fields.get("signal"), fields.get("exit_code")
    if fields.get("start_timeout"):
        return f"was not ready within start_timeout={fields['start_timeout']:g} s and was ended"
    if (silent := fields.get("silent")) is not None:
        return f"did not answer for {silent:.3g} s and was ended"
    if fields.get("ended_for"):
        return "was ended"
    if let_go := fields.get("let_go"):
        return _LET_GO.get(let_go, "was let go")
    why = _KIND_WORDS.get(fields.get("kind") or "", "")
    if signal:
        return f"was killed by {signal}{why}"
    if code is not None:
        return f"exited with code {code}{why}"
    return "disappeared"


def advice(fields: Mapping[str, Any]) -> str:
    """Return what to look at, or to do; "" if there is nothing to say."""
    signal = fields.get("signal")
    if fields.get("start_timeout"):
        return "Its initializer counts too. If it only needs longer (see its stacks), give it that"
    if call := fields.get("ended_for"):
        if (limit := fields.get("timeout")) is not None:
            return f"{call} had run for more than {limit:g} s, its timeout, and did not end then"
        return f"{call} had been cancelled, which with force=True ends the process it runs in"
    if fields.get("zygote"):
        return f"It died with its parent: {fields['zygote']}"
    if fields.get("let_go"):
        return ""
    if fields.get("distrusted"):
        return f"The driver ended it: {fields['distrusted']}"
    if fields.get("kind") in _KIND_ADVICE:
        return _KIND_ADVICE[fields["kind"]]
    if signal in _SIGNAL_ADVICE:
        return _SIGNAL_ADVICE[signal]
    if fields.get("exit_code") == 1 and _raised(fields):
        return "An exception ended it: its last lines have the traceback"
    if fields.get("exit_code") is not None and not signal:
        return "Something in it called os._exit, or ended the interpreter"
    return ""


def _raised(fields: Mapping[str, Any]) -> bool:
    """Tell whether an exception has ended a process that ran no call; calls catch theirs."""
    return not fields.get("running") and "Traceback (most recent" in (fields.get("stderr") or "")
