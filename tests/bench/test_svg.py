from __future__ import annotations

import re
import xml.etree.ElementTree as ET

import pytest

from bench.svg import Bar, Series, axis, bars, figure, lines, ticks

SPACE = {"svg": "http://www.w3.org/2000/svg"}


def texts(page: str) -> list[str]:
    return [node.text or "" for node in ET.fromstring(page).iterfind(".//svg:text", SPACE)]


def test_a_scale_goes_from_one_round_figure_to_another() -> None:
    scale = axis([37.5, 6940.0], 400, 50)
    assert (scale.low, scale.high) == (20.0, 10_000.0)
    assert (scale.at(20.0), scale.at(10_000.0)) == (400.0, 50.0)
    assert ticks(scale) == [100.0, 1000.0, 10_000.0]


def test_a_narrow_scale_is_made_a_decade_wide() -> None:
    scale = axis([40.0, 44.0], 0, 100)
    assert scale.high >= 10 * scale.low
    assert scale.low < 40.0 < 44.0 < scale.high
    assert ticks(scale) == [10.0, 20.0, 50.0, 100.0, 200.0]


@pytest.mark.parametrize("value", [1e-4, 0.01, 1.0, 2.0, 5.0, 999.0, 1000.0, 123_456.0])
def test_every_value_is_within_its_scale(value: float) -> None:
    scale = axis([value], 0, 100)
    assert 0 <= scale.at(value) <= 100
    assert ticks(scale)


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.5, "0.5"), (23.44, "23.4"), (180.3, "180"), (10_000, "10,000"), (1_000_000, "1M")],
)
def test_figures_are_short(value: float, text: str) -> None:
    assert figure(value) == text


def test_lines_have_their_names_sizes_and_marks() -> None:
    page = lines(
        "Cost <of> a task",
        "tasks & queued",
        "µs",
        [Series("snakepit", [(10, 40.0), (1000, 42.0)]), Series("Ray", [(10, 900.0)])],
    )
    found = texts(page)
    assert {"Cost <of> a task", "tasks & queued", "µs", "snakepit", "Ray"} <= set(found)
    assert {"10", "1,000"} <= set(found)
    root = ET.fromstring(page)
    assert len(root.findall(".//svg:polyline", SPACE)) == 2
    # Two points and one in the key; the other line's marks have another shape.
    assert len(root.findall(".//svg:circle", SPACE)) == 3


def test_bars_have_their_figures_and_limits() -> None:
    page = bars(
        "Against Ray", "times better", [Bar("sync", 20.0, 35.0), Bar("put", 200.0), Bar("x", 0.8)]
    )
    found = texts(page)
    assert {"sync", "20 ×", "200 ×", "0.8 ×", "1"} <= set(found)
    colours = re.findall(r"height='18' fill='(#\w+)'", page)
    assert len(colours) == 3
    assert colours[0] != colours[1] == colours[2]


def test_nothing_is_drawn_outside_the_page() -> None:
    wide = bars("t", "x", [Bar("a long label of a row of Ray's microbenchmark", 3e5, 7.0)])
    curve = lines("t", "x", "y", [Series("ProcessPoolExecutor", [(2, 1e-3), (500, 1e5)])])
    for page in (wide, curve):
        root = ET.fromstring(page)
        width, height = float(root.attrib["width"]), float(root.attrib["height"])
        for node in root.iter():
            for name, most in (("x", width), ("x2", width), ("y", height), ("y2", height)):
                assert 0 <= float(node.attrib.get(name, 0)) <= most
