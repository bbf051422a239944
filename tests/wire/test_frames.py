from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from snakepit.errors import ProtocolError
from snakepit.wire import frames
from snakepit.wire.frames import FrameDecoder, frame

bodies = st.lists(st.binary(max_size=300), max_size=20)


def cut(data: bytes, places: list[int]) -> list[bytes]:
    """Cut `data` at `places`, each taken modulo its length."""
    edges = [0, *sorted(place % (len(data) + 1) for place in places), len(data)]
    return [data[start:stop] for start, stop in itertools.pairwise(edges)]


@given(bodies, st.lists(st.integers(0, 10_000), max_size=50))
def test_any_split_of_the_stream_gives_the_same_bodies(
    sent: list[bytes], places: list[int]
) -> None:
    decoder = FrameDecoder()
    received: list[bytes] = []
    for piece in cut(b"".join(map(frame, sent)), places):
        received += decoder.feed(piece)
    assert received == sent
    assert decoder.pending == 0


def test_byte_by_byte() -> None:
    decoder = FrameDecoder()
    sent = [b"", b"a", b"bc" * 1000, b""]
    stream = b"".join(map(frame, sent))
    received = [body for i in range(len(stream)) for body in decoder.feed(stream[i : i + 1])]
    assert received == sent


@given(st.binary(min_size=1, max_size=100), st.integers(0, 103))
def test_a_truncated_stream_gives_nothing_and_says_so(body: bytes, kept: int) -> None:
    decoder = FrameDecoder()
    whole = frame(body)
    kept = min(kept, len(whole) - 1)
    assert decoder.feed(whole[:kept]) == []
    assert decoder.pending == kept
    assert decoder.feed(whole[kept:]) == [body]


def test_an_empty_read_changes_nothing() -> None:
    decoder = FrameDecoder()
    assert decoder.feed(b"") == []
    decoder.feed(frame(b"abc")[:5])
    assert decoder.feed(b"") == []
    assert decoder.pending == 5


def test_the_length_is_little_endian_and_four_bytes() -> None:
    assert frame(b"x" * 258) == b"\x02\x01\x00\x00" + b"x" * 258


def test_a_length_beyond_the_bound_is_refused_before_its_bytes_come() -> None:
    decoder = FrameDecoder(limit=10)
    assert decoder.feed(frame(b"x" * 10)) == [b"x" * 10]
    with pytest.raises(ProtocolError, match="11 bytes; at most 10"):
        decoder.feed((11).to_bytes(4, "little"))
    with pytest.raises(ProtocolError):
        FrameDecoder().feed(b"\xff\xff\xff\xff")


def test_a_body_beyond_the_bound_is_not_framed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(frames, "MAX_FRAME", 100)
    assert len(frame(b"x" * 100)) == 104
    with pytest.raises(ProtocolError, match=r"snakepit\.put"):
        frame(b"x" * 101)


@given(st.lists(st.binary(max_size=40), max_size=20))
def test_noise_is_cut_or_refused(pieces: list[bytes]) -> None:
    decoder = FrameDecoder(limit=1000)
    fed = taken = 0
    try:
        for piece in pieces:
            fed += len(piece)
            taken += sum(4 + len(body) for body in decoder.feed(piece))
    except ProtocolError:
        return
    assert taken + decoder.pending == fed
