"""Spaces whose networks have all been trained, as a search meets them: it is told a noisy accuracy, and judged by another.

    world = nasbench201(folder, "cifar10")
    world.scores(seed)[row]        what a search with this seed is told of a network
    world.truth[row]               what it is worth

NAS-Bench-201: a search is told the validation accuracy (of one training, NAS-Bench-Suite-Zero), and judged by the test accuracy
(mean of the trainings). NAS-Bench-Macro: told one of the three trainings, drawn for each network by the seed; judged by their
mean.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pandas
from numpy.typing import NDArray

from search.algorithms.candidate import Candidate, Rejected
from search.spaces.description import described
from search.workers.scoring_code import digest
from uninas.spaces import SPACES
from uninas.spaces.choices import ChoiceSpace, canonical_network
from uninas.spaces.nasbench201 import EDGES, OPERATIONS, cell_text, parse_cell, used

DESCRIBES = ("search/spaces/description.py", "uninas/analysis", "uninas/canonical.py", "uninas/spaces")
"""The code that decides a description, see `search.workers.scoring_code`."""

Genotype = tuple[int, ...]


@dataclass(frozen=True, eq=False)
class World:
    """A table of trained networks.

    Attributes:
        name: for people.
        options: how many choices each position has.
        start: the genotype a search begins with.
        row: the row of a genotype; genotypes that compute alike share one.
        truth: what each row is worth, percent.
        trained: what a search may be told of each row: rows x trainings.
        features: rows x d, see `search.spaces.description`.
    """

    name: str
    options: tuple[int, ...]
    start: Genotype
    row: Callable[[Genotype], int]
    truth: NDArray[np.float64]
    trained: NDArray[np.float64]
    features: NDArray[np.float64]

    def scores(self, seed: int) -> NDArray[np.float64]:
        """Give what a search with this seed is told of each row."""
        drawn = np.random.default_rng([seed, 7]).integers(self.trained.shape[1], size=len(self.truth))
        found: NDArray[np.float64] = self.trained[np.arange(len(self.truth)), drawn]
        return found


@dataclass(frozen=True, eq=False)
class TableSpace:
    """A world as the algorithms see it; a candidate's body is its genotype and its row."""

    world: World

    def starts(self) -> Sequence[Candidate]:
        """Give the one start."""
        return [self._candidate(self.world.start)]

    def _candidate(self, genotype: Genotype, parent: str | None = None) -> Candidate:
        row = self.world.row(genotype)
        return Candidate(f"{row:064x}", (genotype, row), {}, parent, {"genotype": list(genotype)})

    def mutate(self, parent: Candidate, rng: random.Random) -> Candidate | Rejected:
        """Choose one position anew."""
        genotype = list(parent.body[0])
        place = rng.randrange(len(genotype))
        genotype[place] = (genotype[place] + rng.randrange(1, self.world.options[place])) % self.world.options[place]
        return self._candidate(tuple(genotype), parent.digest)

    def sample(self, rng: random.Random) -> Candidate | Rejected:
        """Choose all positions."""
        return self._candidate(
            tuple(rng.randrange(count) for count in self.world.options), f"{self.world.row(self.world.start):064x}"
        )

    def every(self) -> Iterator[Candidate | Rejected]:
        """Go through the table."""
        parent = f"{self.world.row(self.world.start):064x}"
        return (self._candidate(genotype, parent) for genotype in product(*map(range, self.world.options)))

    def features(self, candidate: Candidate) -> NDArray[np.float64]:
        """Look the description up."""
        found: NDArray[np.float64] = self.world.features[candidate.body[1]]
        return found

    def text(self, candidate: Candidate) -> str:
        """Write the row."""
        return str(candidate.body[1])

    def document(self, candidate: Candidate, metadata: Mapping[str, Any]) -> str:
        """Write the row."""
        return self.text(candidate)

    def replay(self, parent: Candidate, edit: Mapping[str, Any]) -> Candidate:
        """Make a genotype's candidate again."""
        return self._candidate(tuple(edit["genotype"]), parent.digest)


def nasbench201(folder: Path, dataset: str) -> World:
    """Read NAS-Bench-201 on cifar10 or imagenet16_120: 9,445 cells.

    Args:
        folder: with nb201_accuracies.csv and nb201_zero_cost_scores_9445.csv.
        dataset: whose accuracies.
    """
    accuracies = pandas.read_csv(folder / "nb201_accuracies.csv")
    told = pandas.read_csv(folder / "nb201_zero_cost_scores_9445.csv")
    table = told.merge(accuracies, on="arch_str")
    place = {text: number for number, text in enumerate(table["arch_str"])}

    def row(genotype: Genotype) -> int:
        return place[cell_text(used([OPERATIONS[choice] for choice in genotype]))]

    start = parse_cell(SPACES["nasbench201"].text(SPACES["nasbench201"].start()))
    return World(
        f"NAS-Bench-201, {dataset}",
        (len(OPERATIONS),) * len(EDGES),
        tuple(map(OPERATIONS.index, start)),
        row,
        table[dataset].to_numpy(np.float64),
        table[[f"{dataset}_valid_acc"]].to_numpy(np.float64),
        _features(SPACES["nasbench201"], table["arch_str"], (32, 32) if dataset == "cifar10" else (16, 16)),
    )


def nasbench_macro(folder: Path) -> World:
    """Read NAS-Bench-Macro: 6,561 networks of eight choices among three, three trainings each."""
    table = pandas.read_csv(folder / "nasbench_macro_cifar10.csv", dtype={"architecture": str})
    place = {text: number for number, text in enumerate(table["architecture"])}
    space = SPACES["nasbench_macro"]
    return World(
        "NAS-Bench-Macro, CIFAR-10",
        (3,) * 8,
        tuple(map(int, space.text(space.start()))),
        lambda genotype: place["".join(map(str, genotype))],
        table["mean_acc"].to_numpy(np.float64),
        table[["acc_1", "acc_2", "acc_3"]].to_numpy(np.float64),
        _features(space, table["architecture"], (32, 32)),
    )


def _features(space: ChoiceSpace, texts: Sequence[str], size: tuple[int, int]) -> NDArray[np.float64]:
    """Describe all networks; kept in a file, since it takes a minute, for as long as the code that describes is the same."""
    key = hashlib.sha256("\n".join([space.name, str(size), digest(DESCRIBES), *texts]).encode()).hexdigest()[:16]
    path = Path(".cache") / "search_quality" / f"{key}.npy"
    if path.is_file():
        return np.load(path)
    found = np.stack([described(canonical_network(space, space.parse(text), 10, size), size) for text in texts])
    path.parent.mkdir(parents=True, exist_ok=True)
    np.save(path, found)
    return found
