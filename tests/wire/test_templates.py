from __future__ import annotations

from typing import Any

import msgpack
import pytest

from snakepit.errors import ProtocolError
from snakepit.wire.messages import Template
from snakepit.wire.templates import read_template

WHOLE = Template(
    kind=1,
    name="A",
    code=b"digest",
    method="",
    returns=1,
    resources=(("CPU", 10_000), ("b", 5)),
    pool="main",
    max_retries=-1,
    retry_exceptions=b"",
    priority=-3,
    max_restarts=2,
    max_task_retries=0,
    actor_name="a",
    namespace="n",
    env=(("A", "b"),),
    groups=(("", 3), ("io", 2)),
    timeout=1.5,
)

WRONG = {"resources": (("CPU", "x"),), "env": (("A", 7),), "groups": ((7, 7),)}


def sent(template: Template) -> list[Any]:
    """Return the fields as they come."""
    fields: list[Any] = msgpack.unpackb(msgpack.packb(list(template)))
    return fields


def test_a_template_comes_back_as_it_was() -> None:
    assert read_template(sent(WHOLE)) == WHOLE
    assert hash(read_template(sent(WHOLE))) == hash(WHOLE)


@pytest.mark.parametrize("field", Template._fields)
def test_each_field_is_looked_at(field: str) -> None:
    for value in (None, ["x"], [["x", None]], WRONG.get(field)):
        with pytest.raises(ProtocolError, match="a template cannot be read"):
            read_template(sent(WHOLE._replace(**{field: value})))


@pytest.mark.parametrize("kind", [-1, 4])
def test_what_is_of_no_kind(kind: int) -> None:
    with pytest.raises(ProtocolError, match="there is no kind"):
        read_template(sent(WHOLE._replace(kind=kind)))


@pytest.mark.parametrize("count", [0, 3, 100])
def test_the_number_of_fields(count: int) -> None:
    with pytest.raises(ProtocolError, match="cannot be read"):
        read_template([0] * count)
