from __future__ import annotations

import pytest

from bench import host, rows
from bench.peers import NotOffered, Peer
from bench.rows import QUICK, Effort
from bench.rows.base import median_of, per_call


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


def row(name: str, measure: object, **flags: bool) -> rows.Row:
    return rows.Row(name, name, "s", True, measure, **flags)  # type: ignore[arg-type]


def broken(peer: Peer, effort: Effort) -> float:
    raise OSError("no more")


@pytest.fixture(autouse=True)
def few_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        host,
        "ROWS",
        {
            "init": row("init", lambda peer, effort: 1.5, starts=True),
            "quick": row("quick", lambda peer, effort: float(peer.call(3))),
            "broken": row("broken", broken),
            "absent": row("absent", lambda peer, effort: float(peer.burst(1))),
            "many": row("many", lambda peer, effort: {"": 1.0, "least": effort.sizes}),
            "many.least": row("many.least", None),
            "many.most": row("many.most", None),
        },
    )
    monkeypatch.setattr(rows, "ROWS", host.ROWS)


def test_cells_say_what_happened(capsys: pytest.CaptureFixture[str]) -> None:
    peer = Fake()
    assert host.run(peer, ["init", "quick", "broken", "absent"]) == {
        "init": {"value": 1.5},
        "quick": {"value": 3.0},
        "broken": {"error": "OSError: no more"},
        "absent": {"absent": "no way to submit without waiting"},
    }
    assert peer.log == ["start", "call", "stop"]
    assert "no more" in capsys.readouterr().err


def test_one_measurement_fills_the_rows_of_its_parts() -> None:
    assert host.run(Fake(), ["many"], QUICK) == {
        "many": {"value": 1.0},
        "many.least": {"value": QUICK.sizes},
        "many.most": {"absent": "not at this size"},
    }
    with pytest.raises(ValueError, match=r"'many\.least' is filled by another row"):
        host.run(Fake(), ["many.least"])


def test_cells_are_kept_as_they_come() -> None:
    seen: list[list[str]] = []
    host.run(Fake(), ["quick", "init"], keep=lambda cells: seen.append(list(cells)))
    assert seen == [["init"], ["init", "quick"]]


def test_a_peer_is_not_started_for_rows_that_start_it_themselves() -> None:
    peer = Fake()
    host.run(peer, ["init"])
    assert peer.log == []


def test_a_peer_is_stopped_when_a_row_is_interrupted(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(peer: Peer, effort: Effort) -> float:
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

    spent = per_call(call, seconds=0.05, warm=0.01)
    assert calls > 1000
    assert 0 < spent < 0.05 / 1000


def test_per_call_calls_at_least_once() -> None:
    calls: list[None] = []
    assert per_call(lambda: calls.append(None), seconds=0, warm=0) >= 0
    assert len(calls) == 1
    per_call(lambda: calls.append(None), seconds=0, warm=1e-9)
    assert len(calls) == 3


def test_a_median_stops_at_its_time() -> None:
    calls: list[None] = []
    assert median_of(lambda: calls.append(None), 5) >= 0
    assert len(calls) == 5
    median_of(lambda: calls.append(None), 5, seconds=0)
    assert len(calls) == 6
