from __future__ import annotations

from typing import Any

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from snakepit.errors import ProtocolError, SerializationError
from snakepit.wire import codec, messages
from snakepit.wire.codec import Encoder, decode
from snakepit.wire.frames import FrameDecoder
from snakepit.wire.messages import Execute, Exit, Result, Template

KINDS = codec._KINDS


plain = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False)
    | st.text(max_size=10)
    | st.binary(max_size=30),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=10,
)


@st.composite
def any_message(draw: st.DrawFn) -> Any:
    kind = draw(st.sampled_from(KINDS))
    return kind(*(draw(plain) for _ in kind._fields))


def body(message: tuple[Any, ...]) -> bytes:
    """Return the one body that the frame of a message holds."""
    (only,) = FrameDecoder().feed(Encoder()(message))
    return only


@given(any_message())
def test_every_kind_comes_back_as_it_was(message: Any) -> None:
    back = decode(body(message))
    assert type(back) is type(message)
    assert back == message


@given(st.lists(any_message(), max_size=8))
def test_an_encoder_is_used_again(sent: list[Any]) -> None:
    encode = Encoder()
    stream = b"".join(encode(message) for message in sent)
    assert [decode(each) for each in FrameDecoder().feed(stream)] == sent


def test_the_payloads_of_each_form() -> None:
    for payload in (b"pickle", [b"pickle", b"buffer"], [7, 3, 4096, [10, 20]]):
        message = Execute(1, 2, 3, 0, payload, [[0, 9, payload], ["key", 8, payload]], 0)
        assert decode(body(message)) == message


@pytest.mark.parametrize("text", ["\ud800", "caf\udce9.txt", "\udfff\ud800 and more"])
def test_lone_surrogates_travel(text: str) -> None:
    """They stand in names of files that are no UTF-8: `os.fsdecode` makes them."""
    message = Execute(1, 2, 3, 0, b"", [[text, 8, b""]], 0)
    assert decode(body(message)) == message


@pytest.mark.parametrize("value", [2**64, -(2**63) - 1, object(), ["\ud800", 2**64]])
def test_what_no_message_can_hold(value: Any) -> None:
    encode = Encoder()
    with pytest.raises(SerializationError, match="a message Answer cannot be sent"):
        encode(messages.Answer(1, 0, value))
    assert decode(FrameDecoder().feed(encode(messages.Ping(1)))[0]) == messages.Ping(1)


def test_what_is_nested_too_deeply_is_not_sent() -> None:
    value: list[Any] = []
    for _ in range(5000):
        value = [value]
    with pytest.raises(SerializationError):
        Encoder()(messages.Answer(1, 0, value))


def test_fields_without_a_message_object() -> None:
    result = Result(5, 0, [b"v"], [], 10, [])
    assert Encoder().fields((codec.RESULT, *result)) == Encoder()(result)
    execute = Execute(1, 2, 3, 0, b"", [], 0)
    assert Encoder().fields((codec.EXECUTE, *execute)) == Encoder()(execute)


def test_ids_of_63_bits() -> None:
    top = (1 << 63) - 1
    assert decode(body(messages.GivenBack([top, 1 << 40]))).calls == [top, 1 << 40]


def test_each_kind_has_its_own_number() -> None:
    assert len(set(KINDS)) == len(KINDS)
    numbers = {msgpack.unpackb(body(kind(*([0] * len(kind._fields)))))[0] for kind in KINDS}
    assert numbers == set(range(len(KINDS)))


def test_a_template_survives_the_define_message() -> None:
    template = Template(
        0, "f", b"digest", "", 1, (("CPU", 10_000),), "main", 3, b"", 0, "", 0, 0, "", "", ()
    )
    message = decode(body(messages.Define(1, list(template))))
    assert len(message.template) == len(template)
    assert message.template[5] == [["CPU", 10_000]]


# --- what no peer of this version sends -------------------------------------------------------


@given(st.sampled_from(KINDS), st.integers(1, 3))
def test_a_wrong_number_of_fields(kind: Any, more: int) -> None:
    number, count = KINDS.index(kind), len(kind._fields)
    for fields in {count + more, max(0, count - more)} - {count}:
        with pytest.raises(ProtocolError, match="cannot be read"):
            decode(msgpack.packb([number, *[0] * fields]))


@pytest.mark.parametrize("number", [len(KINDS), 10_000, 2**63, None, "1", 1.5, [1], -1, -2])
def test_an_unknown_kind(number: Any) -> None:
    for count in range(8):
        with pytest.raises(ProtocolError):
            decode(msgpack.packb([number, *[0] * count]))


@pytest.mark.parametrize("value", [5, None, [], b"\x0a", "x", True, 1.5, {KINDS.index(Exit): 0}])
def test_what_is_no_array_of_a_kind(value: Any) -> None:
    with pytest.raises(ProtocolError):
        decode(msgpack.packb(value))


@given(any_message(), st.integers(0, 400))
def test_a_truncated_body(message: Any, kept: int) -> None:
    whole = body(message)
    with pytest.raises(ProtocolError):
        decode(whole[: min(kept, len(whole) - 1)])


@given(any_message(), st.binary(min_size=1, max_size=5))
def test_bytes_after_the_message(message: Any, tail: bytes) -> None:
    with pytest.raises(ProtocolError):
        decode(body(message) + tail)


@given(st.binary(max_size=60))
def test_noise_is_a_message_or_a_protocol_error(data: bytes) -> None:
    try:
        message = decode(data)
    except ProtocolError:
        return
    assert type(message) in KINDS


@given(any_message(), st.data())
def test_a_flipped_byte_is_a_message_or_a_protocol_error(message: Any, data: st.DataObject) -> None:
    whole = bytearray(body(message))
    place = data.draw(st.integers(0, len(whole) - 1))
    whole[place] ^= data.draw(st.integers(1, 255))
    try:
        assert type(decode(bytes(whole))) in KINDS
    except ProtocolError as error:
        assert str(len(whole)) in str(error)


def test_deep_nesting_is_refused() -> None:
    with pytest.raises(ProtocolError):
        decode(b"\x92\x00" + b"\x91" * 100_000 + b"\x00")


def test_an_announced_size_that_is_not_there_costs_nothing() -> None:
    for prefix in (b"\xdd\xff\xff\xff\xff", b"\xc6\xff\xff\xff\xff", b"\xdf\xff\xff\xff\xff"):
        with pytest.raises(ProtocolError):
            decode(b"\x92\x00" + prefix)


def test_a_message_beyond_the_bound_is_not_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(codec, "MAX_FRAME", 100)
    encode = Encoder()
    with pytest.raises(ProtocolError, match="put large values in the store"):
        encode(messages.Put(1, b"x" * 200, []))
    assert decode(FrameDecoder().feed(encode(messages.Ping(1)))[0]) == messages.Ping(1)
