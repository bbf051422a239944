"""Look for good settings of a small language model, with an actor for each setting.

    python parameter_sweep.py [--num-cpus N] [--characters N] [--steps N] [FILE ...]

The model guesses the next character of a text from those before it. How many it looks at, how fast
it learns and how strongly its weights are held down are the settings. All are tried at once, for a
few steps; the better half goes on, for twice as many, until one is left (successive halving). An
actor keeps its model from one round to the next; the text lies in shared memory, once.
"""

from __future__ import annotations

import argparse
import itertools
import sys
import sysconfig
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

import snakepit

Text: TypeAlias = npt.NDArray[np.uint8]
"""Characters as numbers below ALPHABET."""

ALPHABET = 97  # printable ASCII, newline, and one for all others
HELD_OUT = 2000  # characters to judge by, which no model learns from
BATCH = 128


class Setting(NamedTuple):
    """What may be chosen about a model."""

    context: int
    rate: float
    decay: float


class Result(NamedTuple):
    """How far a setting came: steps in all, and bits per character of text it has not seen."""

    setting: Setting
    steps: int
    bits: float


SETTINGS = tuple(
    Setting(*values) for values in itertools.product((1, 2, 4), (0.5, 2.0, 8.0, 32.0), (0.0, 1e-4))
)


def encode(text: str) -> Text:
    """Return a text as numbers."""
    codes = np.frombuffer(text.encode("ascii", "replace"), np.uint8)
    printable = (codes >= 32) & (codes < 127)
    return np.where(printable, codes - 31, np.where(codes == 10, 96, 0)).astype(np.uint8)


class Model:
    """Softmax regression on the characters before, each at its place; learns by gradient steps."""

    def __init__(self, setting: Setting, text: Text) -> None:
        self._setting = setting
        self._text = text
        self._at = 0
        self._steps = 0
        self._weights = np.zeros((setting.context, ALPHABET, ALPHABET), np.float32)

    def train(self, steps: int) -> Result:
        """Take some steps from where the last ones ended, and return how good the model is now."""
        for _ in range(steps):
            self._step()
        self._steps += steps
        held_out = np.arange(len(self._text) - HELD_OUT, len(self._text))
        chances = self._chances(held_out)[np.arange(HELD_OUT), self._text[held_out]]
        return Result(self._setting, self._steps, float(-np.log2(chances).mean()))

    def _chances(self, places: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
        """How likely each character is at each place: places × characters."""
        scores = np.zeros((len(places), ALPHABET), np.float32)
        for back, weights in enumerate(self._weights, 1):
            scores += weights[self._text[places - back]]
        scores -= scores.max(axis=1, keepdims=True)
        np.exp(scores, out=scores)
        scores /= scores.sum(axis=1, keepdims=True)
        return np.maximum(scores, np.float32(1e-9))

    def _step(self) -> None:
        context, rate, decay = self._setting
        room = len(self._text) - HELD_OUT - context
        places = context + (self._at + np.arange(BATCH)) % room
        self._at = (self._at + BATCH) % room
        error = self._chances(places)
        error[np.arange(BATCH), self._text[places]] -= 1
        error *= rate / BATCH
        self._weights *= 1 - decay
        for back, weights in enumerate(self._weights, 1):
            np.subtract.at(weights, self._text[places - back], error)


def halve(results: Sequence[Result]) -> tuple[list[Result], list[Result]]:
    """Return the better half of some results, and the rest; both best first."""
    ranked = sorted(results, key=lambda result: (result.bits, result.setting))
    half = len(ranked) // 2
    return ranked[:half], ranked[half:]


def sweep(
    text: Text, settings: Sequence[Setting], steps: int, tell: Callable[[Result], None]
) -> list[Result]:
    """Try settings with snakepit.

    Args:
        text: to learn from, and to be judged by.
        settings: at least one.
        steps: of the first round; each later one has twice as many.
        tell: called with each result as it comes.

    Returns:
        The last result of each setting, the best first.
    """
    shared = snakepit.put(text)
    start = snakepit.remote(Model).remote
    models = {setting: start(setting, shared) for setting in settings}
    out: list[Result] = []
    while models:
        results = []
        pending = [model.train.remote(steps) for model in models.values()]
        while pending:
            ready, pending = snakepit.wait(pending, num_returns=1)
            results += snakepit.get(ready)
            tell(results[-1])
        better, worse = halve(results)
        out = worse + out
        for result in worse:
            snakepit.kill(models.pop(result.setting))
        steps *= 2
        assert set(models) == {result.setting for result in better}
    return out


def sweep_here(text: Text, settings: Sequence[Setting], steps: int) -> list[Result]:
    """Do the same in this process alone."""
    models = {setting: Model(setting, text) for setting in settings}
    out: list[Result] = []
    while models:
        better, worse = halve([model.train(steps) for model in models.values()])
        out = worse + out
        models = {result.setting: models[result.setting] for result in better}
        steps *= 2
    return out


def read(paths: Sequence[Path], characters: int) -> Text:
    """Return the first characters of some files, one after the other."""
    texts: list[str] = []
    for path in paths:
        texts.append(path.read_text(errors="replace"))
        if sum(map(len, texts)) >= characters:
            break
    return encode("\n".join(texts)[:characters])


def main() -> int:
    """Run as a script: print each result as it comes, then the best ones."""
    library = Path(sysconfig.get_path("stdlib"))
    parser = argparse.ArgumentParser(description="Look for good settings of a language model.")
    parser.add_argument("files", nargs="*", type=Path, help="to learn (default: Python's library)")
    parser.add_argument("--num-cpus", type=int, help="CPUs to use")
    parser.add_argument("--characters", type=int, default=200_000, help="of the text")
    parser.add_argument("--steps", type=int, default=50, help="of the first round")
    given = parser.parse_args()
    text = read(given.files or sorted(library.glob("*.py")), given.characters)
    if len(text) < 2 * HELD_OUT:
        parser.error(f"{len(text)} characters are too few; at least {2 * HELD_OUT}")

    def tell(result: Result) -> None:
        print(f"{result.setting}: {result.bits:.3f} bits after {result.steps} steps")

    started = time.perf_counter()
    with snakepit.init(num_cpus=given.num_cpus):
        results = sweep(text, SETTINGS, given.steps, tell)
    print(f"\n{len(results)} settings, {time.perf_counter() - started:.1f} s; the best:")
    for result in results[:3]:
        tell(result)
    return 0


if __name__ == "__main__":
    sys.exit(main())
