"""What the workers of these tests run: whatever Python text comes in the mailbox."""

from __future__ import annotations

import json
from typing import Any


def obey(setup: Any) -> int:
    """Run each command; reply with the JSON of the variable `reply` that it may leave."""
    stream = setup.mailbox.makefile("rwb", buffering=0)
    names: dict[str, Any] = {"setup": setup}
    for line in stream:
        names["reply"] = None
        exec(json.loads(line), names)
        stream.write(json.dumps(names["reply"]).encode() + b"\n")
    return 0


def fail(setup: Any) -> None:
    """Raise at once."""
    raise RuntimeError(f"worker {setup.number} does not want to")


def leave(setup: Any) -> str:
    """Exit with a message."""
    print("so long")
    raise SystemExit("no reason")
