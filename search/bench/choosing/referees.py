"""The referees of a choice: judged runs, put together where they scored the same networks, and the halves of their networks.

Runs on several data sets of one benchmark scored the same networks. They are one set: a network that chooses on one data set
would otherwise report on another, and a benchmark of three data sets would count three times.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas

from search.bench.benchmarks import accuracy_table
from search.bench.benchmarks.table import BENCHMARKS
from search.bench.judging import finish
from search.bench.scoring import settings as settings_files
from search.bench.scoring.run import revisions_of
from search.bench.scoring.settings import Settings
from search.ranking.objective import Objective
from uninas.errors import InputError

MIN_NETWORKS = 20
"""So many networks at least has the largest set."""

MIN_OF_A_SET = 10
"""So many has every set: half of it is ranked."""


@dataclass(frozen=True, eq=False)
class Referee:
    """A run.

    Attributes:
        key: of its figures: BENCHMARK/DATASET, for a table of one's own table/RUN.
        run: its folder.
        settings: what it was asked for.
        table: a network a row: accuracy (percent) and raw scores.
    """

    key: str
    run: Path
    settings: Settings
    table: pandas.DataFrame


@dataclass(frozen=True, eq=False)
class NetworkSet:
    """Networks, and the referees that judge all of them: their tables have the same networks in the same rows."""

    referees: tuple[Referee, ...]

    @property
    def name(self) -> str:
        """The key of its first referee, without the data set where there are several."""
        first = self.referees[0].key
        return first if len(self.referees) == 1 else first.partition("/")[0]

    def __len__(self) -> int:
        return len(self.referees[0].table)

    def half(self, which: int, seed: int) -> tuple[tuple[str, pandas.DataFrame], ...]:
        """Give each referee's key and the networks of one half, 0 that chooses or 1 that reports: the same for all referees."""
        places = halves(len(self), seed)[which]
        return tuple((one.key, one.table.iloc[places].reset_index(drop=True)) for one in self.referees)


def halves(count: int, seed: int) -> tuple[Any, Any]:
    """Split the places 0 .. count - 1 at random: those that choose, one more where the count is odd, and those that report."""
    order = np.random.default_rng([seed, 4]).permutation(count)
    return order[: (count + 1) // 2], order[(count + 1) // 2 :]


def read_sets(runs: Sequence[Path], reference: Objective) -> tuple[NetworkSet, ...]:
    """Read the scores of runs, and put those of the same networks together, the largest set first.

    Batch and probes may differ: a data set of more classes may be scored more cheaply.

    Args:
        runs: folders of judged runs of any benchmark but timm, whose families are ranked by themselves.
        reference: each run must have its raw scores.

    Raises:
        InputError: no run, one that is not judged yet or cannot be a referee, a data set twice, runs of a set by different
            seeds, different revisions of a proxy, or too few networks.
    """
    if not runs:
        raise InputError("choose: expected at least one folder of a judged run; got none")
    found: dict[str, Referee] = {}
    for run in runs:
        settings = settings_files.read_settings(run)
        known = [name for name in BENCHMARKS if name != "timm"]
        if settings.benchmark not in known:
            raise InputError(f"{run}: expected a run of {', '.join(known)}; got one of {settings.benchmark}")
        key = f"{settings.benchmark}/{run.resolve().name if settings.benchmark == 'table' else settings.dataset}"
        if key in found:
            raise InputError(f"{run}: expected one run per dataset; got another of {key.partition('/')[2]}")
        check_revisions(run, runs[0])
        table = read_scores(run, reference).sort_values("index")
        repeated = table["network"].duplicated()
        accuracy_table.check_rows(run / finish.SCORES, table, repeated, "network", "each network once")
        found[key] = Referee(key, run, settings, table)
    sets = [_shared(group) for group in _grouped(list(found.values()))]
    if max(map(len, sets)) < MIN_NETWORKS:
        least = f"at least {MIN_NETWORKS} networks in all runs of a set"
        raise InputError(f"choose: expected {least}; {_named(sets[0])} share {len(sets[0])}")
    for one in sets:
        if len(one) < MIN_OF_A_SET:
            raise InputError(
                f"choose: expected at least {MIN_OF_A_SET} networks in all runs of a set; {_named(one)} share {len(one)}"
            )
    return tuple(sorted(sets, key=len, reverse=True))


def _named(one: NetworkSet) -> str:
    return ", ".join(str(referee.run) for referee in one.referees)


def _grouped(referees: Sequence[Referee]) -> list[list[Referee]]:
    """Put referees together that share a network, also by way of a third."""
    groups: list[tuple[set[str], list[Referee]]] = []
    for referee in referees:
        networks, members = _identities(referee), [referee]
        apart = []
        for group in groups:
            if group[0] & networks:
                networks, members = networks | group[0], [*group[1], *members]
            else:
                apart.append(group)
        groups = [*apart, (networks, members)]
    order = list(referees)
    return [members for _, members in sorted(groups, key=lambda group: order.index(group[1][0]))]


def _identities(referee: Referee) -> set[str]:
    """Say what the networks are. In a table of one's own they are named by files: only a table of the same files has the same."""
    owner = referee.settings.population_digest if referee.settings.benchmark == "table" else referee.settings.benchmark
    return {f"{owner} {name}" for name in referee.table["network"]}


def _shared(group: Sequence[Referee]) -> NetworkSet:
    first = group[0]
    for other in group[1:]:
        if other.settings.seed != first.settings.seed:
            raise InputError(
                f"{other.run}: expected the same seed as {first.run}, {first.settings.seed}; got {other.settings.seed}"
            )
    shared = set.intersection(*(set(one.table["network"]) for one in group))
    order = [name for name in first.table["network"] if name in shared]
    tables = (one.table.set_index("network").loc[order].reset_index() for one in group)
    return NetworkSet(tuple(Referee(one.key, one.run, one.settings, table) for one, table in zip(group, tables, strict=True)))


def read_families(run: Path, reference: Objective) -> dict[str, pandas.DataFrame]:
    """Read the scores of a run of timm: family -> its networks.

    Raises:
        InputError: another benchmark's run, or one that is not judged yet.
    """
    settings = settings_files.read_settings(run)
    if settings.benchmark != "timm":
        raise InputError(f"{run}: expected a run of timm; got one of {settings.benchmark}")
    table = read_scores(run, reference, "family")
    return {str(family): members.reset_index(drop=True) for family, members in table.groupby("family", sort=False)}


def check_revisions(run: Path, first: Path) -> None:
    """Refuse two runs that scored a label by different definitions of its proxy: no sum of their ranks means anything."""
    here, there = revisions_of(run), revisions_of(first)
    differ = sorted(label for label in here.keys() & there.keys() if here[label] != there[label])
    if differ:
        raise InputError(
            f"{run}: expected the scores of {', '.join(differ)} by the definitions that {first} has; they changed in between: "
            f"score the older run anew with --again {','.join(differ)}"
        )


def read_scores(run: Path, reference: Objective, *more: str) -> pandas.DataFrame:
    """Read RUN/scores.csv, with the columns `more` beside those that every run has.

    Raises:
        InputError: it is not there, is no such table, or lacks a raw score of the reference.
    """
    path = run / finish.SCORES
    if not path.is_file():
        raise InputError(
            f"{run}: expected a judged run, with {finish.SCORES}; there is none: uninas bench ... --resume {run} --as-is"
        )
    table = accuracy_table.read_csv(path, ("network", "index", "accuracy", *more), "a table of scores")
    missing = [name for name in reference.proxies if name not in table.columns]
    if missing:
        raise InputError(f"{run}: expected all raw scores of {reference.name}; missing: {', '.join(missing)}")
    accuracy_table.check_numbers(path, table, ("index", "accuracy", *reference.proxies))
    return table
