"""The last phase of a search: who is scored on held-out seeds, their scores, and what run.json then says of them.

Who: the finalists and the controls on all held-out seeds, and some others of the best quarter on the first one. Who the controls
are is journalled before they are scored, so that a resume, a report and a watcher know it without making a network.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

from search.algorithms.candidate import Candidate, Space
from search.config.plan import SearchPlan
from search.engine import artifacts
from search.engine.finals import controls, verdict
from search.engine.finals.agreement import agreement, drawn
from search.engine.finals.finalists import held_out_seeds, rebuild, settle
from search.engine.pareto_front import leaders
from search.engine.phase import Entry
from search.engine.session import JOURNAL
from search.journal.journal import Journal
from search.journal.records import Controls, Rescore
from search.monitor.observer import Observer
from search.monitor.progress import State, View
from search.ranking.reliability import is_noise
from search.workers.interrupts import Interrupts
from search.workers.pool import Pool, scored


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
    """

    def __init__(self, plan: SearchPlan, space: Space, folder: Path) -> None:
        self._plan, self._space, self._folder = plan, space, folder
        self._rescores: dict[tuple[str, int], Rescore] = {}
        self._controls: Controls | None = None
        self._seeds = list(enumerate(held_out_seeds(plan.seed, plan.repeats)))

    @property
    def scored(self) -> int:
        """How many scores on held-out seeds the journal has."""
        return len(self._rescores)

    def read(self, record: Rescore | Controls) -> None:
        """Take in one record of the journal."""
        if isinstance(record, Controls):
            self._controls = record
        else:
            self._rescores[record.digest, record.repeat] = record

    def lacks(self, search: Sequence[Entry]) -> bool:
        """Whether a score is missing, once the search has all its candidates."""
        beside = controls.still(self._controls, len(search))
        chosen = self._leaders(search)
        unnamed = bool(self._plan.controls) and (self._controls is None or self._controls.candidates != len(search))
        return unnamed or bool(self._missing(chosen, beside, self._others(search, chosen)))

    def play(
        self, search: Sequence[Entry], random: Sequence[Entry], scoring: Callable[[], Scoring], journal: Journal
    ) -> dict[str, Any]:
        """Score who is not scored yet, write finalists and controls into the run's folder; give what run.json says of them.

        Args:
            search: candidates of the search.
            random: of the random search.
            scoring: called where something is to be scored.
            journal: of the run.

        Raises:
            InputError: no candidate has every score.
            KeyboardInterrupt: Ctrl-C; the journal has what was scored.
        """
        chosen = self._leaders(search)
        others = self._others(search, chosen)
        wanted = dict.fromkeys(entry.digest for entry in [*chosen, *others])
        candidates = rebuild(self._folder / JOURNAL, self._space, wanted)
        made, left_out = self._made(random, candidates[chosen[0].digest]) if chosen else ({}, {})
        digests = {name: network.digest for name, network in made.items()}
        if chosen and self._plan.controls:
            self._name(Controls(len(search), digests, left_out, len(self._wanted(chosen, digests, others))), journal)
        missing = self._missing(chosen, digests, others)
        texts = {network.digest: network.text for network in made.values()}
        texts |= {digest: self._space.text(candidates[digest]) for digest, _, _ in missing if digest in candidates}
        if missing:
            self._score(missing, texts, scoring())
        return self._results(search, random, chosen, others, candidates, made)

    def _made(self, random: Sequence[Entry], leader: Candidate) -> tuple[dict[str, controls.Network], dict[str, str]]:
        return controls.networks(self._plan, self._space, self._folder / JOURNAL, random, leader)

    def _name(self, record: Controls, journal: Journal) -> None:
        """Say in the journal who the controls are, where it does not say so yet."""
        if record != self._controls:
            journal.append(record)
            self._controls = record

    def _leaders(self, search: Sequence[Entry]) -> list[Entry]:
        plan = self._plan
        return leaders(search, plan.objective, plan.objectives, plan.finalists)

    def _others(self, search: Sequence[Entry], finalists: Sequence[Entry]) -> list[Entry]:
        """Give those that are scored on the first held-out seed beside the finalists."""
        plan = self._plan
        return drawn(search, finalists, plan.objective, plan.reliability, plan.seed)

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

    def _results(
        self,
        search: Sequence[Entry],
        random: Sequence[Entry],
        chosen: Sequence[Entry],
        others: Sequence[Entry],
        candidates: Mapping[str, Candidate],
        made: Mapping[str, controls.Network],
    ) -> dict[str, Any]:
        plan, rescores = self._plan, self._rescores.values()
        digests = {name: network.digest for name, network in made.items()}
        finalists, beside = settle(search, chosen, digests, rescores, plan.objective)
        artifacts.write_finalists(self._folder, finalists, candidates, self._space, plan.objective)
        rows = artifacts.finalist_rows(finalists, candidates)
        results: dict[str, Any] = {"best": rows[0], "finalists": rows}
        if made:
            assert self._controls is not None
            results["controls"] = controls.written(self._folder, beside, made, plan.objective.name)
            results["verdict"] = verdict.of(search, random, finalists, beside, self._controls.left_out, plan.objective)
        if others:
            found = agreement(others, _of(rescores, others), plan.objective)
            results["reliability"] = {"networks": len(others), **found.as_dict(), "noise": is_noise(found)}
        return results


def _of(rescores: Iterable[Rescore], networks: Sequence[Entry]) -> list[Rescore]:
    wanted = {entry.digest for entry in networks}
    return [rescore for rescore in rescores if rescore.digest in wanted]
