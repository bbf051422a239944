from __future__ import annotations

from bench.plots import better, curve, limit, plots
from bench.runs import Part, Run
from bench.svg import Bar, Series

RUN = Run(
    [
        Part(
            command="python -m bench",
            machine={},
            rows=["queued", "queued.10", "queued.100", "init", "client_tasks_sync"],
            versions={"snakepit": "0", "ray": "2"},
            missing={},
            rounds=[
                {
                    "snakepit": {
                        "queued.10": {"value": 50.0},
                        "queued.100": {"value": 40.0},
                        "client_tasks_sync": {"value": 8000.0},
                    },
                    "ray": {
                        "queued.10": {"value": 900.0},
                        "queued.100": {"absent": "not at this size"},
                        "client_tasks_sync": {"value": 400.0},
                    },
                },
                {"snakepit": {"queued.10": {"value": 70.0}}, "ray": {}},
            ],
        )
    ]
)


def test_a_curve_is_drawn_through_the_medians_of_its_points() -> None:
    assert curve(RUN, "queued") == [
        Series("snakepit", [(10.0, 60.0), (100.0, 40.0)]),
        Series("Ray", [(10.0, 900.0)]),
    ]
    assert curve(RUN, "workers") == []


def test_bars_are_ratios_with_what_is_asked() -> None:
    assert better(RUN, "micro") == [Bar("single client tasks sync", 20.0, 35)]
    assert limit("client_tasks_async") is None


def test_only_what_was_measured_is_drawn() -> None:
    assert set(plots(RUN)) == {"micro", "queued"}
    assert plots(Run([])) == {}
