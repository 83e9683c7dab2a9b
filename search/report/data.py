"""A run folder as the report sees it: read from its files alone, finished or not, without writing to it."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import uninas
from search.config import loading as config_file
from search.config.latency import objectives_of
from search.config.schema import SearchConfig
from search.engine.finalists import Finalist, Rescore, rebuild, settle
from search.engine.pareto_front import Member, costs_wanted, front, leaders
from search.engine.phase import Entry as Scored
from search.engine.phase import costs_of
from search.journal import journal
from search.ranking.objective import LATENCY, Objective, find
from search.report.refined import Refined, read_refined
from search.spaces.from_config import from_config
from search.workers.job import numbers
from uninas.errors import InputError


@dataclass(frozen=True)
class Entry:
    """One scored candidate of the journal."""

    phase: str
    index: int
    digest: str
    parent: str | None
    cost: Mapping[str, int]
    scores: Mapping[str, float]
    status: str
    reason: str | None
    seconds: Mapping[str, float]
    worker: str
    attempts: int
    latency_ms: float | None = None
    device: str | None = None

    def costs(self, names: Sequence[str]) -> dict[str, float]:
        """Costs by name, counted or measured; a latency that was not measured is left out."""
        return costs_of({"cost": self.cost, LATENCY: self.latency_ms}, names)


@dataclass
class Tally:
    """What the asks of one phase met on their way: refusals by reason, networks seen before."""

    rejected: Counter[str] = field(default_factory=Counter)
    duplicates: int = 0


@dataclass(frozen=True)
class Run:
    """Everything that a run folder says.

    Attributes:
        name: of the folder, for headings.
        config: as stored; `config_text` is the file itself.
        info: what run.json holds (versions, device, times); empty without the file.
        entries: candidates of the search, in journal order.
        baseline: candidates of the random search of equal budget; empty without one.
        tallies: by phase, "search" and "random".
        finalists: the best of the search after their rescoring so far, best first.
        front: the Pareto front of the search so far, best score first; empty where there is one objective.
        best: the chosen network, or the leader so far; None where no candidate has a score yet, or only the user's own space
            could make the leader again.
        chosen: whether `best` is what best.json holds, and all that decides it is in the journal.
        refined: the short trainings of the finalists; None where there were none.
    """

    name: str
    config: SearchConfig
    config_text: str
    info: Mapping[str, Any]
    entries: tuple[Entry, ...]
    baseline: tuple[Entry, ...]
    tallies: Mapping[str, Tally]
    finalists: tuple[Finalist, ...]
    front: tuple[Member, ...]
    best: uninas.Architecture | None
    chosen: bool
    refined: Refined | None = None

    @cached_property
    def objective(self) -> Objective:
        """What the search maximises."""
        return find(self.config.objective)

    @property
    def objectives(self) -> tuple[str, ...]:
        """The objectives of a multi-objective search; empty for any other."""
        return objectives_of(self.config)

    @property
    def devices(self) -> list[str]:
        """The device models on which latencies were measured, the most frequent first."""
        counts = Counter(entry.device for entry in (*self.entries, *self.baseline) if entry.device is not None)
        return [device for device, _ in counts.most_common()]

    @cached_property
    def scored(self) -> tuple[Entry, ...]:
        """All candidates with every score of the objective, of the search and of the baseline."""
        wanted = self.objective.proxies
        return tuple(entry for entry in (*self.entries, *self.baseline) if all(name in entry.scores for name in wanted))

    @cached_property
    def places(self) -> dict[tuple[str, int], int]:
        """The final place of every scored candidate by (phase, index): 1 is the best of search and baseline together."""
        return placing(self.objective, self.scored)

    @property
    def missing(self) -> list[str]:
        """What a finished run would have and this one does not, in words; empty for a finished run."""
        missing = []
        wanted = self.config.evaluations
        if len(self.entries) < wanted:
            missing.append(f"{len(self.entries)} of {wanted} candidates are scored")
        if self.config.baseline and len(self.baseline) < wanted:
            missing.append(f"{len(self.baseline)} of {wanted} candidates of the random search are scored")
        if not self.chosen:
            missing.append("the final network has not been chosen")
        return missing

    def size(self) -> tuple[int, int]:
        """Height and width of the input, in pixels."""
        height, width = self.config.size
        return height, width


def placing(objective: Objective, entries: Sequence[Entry]) -> dict[tuple[str, int], int]:
    """Places of candidates by (phase, index), 1 = best; of equal ones the earlier stands first."""
    if not entries:
        return {}
    values = objective.rank([entry.scores for entry in entries])
    order = sorted(range(len(entries)), key=lambda position: -float(values[position]))
    return {(entries[position].phase, entries[position].index): place for place, position in enumerate(order, start=1)}


def raw_value(column: Sequence[str], scores: Mapping[str, float]) -> float:
    """One number for a column of an objective, for axes: a single raw score, or aleph + VKDNW / ln 9 for that pair.

    VKDNW lies in [0, ln 9], so the sum orders as the pair does (VKDNW paper, eq. 12). Any other pair shows its first score.
    """
    first = scores[column[0]]
    return first + scores[column[1]] / math.log(9) if tuple(column) == ("aleph", "vkdnw") else first


def column_name(column: Sequence[str]) -> str:
    """What an axis calls a column of an objective."""
    return "VKDNW single (ℵ + VKDNW / ln 9)" if tuple(column) == ("aleph", "vkdnw") else " then ".join(column)


def read_run(folder: Path) -> Run:
    """Read a run folder, also while a search writes it.

    Raises:
        InputError: not a run folder, or a file in it that cannot be read; the message says which and what was expected.
    """
    if not folder.is_dir():
        raise InputError(f"{folder}: expected a run folder (made by uninas search); no such folder")
    for name in ("config.yaml", "journal.jsonl"):
        if not (folder / name).is_file():
            raise InputError(f"{folder}: expected a run folder (made by uninas search); it has no {name}")
    config = config_file.load(folder / "config.yaml")
    entries: dict[str, list[Entry]] = {"search": [], "random": []}
    tallies = {"search": Tally(), "random": Tally()}
    rescores = []
    for record in journal.read(folder / "journal.jsonl"):
        try:
            if record["kind"] == "candidate":
                entries[record["phase"]].append(_entry(record))
                tallies[record["phase"]].rejected.update(record["rejected"])
                tallies[record["phase"]].duplicates += record["duplicates"]
            elif record["kind"] == "rescore":
                scores = numbers(record["scores"])
                rescores.append(Rescore(record["digest"], record["repeat"], record["seed"], scores))
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            where = f"{folder / 'journal.jsonl'}, {record['kind']} {record.get('index', '')}".rstrip()
            raise InputError(f"{where}: expected a record of this version; {type(error).__name__}: {error}") from None
    search = tuple(entries["search"])
    objective = find(config.objective)
    names = costs_wanted(config)
    population = [Scored(entry.index, entry.digest, entry.scores, entry.costs(names), entry.device) for entry in search]
    leading = leaders(config, population, objective)
    objectives = objectives_of(config)
    counts = Counter(rescore.digest for rescore in rescores)
    rescored = [leader for leader in leading if counts[leader.digest] >= config.finalists.seeds]
    finalists = tuple(settle(population, rescored, rescores, objective))
    whole = len(search) >= config.evaluations and 0 < len(leading) == len(rescored)
    chosen = whole and (folder / "best.json").is_file()
    best = None
    if chosen:
        best = uninas.load(folder / "best.json")
    elif leading:
        best = _rebuild(folder, config, finalists[0].entry.digest if whole else leading[0].digest)
    return Run(
        name=folder.resolve().name,
        config=config,
        config_text=(folder / "config.yaml").read_text(encoding="utf-8"),
        info=_read_info(folder / "run.json"),
        entries=search,
        baseline=tuple(entries["random"]),
        tallies=tallies,
        finalists=finalists,
        front=tuple(front(population, objective, objectives)) if objectives else (),
        best=best,
        chosen=chosen,
        refined=read_refined(folder / "refine"),
    )


def _rebuild(folder: Path, config: SearchConfig, digest: str) -> uninas.Architecture | None:
    """An architecture of the journal, made again from the start edit by edit.

    None where that would run a Python file, the user's own space: who reads a report runs no code of the run.
    """
    if config.space.file is not None:
        return None
    stored = folder / "start.json"
    space = from_config(config, stored if stored.is_file() else None)
    try:
        candidate = rebuild(folder / "journal.jsonl", space, [digest])[digest]
    except KeyError as error:
        raise InputError(f"{folder / 'journal.jsonl'}: expected every parent in the journal; {error} is not") from None
    except ValueError as error:
        raise InputError(str(error)) from None
    return uninas.parse(space.text(candidate))


def _entry(record: Mapping[str, Any]) -> Entry:
    return Entry(
        phase=record["phase"],
        index=record["index"],
        digest=record["digest"],
        parent=record["parent"],
        cost=record["cost"],
        scores=numbers(record["scores"]),
        status=record["status"],
        reason=record["reason"],
        seconds=record["seconds"],
        worker=str(record["worker"]),
        attempts=record["attempts"],
        latency_ms=record.get(LATENCY),
        device=record.get("device"),
    )


def _read_info(path: Path) -> Mapping[str, Any]:
    try:
        info = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"{path}: expected the JSON object that a search writes; {error}") from None
    if not isinstance(info, dict):
        raise InputError(f"{path}: expected the JSON object that a search writes; got {type(info).__name__}")
    return info
