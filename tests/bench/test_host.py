from __future__ import annotations

import pytest

from bench import host, rows
from bench.peers import NotOffered, Peer


class Fake(Peer):
    name = title = "fake"

    def __init__(self) -> None:
        self.log: list[str] = []

    def start(self) -> None:
        self.log.append("start")

    def stop(self) -> None:
        self.log.append("stop")

    def call(self, value: int) -> int:
        self.log.append("call")
        return value


def row(name: str, measure: object) -> rows.Row:
    return rows.Row(name, name, "s", True, measure)  # type: ignore[arg-type]


def broken(peer: Peer) -> float:
    raise OSError("no more")


@pytest.fixture(autouse=True)
def few_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        host,
        "ROWS",
        {
            "init": row("init", lambda peer: 1.5),
            "quick": row("quick", lambda peer: float(peer.call(3))),
            "broken": row("broken", broken),
            "absent": row("absent", lambda peer: float(peer.burst(1))),
        },
    )


def test_cells_say_what_happened(capsys: pytest.CaptureFixture[str]) -> None:
    peer = Fake()
    assert host.run(peer, ["init", "quick", "broken", "absent"]) == {
        "init": {"value": 1.5},
        "quick": {"value": 3.0},
        "broken": {"error": "OSError: no more"},
        "absent": {},
    }
    assert peer.log == ["start", "call", "stop"]
    assert "no more" in capsys.readouterr().err


def test_a_peer_is_not_started_for_rows_that_start_it_themselves() -> None:
    peer = Fake()
    host.run(peer, ["init"])
    assert peer.log == []


def test_a_peer_is_stopped_when_a_row_is_interrupted(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(peer: Peer) -> float:
        raise KeyboardInterrupt

    monkeypatch.setattr(host, "ROWS", {"quick": row("quick", interrupted)})
    peer = Fake()
    with pytest.raises(KeyboardInterrupt):
        host.run(peer, ["quick"])
    assert peer.log == ["start", "stop"]


def test_a_peer_offers_nothing_by_default() -> None:
    peer = Peer()
    for verb in (lambda: peer.call(1), lambda: peer.put, lambda: peer.get, peer.actor):
        with pytest.raises(NotOffered):
            verb()


def test_per_call_counts_every_call() -> None:
    calls = 0

    def call() -> None:
        nonlocal calls
        calls += 1

    spent = rows.per_call(call, seconds=0.05, warm=0.01)
    assert calls > 1000
    assert 0 < spent < 0.05 / 1000
