"""Draw a few candidates as the search would, and score them in this process: how long each takes, and how much memory.

They are the first that the algorithm asks for and the first random samples, by turns. Where a training is the objective a few
steps of it are timed instead, but the first one whole, where that takes no more than a minute.
"""

from __future__ import annotations

import importlib
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from search.algorithms import AskTell, Proposal, SpaceExhaustedError, make
from search.algorithms.candidate import Space
from search.config.plan import SearchPlan
from search.config.trained import EVALUATOR as TRAINER
from search.journal.lines import sealed
from search.journal.records import Ask, Candidate
from search.ladder.job import Job as LadderJob
from search.ladder.job import Step
from search.ladder.thresholds import name_of
from search.ranking.objective import LATENCY
from search.workers.job import Outcome, numbers
from search.workers.pool import Done
from uninas.runtime.machine import peak_bytes

__all__ = ["Sample", "Timed", "draw"]

SECONDS = 60.0
"""After so long no further candidate is begun; and a training that would take longer is told from some of its steps."""

SCORED, TRAINED = 8, 3
"""Candidates at the most: scored, or trained for some steps."""

LEAST = 2
"""Candidates at the least, however long they take: one of the algorithm, one random."""

_AGAIN_SECONDS = 15.0  # what the first scoring of a process loads, later ones find loaded: it is done twice where it is short


@dataclass(frozen=True)
class Timed:
    """One scoring of a candidate.

    Attributes:
        seconds: it took, or would take.
        steps: of a training, how many were timed to say so; None where all of it was done.
    """

    seconds: float
    steps: int | None = None


@dataclass(frozen=True)
class Sample:
    """A candidate that was drawn and scored here.

    Attributes:
        phase: "search" or "random".
        digest: of its canonical form.
        ask_seconds: that the algorithm took to propose it.
        rungs: its scorings on the rungs of the ladder, the cheapest first; none without one, and none for a random sample.
        last: what the objective wants.
        final: its training as a finalist, where that is longer; else `last`.
        peak_bytes: the most memory that this process held meanwhile; None where the system does not tell.
        gpu_bytes: the most memory that tensors held on the GPU; None without one.
        line_bytes: of its line in the journal.
        reason: why it has no score; None where it has, and where its training was not done whole.
    """

    phase: str
    digest: str
    ask_seconds: float
    rungs: tuple[Timed, ...]
    last: Timed
    final: Timed
    peak_bytes: int | None
    gpu_bytes: int | None
    line_bytes: int
    reason: str | None


def draw(
    plan: SearchPlan,
    space: Space,
    *,
    device: str = "cpu",
    note: Callable[[str], None] = lambda text: None,
    seconds: float = SECONDS,
) -> list[Sample]:
    """Draw and score candidates, see the module's head. The pool's workers would do the same with the same settings of torch.

    Args:
        plan: of the search; its images are drawn.
        space: to draw from.
        device: of torch, as a worker would have it.
        note: told of each candidate.
        seconds: see `SECONDS`.

    Raises:
        InputError: of the images, or of a training that cannot begin.
    """
    importlib.import_module(plan.evaluator).prepare(device)
    if plan.pool.kind == "ray":  # for the memory of a worker, which has it
        importlib.import_module("search.distributed.scorer").load()
    scorer = _Scorer(plan, device, seconds)
    found: list[Sample] = []
    begun = time.perf_counter()
    for phase, engine, proposal, spent in _proposals(plan, space):
        sample, outcome = scorer.score(phase, proposal, space.text(proposal.candidate), spent, first=not found)
        latency = outcome.latency_ms
        engine.tell(proposal.index, numbers(outcome.scores), {} if latency is None else {LATENCY: latency})
        found.append(sample)
        how = "" if sample.last.steps is None else f" (by {sample.last.steps} of its steps)"
        failed = "" if sample.reason is None else f", without a score: {sample.reason}"
        note(f"candidate {len(found)} ({phase}): {sum(one.seconds for one in (*sample.rungs, sample.last)):.2f} s{how}{failed}")
        if len(found) >= (SCORED if plan.recipe is None else TRAINED):
            break
        if len(found) >= LEAST and time.perf_counter() - begun > seconds:
            break
    return found


def _proposals(plan: SearchPlan, space: Space) -> Iterator[tuple[str, AskTell, Proposal, float]]:
    """Give what the algorithm and the random search ask for, by turns, with the seconds that each ask took."""
    asks: dict[str, Any] = {"seed": plan.seed, "order": plan.order}
    engines = {
        "search": make(
            plan.algorithm,
            space,
            plan.objective,
            phase="search",
            window=plan.window,
            options=plan.options,
            objectives=plan.objectives,
            **asks,
        ),
        "random": make("random", space, plan.objective, phase="random", window=plan.random_window, **asks),
    }
    while True:
        for phase, engine in engines.items():
            begun = time.perf_counter()
            try:
                proposal = engine.ask()
            except SpaceExhaustedError:
                return
            yield phase, engine, proposal, time.perf_counter() - begun


class _Scorer:
    """Scores candidates as a worker of the plan would.

    Args:
        plan: of the search.
        device: of torch.
        whole: seconds that a training may take to be done whole.
    """

    def __init__(self, plan: SearchPlan, device: str, whole: float) -> None:
        self._plan, self._device, self._whole = plan, device, whole
        self._factor: float | None = None  # of a training's true time to what its steps tell; known once one was done whole

    def score(self, phase: str, proposal: Proposal, text: str, spent: float, *, first: bool) -> tuple[Sample, Outcome]:
        """Score one candidate; gives what it took, and its outcome, empty for a training that was not done whole."""
        plan, digest = self._plan, proposal.candidate.digest
        work = plan.search_job(digest, text, () if phase == "search" else None)
        rungs, last = (work.rungs, work.last) if isinstance(work, LadderJob) else ((), Step(plan.evaluator, work))
        peak_bytes(reset=True)
        begun = time.perf_counter()
        done = [self._timed(step) for step in (*rungs, last)]
        if first and plan.recipe is None and time.perf_counter() - begun < _AGAIN_SECONDS:
            done = [self._timed(step) for step in (*rungs, last)]
        *climbed, (timed, outcome) = done
        final = timed
        if plan.judged_by is not None:
            longer = plan.rescore_job(digest, text, plan.seed)
            final = self._trained(longer.last.job if isinstance(longer, LadderJob) else longer)[0]
        peak = peak_bytes()
        scores = {name_of(number): next(iter(one.scores.values()), 0.0) for number, (_, one) in enumerate(climbed, start=1)}
        shown = replace(outcome, scores={**scores, **outcome.scores})
        lines = [Candidate.of(phase, proposal, Done(proposal.index, shown, "scorer-0")).as_dict()]
        if plan.order == "completion":
            lines.append(Ask(phase, proposal.index, digest, 0).as_dict())
        size, timings = sum(len(sealed(line)) for line in lines), tuple(one for one, _ in climbed)
        gpu = [one.peak_bytes for _, one in done if one.peak_bytes is not None]
        why = outcome.reason or next((one.reason for _, one in climbed if one.reason is not None), None)
        return Sample(phase, digest, spent, timings, timed, final, peak, max(gpu, default=None), size, why), outcome

    def _timed(self, step: Step) -> tuple[Timed, Outcome]:
        if step.evaluator == TRAINER:
            return self._trained(step.job)
        begun = time.perf_counter()
        outcome: Outcome = importlib.import_module(step.evaluator).evaluate(step.job, self._device)
        return Timed(time.perf_counter() - begun), outcome

    def _trained(self, job: Any) -> tuple[Timed, Outcome]:
        """Time steps of a training; do it whole where that is short and was not done yet."""
        pace = importlib.import_module("search.preview.pace")  # it brings torch, which comes with the evaluator
        measured = pace.measure(job, self._device)
        told = measured.seconds(*pace.images_of(job), job.recipe)
        if self._factor is None and told <= self._whole:
            begun = time.perf_counter()
            outcome: Outcome = importlib.import_module(TRAINER).evaluate(job, self._device)
            spent = time.perf_counter() - begun
            self._factor = spent / max(told, 1e-9)
            return Timed(spent), outcome
        return Timed(told * (self._factor or 1.0), measured.steps), Outcome()
