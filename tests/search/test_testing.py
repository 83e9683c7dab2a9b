"""The shipped checks of algorithms and spaces: what keeps the contract passes, and what breaks it is named."""

from __future__ import annotations

import itertools
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from search.algorithms.asktell import Reported
from search.algorithms.candidate import Candidate
from search.config import loading
from search.spaces.from_config import from_config
from search.testing import DigitSpace, check_algorithm, check_choice_space, check_space
from uninas.spaces import SPACES, own

MINE = own.load(Path(__file__).parents[2] / "docs" / "examples" / "my_space.py")


class Plain:
    """A walk by the objective's first column."""

    def __init__(self, space: DigitSpace, objective: object) -> None:
        self.space = space
        self.best: Reported | None = None

    def propose(self, index: int, rng: random.Random, unscored: object) -> Any:
        return self.space.mutate(self.best.candidate if self.best else self.space.starts()[0], rng)

    def learn(self, reported: Reported) -> None:
        if self.best is None or reported.keys >= self.best.keys:
            self.best = reported


class Careless(Plain):
    """Draws from a stream of its own."""

    drawn = random.Random(0)

    def propose(self, index: int, rng: random.Random, unscored: object) -> Any:
        return super().propose(index, self.drawn, unscored)


class Greedy(Plain):
    """Makes candidates that the space would not."""

    def propose(self, index: int, rng: random.Random, unscored: object) -> Any:
        return self.space.candidate([rng.randrange(10) for _ in range(6)])


class Peeking(Plain):
    """Counts across its instances."""

    count = itertools.count()

    def propose(self, index: int, rng: random.Random, unscored: object) -> Any:
        return self.space.candidate([int(digit) for digit in f"{next(self.count):06d}"])


def test_an_algorithm_that_keeps_the_contract_passes() -> None:
    check_algorithm(Plain)


@pytest.mark.parametrize(
    ("algorithm", "said"),
    [
        (Careless, "Careless: expected the same asks whatever the order of the tells, got another at"),
        (Greedy, "Greedy: expected candidates of the space, within its budget of 12, got one of"),
        (Peeking, "Peeking: expected the same asks"),
    ],
)
def test_an_algorithm_that_breaks_it_is_named(algorithm: Any, said: str) -> None:
    with pytest.raises(AssertionError, match=said):
        check_algorithm(algorithm)


@pytest.mark.parametrize("space", [*SPACES.values(), MINE], ids=lambda space: space.name)
def test_every_categorical_space_keeps_the_contract(space: Any) -> None:
    check_choice_space(space, samples=8)


class Wrapped:
    """A space in which something is replaced."""

    def __init__(self, space: Any, **replaced: Any) -> None:
        self._space, self._replaced = space, replaced

    def __getattr__(self, name: str) -> Any:
        return self._replaced[name] if name in self._replaced else getattr(self._space, name)


@pytest.mark.parametrize(
    ("replaced", "said"),
    [
        ({"text": lambda genotype: "a\nb"}, "text: expected one line"),
        ({"parse": lambda text: None}, "parse: expected "),
        ({"fault": lambda genotype: "never"}, "fault: expected None for .*, got 'never'"),
        ({"mutate": lambda genotype, rng: genotype}, "mutate: expected another genotype"),
        ({"sample": lambda rng: MINE.sample(random.Random())}, "sample: expected the same of the same rng"),
        ({"build": lambda genotype, classes, size: MINE.build(genotype, 3, size)}, "build: expected 7 classes"),
        ({"every": lambda: iter([MINE.start()] * 2)}, "every: expected each genotype once, got 1 again"),
        ({"every": lambda: iter([{"width": 5}])}, "every: expected legal genotypes"),
        ({"every": lambda: iter([MINE.sample(random.Random())])}, "every: expected the same order each time"),
    ],
)
def test_a_categorical_space_that_breaks_it_is_named(replaced: dict[str, Any], said: str) -> None:
    with pytest.raises(AssertionError, match=said):
        check_choice_space(Wrapped(MINE, **replaced))  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["nasbench201", "resnet"])
def test_a_space_of_architectures_keeps_the_contract(name: str) -> None:
    space = from_config(loading.parse(f"space: {name}\nsize: 32\nclasses: 10"))
    check_space(space)


def test_a_space_of_architectures_that_breaks_it_is_named() -> None:
    space = from_config(loading.parse("space: nasbench201\nsize: 32\nclasses: 10"))
    drawn = random.Random(0)

    def other(parent: Candidate, edit: object) -> Candidate:
        return next(child for _ in range(99) if isinstance(child := space.mutate(parent, drawn), Candidate))

    for replaced, said in (
        ({"starts": list}, "starts: expected one at least"),
        ({"mutate": lambda parent, rng: space.mutate(parent, drawn)}, "expected the same of the same rng"),
        ({"replay": other}, "replay: expected"),
        ({"text": lambda candidate: space.text(space.starts()[0])}, "text: expected the network"),
        ({"features": lambda candidate: np.full(3, np.nan)}, "features: expected finite numbers"),
        ({"features": lambda candidate: np.full(3, drawn.random())}, "features: expected the same of the same network"),
    ):
        with pytest.raises(AssertionError, match=said):
            check_space(Wrapped(space, **replaced))  # type: ignore[arg-type]
