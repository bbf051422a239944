"""Arrow tables and record batches, as Arrow IPC streams in one out-of-band buffer.

Pickled by its own means a slice ships the whole table; in IPC it ships what it shows. Read back,
the columns lie in the buffer itself.
"""

from __future__ import annotations

from pickle import PickleBuffer
from typing import Any


def reduce_table(table: Any) -> tuple[Any, ...]:
    """Reduce a pyarrow.Table to its IPC stream."""
    return load_table, (_stream(table),)


def reduce_batch(batch: Any) -> tuple[Any, ...]:
    """Reduce a pyarrow.RecordBatch to its IPC stream."""
    return load_batch, (_stream(batch),)


def load_table(buffer: Any) -> Any:
    """Rebuild a table over the buffer."""
    with _reader(buffer) as reader:
        return reader.read_all()


def load_batch(buffer: Any) -> Any:
    """Rebuild a record batch over the buffer."""
    with _reader(buffer) as reader:
        return reader.read_next_batch()


def _stream(data: Any) -> PickleBuffer:
    import pyarrow as pa

    # A dry run gives the size: a stream that grows would be copied again and again.
    dry = pa.MockOutputStream()
    _write(data, dry)
    memory = pa.allocate_buffer(dry.size())
    _write(data, pa.FixedSizeBufferWriter(memory))
    return PickleBuffer(memory)


def _write(data: Any, sink: Any) -> None:
    import pyarrow as pa

    with pa.ipc.new_stream(sink, data.schema) as writer:
        writer.write(data)


def _reader(buffer: Any) -> Any:
    import pyarrow as pa

    return pa.ipc.open_stream(pa.py_buffer(buffer))
