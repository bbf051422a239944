"""Arrow data travels as IPC: only what is shown, and read without a copy."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest

from snakepit.payload import pack, unpack


def table(rows: int = 1000) -> Any:
    return pa.table(
        {
            "number": pa.array(range(rows)),
            "text": pa.array([f"row {i}" if i % 3 else None for i in range(rows)]),
            "list": pa.array([[i, i] for i in range(rows)]),
            "code": pa.array([str(i % 3) for i in range(rows)]).dictionary_encode(),
        }
    ).replace_schema_metadata({"made": "here"})


@pytest.mark.parametrize(
    "sent",
    [
        table(),
        table(0),
        table().slice(3, 10),
        pa.concat_tables([table(3), table(4)]),
        table().select([]),
        table().to_batches()[0],
        table().to_batches()[0].slice(7, 2),
        table(0).schema.empty_table().to_batches() or table(1).to_batches()[0].slice(0, 0),
    ],
)
@pytest.mark.parametrize("wrap", [lambda x: x, lambda x: {"deep": [[x, print]]}])
def test_tables_and_batches_come_back_equal(sent: Any, wrap: Any) -> None:
    packed = pack(wrap(sent), what="a table")
    again = unpack([bytes(part) for part in packed.parts])
    if isinstance(again, dict):
        again = again["deep"][0][0]
    assert type(again) is type(sent)
    assert again.equals(sent)
    assert again.schema.equals(sent.schema, check_metadata=True)


def test_a_slice_ships_only_what_it_shows() -> None:
    whole, part = table(100_000), table(100_000).slice(5, 10)
    sizes = [sum(len(p) for p in pack(t, what="").parts) for t in (whole, part)]
    assert sizes[0] > 1_000_000
    assert sizes[1] < 10_000


def test_columns_lie_in_the_buffer() -> None:
    stream, *buffers = pack(pa.table({"a": list(range(10_000))}), what="").parts
    memory = pa.py_buffer(bytes(buffers[0]))
    again = unpack([stream, memoryview(memory)])
    values = again["a"].chunk(0).buffers()[1]
    assert memory.address <= values.address < memory.address + memory.size
    del memory
    assert again["a"][9_999].as_py() == 9_999


def test_a_table_met_twice_is_one_table() -> None:
    shared = table(3)
    packed = pack([shared, shared], what="")
    assert len(packed.parts) == 2
    first, second = unpack(packed.parts)
    assert first is second
