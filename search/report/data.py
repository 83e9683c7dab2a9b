"""A run folder as the report sees it: read from its files alone, finished or not, without writing to it."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import uninas
from search.config import loading as config_file
from search.config.plan import SearchPlan
from search.config.schema import SearchConfig
from search.engine.finals import agreement, controls, verdict
from search.engine.finals.finalists import Control, Finalist, named, rebuild, settle
from search.engine.pareto_front import Member, front, leaders
from search.engine.phase import Entry as Scored
from search.engine.phase import tie_of
from search.engine.scored_by import said_of
from search.journal import endings, journal, records
from search.monitor.tally import Tally
from search.ranking.objective import Objective
from search.ranking.ranks import DIGITS
from search.report.refined import Refined, read_refined
from search.spaces.from_config import from_config
from search.workers.scoring_code import ScoringCode
from uninas.errors import InputError
from uninas.files.reading import read_json

Entry = records.Candidate
"""One scored candidate of the journal."""


@dataclass(frozen=True)
class Run:
    """Everything that a run folder says.

    Attributes:
        name: of the folder, for headings.
        config: as stored; `config_text` is the file itself.
        objective: what the search maximises.
        objectives: of a multi-objective search; empty for any other.
        info: what run.json holds (versions, device, times); empty without the file.
        entries: candidates of the search, in journal order.
        baseline: candidates of the random search of equal budget; empty without one.
        tallies: by phase, "search" and "random".
        finalists: the best of the search after their rescoring so far, best first.
        controls: what they are compared with, scored on the same held-out seeds, best first; empty until all of them are.
        compared: the networks of `controls` by name, once the run has written them.
        left_out: by name, why a network is no control.
        front: the Pareto front of the search so far, best score first; empty where there is one objective.
        best: the chosen network, or the leader so far; None where no candidate has a score yet, or only the user's own space
            could make the leader again.
        chosen: whether `best` is what best.json holds, and all that decides it is in the journal.
        refined: the short trainings of the finalists; None where there were none.
        codes: what scored the run, in order: the code, None where the journal does not say, and what the journal had before it:
            how many candidates of the search and of the random search, and scores of finalists.
        most: by phase, how many candidates the space has, where it was seen whole.
        verdict: what the search was good for and how far its score can be trusted, a sentence each; empty until it is known.
        on_one_seed: ranks of finalists, controls and others of the best quarter under the first held-out seed, by digest; empty
            where no others were scored again.
    """

    name: str
    config: SearchConfig
    config_text: str
    objective: Objective
    objectives: tuple[str, ...]
    info: Mapping[str, Any]
    entries: tuple[Entry, ...]
    baseline: tuple[Entry, ...]
    tallies: Mapping[str, Tally]
    finalists: tuple[Finalist, ...]
    front: tuple[Member, ...]
    best: uninas.Architecture | None
    chosen: bool
    refined: Refined | None = None
    codes: tuple[tuple[ScoringCode | None, tuple[int, int, int]], ...] = ()
    most: Mapping[str, int] = field(default_factory=dict)
    controls: tuple[Control, ...] = ()
    compared: Mapping[str, uninas.Architecture] = field(default_factory=dict)
    left_out: Mapping[str, str] = field(default_factory=dict)
    verdict: tuple[str, ...] = ()
    on_one_seed: Mapping[str, int] = field(default_factory=dict)

    def wanted(self, phase: str) -> int:
        """How many candidates a finished phase has: as many evaluations as it was given, or all that the space has."""
        return min(self.config.evaluations, self.most.get(phase, self.config.evaluations))

    @property
    def devices(self) -> list[str]:
        """The device models on which latencies were measured, the most frequent first."""
        counts = Counter(entry.device for entry in (*self.entries, *self.baseline) if entry.device is not None)
        return [device for device, _ in counts.most_common()]

    @cached_property
    def scored(self) -> tuple[Entry, ...]:
        """All candidates with every score of the objective, of the search and of the baseline."""
        wanted = {*self.objective.proxies}
        return tuple(entry for entry in (*self.entries, *self.baseline) if wanted <= entry.scores.keys())

    @cached_property
    def places(self) -> dict[tuple[str, int], int]:
        """The final rank of every scored candidate by (phase, index): 1 is the best of search and baseline together."""
        return placing(self.objective, self.scored, self.config.ties)

    @property
    def missing(self) -> list[str]:
        """What a finished run would have and this one does not, in words; empty for a finished run."""
        missing = []
        wanted, sampled = self.wanted("search"), self.wanted("random")
        if len(self.entries) < wanted:
            missing.append(f"{len(self.entries)} of {wanted} candidates are scored")
        if self.config.baseline and len(self.baseline) < sampled:
            missing.append(f"{len(self.baseline)} of {sampled} candidates of the random search are scored")
        if not self.chosen:
            missing.append("the final network has not been chosen")
        return missing

    def size(self) -> tuple[int, int]:
        """Give height and width of the input, in pixels."""
        height, width = self.config.size
        return height, width


def placing(objective: Objective, entries: Sequence[Entry], ties: str) -> dict[tuple[str, int], int]:
    """Rank candidates by (phase, index), 1 = best; of equal ones the cheaper comes first, or the earlier, as `ties` says."""
    if not entries:
        return {}
    values = objective.rank([entry.scores for entry in entries])
    order = sorted(range(len(entries)), key=lambda at: (-round(float(values[at]), DIGITS), tie_of(entries[at], ties), at))
    return {(entries[position].phase, entries[position].index): place for place, position in enumerate(order, start=1)}


def raw_value(column: Sequence[str], scores: Mapping[str, float]) -> float:
    """Give one number for a column of an objective, for axes: a single raw score, or aleph + VKDNW / ln 9 for that pair.

    VKDNW lies in [0, ln 9], so the sum orders as the pair does (VKDNW paper, eq. 12). Any other pair shows its first score.
    """
    first = scores[column[0]]
    return first + scores[column[1]] / math.log(9) if tuple(column) == ("aleph", "vkdnw") else first


def column_name(column: Sequence[str]) -> str:
    """Name a column of an objective on an axis."""
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
    config = config_file.load(folder / "config.yaml", stored=True)
    plan = SearchPlan.resolve(config)
    objective, objectives = plan.objective, plan.objectives
    entries: dict[str, list[Entry]] = {"search": [], "random": []}
    tallies = {"search": Tally(), "random": Tally()}
    rescores: list[records.Rescore] = []
    against: endings.Controls | None = None
    by_model: endings.Finalists | None = None
    most: dict[str, int] = {}
    codes: list[tuple[ScoringCode | None, tuple[int, int, int]]] = []
    with journal.consistent(folder / "journal.jsonl"):
        for record in journal.records(folder / "journal.jsonl", records.KINDS):
            if isinstance(record, records.Candidate):
                entries[record.phase].append(record)
                tallies[record.phase].add(record)
            elif isinstance(record, records.Rescore):
                rescores.append(record)
            elif isinstance(record, endings.Controls):
                against = record
            elif isinstance(record, endings.Finalists):
                by_model = record
            elif isinstance(record, endings.Exhausted):
                most[record.phase] = record.candidates
            elif isinstance(record, records.Header | ScoringCode):
                before = (len(entries["search"]), len(entries["random"]), len(rescores))
                codes.append((said_of(record), before))
        search = tuple(entries["search"])
        wanted = min(config.evaluations, most.get("search", config.evaluations))
        population = [Scored.of(entry, plan.costs, plan.ties) for entry in search]
        leading = named(population, by_model) or leaders(population, objective, objectives, plan.finalists)
        counts = Counter(rescore.digest for rescore in rescores)
        rescored = [leader for leader in leading if counts[leader.digest] >= config.finalists.seeds]
        beside = controls.still(against, len(search))
        beside = beside if all(counts[digest] >= config.finalists.seeds for digest in beside.values()) else {}
        finalists, compared = settle(population, rescored, beside, rescores, objective)
        others = agreement.drawn(population, leading, objective, plan.reliability, plan.seed) if len(search) >= wanted else []
    whole = len(search) >= wanted and 0 < len(leading) == len(rescored)
    chosen = whole and (folder / "best.json").is_file()
    best = None
    if chosen:
        best = uninas.load(folder / "best.json")
    elif leading:
        best = _rebuild(folder, config, finalists[0].entry.digest if whole else leading[0].digest)
    said: dict[str, Any] = {"objective": objective.name}
    if whole and compared:
        random = [Scored.of(entry, plan.costs, plan.ties) for entry in entries["random"]]
        left_out = against.left_out if against else {}
        said["verdict"] = verdict.of(population, random, finalists, compared, left_out, objective, plan.judged_by)
    if others:
        said["reliability"] = agreement.as_row(others, rescores, objective)
    field_of_one = [*(entry.digest for entry in (*leading, *others)), *beside.values()]
    return Run(
        name=folder.resolve().name,
        config=config,
        config_text=(folder / "config.yaml").read_text(encoding="utf-8"),
        objective=objective,
        objectives=objectives,
        info=_read_info(folder / "run.json"),
        entries=search,
        baseline=tuple(entries["random"]),
        tallies=tallies,
        finalists=tuple(finalists),
        controls=tuple(compared),
        compared=_compared(folder, compared) if chosen else {},
        left_out=against.left_out if against else {},
        front=tuple(front(population, objective, objectives)) if objectives else (),
        best=best,
        chosen=chosen,
        refined=read_refined(folder / "refine"),
        codes=tuple(codes),
        most=most,
        verdict=tuple(verdict.in_words(said)),
        on_one_seed=agreement.on_one_seed(field_of_one, rescores, objective) if others else {},
    )


def _compared(folder: Path, found: Sequence[Control]) -> dict[str, uninas.Architecture]:
    """Read the networks of controls, those that the run has files of."""
    files = {one.name: folder / controls.FOLDER / f"{one.name}.json" for one in found}
    return {name: uninas.load(file) for name, file in files.items() if file.is_file()}


def _rebuild(folder: Path, config: SearchConfig, digest: str) -> uninas.Architecture | None:
    """Make an architecture of the journal again, from the start edit by edit.

    None where that would run a Python file, the user's own space: reading a report runs no code of the run.
    """
    if config.space.file is not None:
        return None
    stored = folder / "start.json"
    space = from_config(config, stored if stored.is_file() else None)
    candidate = rebuild(folder / "journal.jsonl", space, [digest])[digest]
    return uninas.parse(space.text(candidate))


def _read_info(path: Path) -> Mapping[str, Any]:
    try:
        info = read_json(path)
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: expected the JSON object that a search writes; {error}") from None
    if not isinstance(info, dict):
        raise InputError(f"{path}: expected the JSON object that a search writes; got {type(info).__name__}")
    return info
