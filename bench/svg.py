"""Two charts as SVG, both on logarithmic scales: lines over sizes, and bars of ratios.

A page of our own instead of a plotting library, which would be the largest thing that the bench
needs. What is drawn stays legible without colours: each line has its own mark, each bar its figure.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple
from xml.sax.saxutils import escape

WIDTH = 880
FONT = "font-family='DejaVu Sans, Verdana, sans-serif'"
INK, FAINT, FAINTER = "#222", "#666", "#ddd"
# Distinct for most kinds of colour blindness too, after Okabe and Ito.
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000")
BAR, SHORT = COLOURS[0], COLOURS[1]


class Series(NamedTuple):
    """One line of a chart."""

    label: str
    points: Sequence[tuple[float, float]]


class Bar(NamedTuple):
    """One bar, with the limit that it has to reach, if it has one."""

    label: str
    value: float
    limit: float | None = None


class Axis(NamedTuple):
    """A logarithmic scale: values from low to high onto places from start to end."""

    low: float
    high: float
    start: float
    end: float

    def at(self, value: float) -> float:
        """The place of a value."""
        share = math.log(value / self.low) / math.log(self.high / self.low)
        return self.start + share * (self.end - self.start)


def axis(values: Iterable[float], start: float, end: float) -> Axis:
    """A scale with room for all values, from one round figure to another."""
    found = list(values)
    low, high = min(found), max(found)
    if high < low * 10:  # a scale of less than a decade makes noise look like news
        middle = math.sqrt(low * high)
        low, high = middle / math.sqrt(10), middle * math.sqrt(10)
    return Axis(_round_down(low), _round_up(high), start, end)


def _round_down(value: float) -> float:
    decade = 10.0 ** math.floor(math.log10(value))
    return max(step * decade for step in (1, 2, 5) if step * decade <= value * (1 + 1e-9))


def _round_up(value: float) -> float:
    decade = 10.0 ** math.floor(math.log10(value))
    return min(step * decade for step in (1, 2, 5, 10) if step * decade >= value * (1 - 1e-9))


def ticks(scale: Axis) -> list[float]:
    """Where a scale has marks: at the decades, and between them where those are few."""
    decades = math.log10(scale.high / scale.low)
    steps = (1, 2, 5) if decades <= 2.5 else (1,)
    first, last = math.floor(math.log10(scale.low)), math.ceil(math.log10(scale.high))
    found = [step * 10.0**power for power in range(first, last + 1) for step in steps]
    return [tick for tick in found if scale.low * 0.999 <= tick <= scale.high * 1.001]


def figure(value: float) -> str:
    """A figure as short as it can be read: 0.5, 20, 1,000, 1M."""
    if value >= 1e6:
        return f"{value / 1e6:g}M"
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _text(x: float, y: float, text: str, *, anchor: str = "start", more: str = "") -> str:
    colour = "" if "fill=" in more else f" fill='{INK}'"
    return (
        f"<text x='{x:.1f}' y='{y:.1f}' text-anchor='{anchor}'{colour} {more}>{escape(text)}</text>"
    )


def _line(x1: float, y1: float, x2: float, y2: float, colour: str, width: float = 1) -> str:
    return (
        f"<line x1='{x1:.1f}' y1='{y1:.1f}' x2='{x2:.1f}' y2='{y2:.1f}'"
        f" stroke='{colour}' stroke-width='{width:g}'/>"
    )


def _page(height: float, title: str, body: Iterable[str]) -> str:
    head = (
        f"<svg xmlns='http://www.w3.org/2000/svg' width='{WIDTH}' height='{height:.0f}'"
        f" viewBox='0 0 {WIDTH} {height:.0f}' {FONT} font-size='13'>"
    )
    shown = _text(20, 28, title, more="font-size='16' font-weight='bold'")
    ground = f"<rect width='{WIDTH}' height='{height:.0f}' fill='#fff'/>"
    name = f"<title>{escape(title)}</title>"
    return "\n".join([head, name, ground, shown, *body, "</svg>"]) + "\n"


def _mark(number: int, x: float, y: float, colour: str) -> str:
    shapes: tuple[Callable[[], str], ...] = (
        lambda: f"<circle cx='{x:.1f}' cy='{y:.1f}' r='4.5' fill='{colour}'/>",
        lambda: f"<rect x='{x - 4:.1f}' y='{y - 4:.1f}' width='8' height='8' fill='{colour}'/>",
        lambda: f"<path d='M{x:.1f} {y - 5.5:.1f}l5 9.5h-10z' fill='{colour}'/>",
        lambda: f"<path d='M{x:.1f} {y - 6:.1f}l6 6l-6 6l-6 -6z' fill='{colour}'/>",
        lambda: (
            f"<circle cx='{x:.1f}' cy='{y:.1f}' r='4' fill='#fff' stroke='{colour}'"
            " stroke-width='2'/>"
        ),
        lambda: (
            f"<path d='M{x - 4:.1f} {y - 4:.1f}l8 8m0 -8l-8 8' stroke='{colour}'"
            " stroke-width='2.5'/>"
        ),
    )
    return shapes[number % len(shapes)]()


def lines(title: str, x_title: str, y_title: str, series: Sequence[Series]) -> str:
    """A chart of lines over positive sizes.

    Args:
        title: what is shown.
        x_title: the sizes, with their unit.
        y_title: the figures, with their unit.
        series: at least one, each with at least one point; all values above zero.
    """
    height, left, right, top, bottom = 460, 80, WIDTH - 220, 50, 400
    x = axis((point[0] for line in series for point in line.points), left, right)
    y = axis((point[1] for line in series for point in line.points), bottom, top)
    body = []
    for tick in ticks(y):
        body.append(_line(left, y.at(tick), right, y.at(tick), FAINTER))
        body.append(_text(left - 8, y.at(tick) + 4, figure(tick), anchor="end"))
    sizes = sorted({point[0] for line in series for point in line.points})
    for size in sizes:
        body.append(_line(x.at(size), bottom, x.at(size), bottom + 5, FAINT))
        body.append(_text(x.at(size), bottom + 20, figure(size), anchor="middle"))
    body.append(_line(left, bottom, right, bottom, FAINT))
    body.append(_text((left + right) / 2, bottom + 45, x_title, anchor="middle"))
    turn = f"transform='rotate(-90 22 {(top + bottom) / 2:.0f})'"
    body.append(_text(22, (top + bottom) / 2, y_title, anchor="middle", more=turn))
    for number, line in enumerate(series):
        colour = COLOURS[number % len(COLOURS)]
        places = [(x.at(size), y.at(value)) for size, value in line.points]
        joined = " ".join(f"{a:.1f},{b:.1f}" for a, b in places)
        body.append(f"<polyline points='{joined}' fill='none' stroke='{colour}' stroke-width='2'/>")
        body += [_mark(number, a, b, colour) for a, b in places]
        beside = top + 12 + 24 * number
        body.append(_line(right + 22, beside, right + 46, beside, colour, 2))
        body.append(_mark(number, right + 34, beside, colour))
        body.append(_text(right + 54, beside + 5, line.label))
    return _page(height, title, body)


def bars(title: str, x_title: str, found: Sequence[Bar]) -> str:
    """A chart of bars that begin at 1: longer is better; a stroke marks each one's limit.

    Args:
        title: what is shown.
        x_title: the figures, with their unit.
        found: at least one; all values above zero.
    """
    left, right, top, step = 330, WIDTH - 80, 56, 26
    bottom = top + step * len(found)
    values = [bar.value for bar in found] + [bar.limit for bar in found if bar.limit] + [1.0]
    x = axis(values, left, right)
    body = []
    for tick in ticks(x):
        body.append(_line(x.at(tick), top - 6, x.at(tick), bottom, FAINTER))
        body.append(_text(x.at(tick), bottom + 18, figure(tick), anchor="middle"))
    for number, bar in enumerate(found):
        y = top + step * number
        ends = sorted((x.at(1.0), x.at(bar.value)))
        short = bar.limit is not None and bar.value < bar.limit
        body.append(_text(left - 10, y + 14, bar.label, anchor="end"))
        body.append(
            f"<rect x='{ends[0]:.1f}' y='{y:.1f}' width='{ends[1] - ends[0]:.1f}' height='18'"
            f" fill='{SHORT if short else BAR}'/>"
        )
        places = [ends[1]]
        if bar.limit is not None:
            places.append(x.at(bar.limit))
            body.append(_line(places[1], y - 2, places[1], y + 20, INK, 3))
        body.append(_text(max(places) + 7, y + 14, f"{figure(bar.value)} ×"))
    body.append(_line(x.at(1.0), top - 6, x.at(1.0), bottom, FAINT))
    body.append(_text((left + right) / 2, bottom + 42, x_title, anchor="middle"))
    return _page(bottom + 60, title, body)
