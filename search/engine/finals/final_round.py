"""The last phase of a search: who is scored on held-out seeds, their scores, and what run.json then says of them.

Who: the finalists and the controls on all held-out seeds, and some others of the best quarter on the first one. Who the controls
are is journalled before they are scored, so that a resume, a report and a watcher know it without making a network.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, final

from search.algorithms.candidate import Space
from search.config.plan import SearchPlan
from search.engine import artifacts
from search.engine.finals import agreement, controls, verdict
from search.engine.finals.finalists import expected, held_out_seeds, named, rebuild, settle
from search.engine.pareto_front import front, leaders, spread_over
from search.engine.phase import Entry
from search.engine.session import JOURNAL
from search.journal.endings import Controls, Finalists
from search.journal.journal import Journal
from search.journal.records import Rescore
from search.monitor.observer import Observer
from search.monitor.progress import State, View
from search.workers.interrupts import Interrupts
from search.workers.pool import Pool, scored

FRONT_FILES = 100
"""Members of the front that get an architecture file, spread over it; run.json lists all of them."""


@dataclass(frozen=True)
class Scoring:
    """What scores, and who is told: the pool, started; the observer of what happens; the journal, Ctrl-C, the display."""

    pool: Pool
    observer: Observer
    journal: Journal
    interrupts: Interrupts
    view: View
    state: State


@final
class FinalRound:
    """The state of the last phase: which controls and which scores on held-out seeds the journal has.

    Args:
        plan: of the run.
        space: of the run.
        folder: of the run.
        estimates: gives what the algorithm's model expects of each candidate, by index; asked where finalists are chosen by it.
    """

    def __init__(self, plan: SearchPlan, space: Space, folder: Path, estimates: Callable[[], Mapping[int, float]]) -> None:
        self._plan, self._space, self._folder, self._estimates = plan, space, folder, cache(estimates)
        self._rescores: dict[tuple[str, int], Rescore] = {}
        self._controls: Controls | None = None
        self._named: Finalists | None = None
        self._seeds = list(enumerate(held_out_seeds(plan.seed, plan.repeats)))

    @property
    def scored(self) -> int:
        """How many scores on held-out seeds the journal has."""
        return len(self._rescores)

    def read(self, record: Rescore | Controls | Finalists) -> None:
        """Take in one record of the journal."""
        if isinstance(record, Controls):
            self._controls = record
        elif isinstance(record, Finalists):
            self._named = record
        else:
            self._rescores[record.digest, record.repeat] = record

    def lacks(self, search: Sequence[Entry]) -> bool:
        """Whether a score is missing, once the search has all its candidates."""
        beside = controls.still(self._controls, len(search))
        chosen = self._leaders(search)
        unnamed = bool(self._plan.controls) and (self._controls is None or self._controls.candidates != len(search))
        unnamed |= bool(self._plan.by_model) and named(search, self._named) is None
        return unnamed or bool(self._missing(chosen, beside, self._others(search, chosen)))

    def play(
        self, search: Sequence[Entry], random: Sequence[Entry], scoring: Callable[[], Scoring], journal: Journal
    ) -> dict[str, Any]:
        """Score who is not scored yet; write finalists, controls and the front into the run's folder; give run.json's part.

        Args:
            search: candidates of the search.
            random: of the random search.
            scoring: called where something is to be scored.
            journal: of the run.

        Raises:
            InputError: no candidate has every score.
            KeyboardInterrupt: Ctrl-C; the journal has what was scored.
        """
        plan = self._plan
        chosen = self._leaders(search)
        if plan.by_model and named(search, self._named) is None:
            self._named = Finalists(len(search), tuple(entry.index for entry in chosen))
            journal.append(self._named)
        others = self._others(search, chosen)
        members = front(search, plan.objective, plan.objectives) if plan.objectives else []
        unscored = [other for other in others if (other.digest, 0) not in self._rescores]
        shown = [member.entry for member in spread_over(members, FRONT_FILES)]
        wanted = dict.fromkeys(entry.digest for entry in [*chosen, *unscored, *shown])
        candidates = rebuild(self._folder / JOURNAL, self._space, wanted)
        made: dict[str, controls.Network] = {}
        if chosen and plan.controls:
            leader = candidates[chosen[0].digest]
            made, left_out = controls.networks(plan, self._space, self._folder / JOURNAL, random, leader)
            digests = {name: network.digest for name, network in made.items()}
            scorings = len(self._wanted(chosen, digests, others))
            self._name(Controls(len(search), digests, left_out, scorings), journal)
        beside = controls.still(self._controls, len(search))
        missing = self._missing(chosen, beside, others)
        if missing:
            texts = {network.digest: network.text for network in made.values()}
            texts |= {digest: self._space.text(candidate) for digest, candidate in candidates.items()}
            self._score(missing, texts, scoring())
        finalists, compared = settle(search, chosen, beside, self._rescores.values(), plan.objective)
        rows = artifacts.write_finalists(self._folder, finalists, candidates, self._space, plan.objective)
        results: dict[str, Any] = {"best": rows[0], "finalists": rows}
        if self._controls is not None:
            results["controls"] = controls.written(self._folder, compared, made, plan.objective.name)
            none_of = self._controls.left_out
            results["verdict"] = verdict.of(search, random, finalists, compared, none_of, plan.objective, plan.judged_by)
        if others:
            results["reliability"] = agreement.as_row(others, self._rescores.values(), plan.objective)
        if plan.objectives:
            rows = artifacts.write_front(self._folder, members, candidates, self._space, plan.objectives)
            results |= {"objectives": list(plan.objectives), "front": rows}
        return results

    def _name(self, record: Controls, journal: Journal) -> None:
        """Say in the journal who the controls are, where it does not say so yet."""
        if record != self._controls:
            journal.append(record)
            self._controls = record

    def _leaders(self, search: Sequence[Entry]) -> list[Entry]:
        plan = self._plan
        by_score = leaders(search, plan.objective, plan.objectives, plan.finalists - plan.by_model)
        if not plan.by_model:
            return by_score
        if (known := named(search, self._named)) is not None:
            return known
        return [*by_score, *expected(search, by_score, plan.objective, self._estimates(), plan.by_model)]

    def _others(self, search: Sequence[Entry], finalists: Sequence[Entry]) -> list[Entry]:
        """Give those that are scored on the first held-out seed beside the finalists."""
        plan = self._plan
        return agreement.drawn(search, finalists, plan.objective, plan.reliability, plan.seed)

    def _wanted(
        self, finalists: Sequence[Entry], beside: Mapping[str, str], others: Sequence[Entry]
    ) -> list[tuple[str, int, int]]:
        """Give digest, repeat and held-out seed of all that is scored here: finalists first, then controls, then others."""
        field = [*(finalist.digest for finalist in finalists), *beside.values()]
        wanted = [(digest, repeat, seed) for digest in field for repeat, seed in self._seeds]
        return list(dict.fromkeys([*wanted, *((other.digest, *self._seeds[0]) for other in others)]))

    def _missing(
        self, finalists: Sequence[Entry], beside: Mapping[str, str], others: Sequence[Entry]
    ) -> list[tuple[str, int, int]]:
        """Give what of that the journal lacks."""
        return [one for one in self._wanted(finalists, beside, others) if one[:2] not in self._rescores]

    def _score(self, missing: list[tuple[str, int, int]], texts: Mapping[str, str], by: Scoring) -> None:
        """Score on held-out seeds; journal the scores in this order, whoever finishes first."""
        by.state.begin("finalists", 0, len(missing))

        def show(under_way: int) -> None:
            by.state.in_flight = under_way
            by.view.update(by.state)
            by.observer.updated(by.state)

        jobs = (self._plan.rescore_job(digest, texts[digest], seed) for digest, _, seed in missing)
        for done in scored(by.pool, jobs, check=by.interrupts.check, show=show):
            record = Rescore.of(*missing[done.ticket], done)
            by.journal.append(record)
            self.read(record)
            by.observer.recorded(record)
            by.state.done += 1
