"""Climb a ladder in a worker: the evaluator of pools whose candidates have cheap scores before the dear one."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import replace

from search.ladder.job import EVALUATOR, Job, Step
from search.ladder.thresholds import name_of
from search.workers.evaluate import prepare
from search.workers.job import Cause, Outcome

__all__ = ["EVALUATOR", "Job", "evaluate", "prepare"]


def evaluate(job: Job, device: str = "cpu") -> Outcome:
    """Score rung by rung, and what comes last only for who passes all.

    Returns:
        The outcome of the last scoring, with the rungs' scores under their names beside its own, and the time of each rung.
        A candidate that stays below a rung has those scores alone, and the cause `STOPPED`; one whose rung gave no score failed.
    """
    scores: dict[str, float | Mapping[str, str]] = {}
    seconds: dict[str, float] = {}
    peaks: list[int] = []
    for number, rung in enumerate(job.rungs, start=1):
        name, outcome = name_of(number), _done(rung, device)
        seconds[name] = sum(spent for stage, spent in outcome.seconds.items() if stage != "cpu")  # which is of the others
        peaks += [] if outcome.peak_bytes is None else [outcome.peak_bytes]
        value = outcome.scores.get(rung.score)
        if outcome.reason is not None or not isinstance(value, float):
            reason = f"{name}: {outcome.reason or value}"
            cause = outcome.cause or Cause.ERROR
            return Outcome(scores, reason, seconds, cause=cause, peak_bytes=max(peaks, default=None))
        scores[name] = value
        if rung.least is not None and value < rung.least:
            reason = f"{name}: {rung.score} {value:.5g} < {rung.least:.5g}, with which one goes on"
            return Outcome(scores, reason, seconds, cause=Cause.STOPPED, peak_bytes=max(peaks, default=None))
    last = _done(job.last, device)
    peaks += [] if last.peak_bytes is None else [last.peak_bytes]
    scores, seconds = {**scores, **last.scores}, {**seconds, **last.seconds}
    return replace(last, scores=scores, seconds=seconds, peak_bytes=max(peaks, default=None))


def _done(step: Step, device: str) -> Outcome:
    outcome: Outcome = importlib.import_module(step.evaluator).evaluate(step.job, device)
    return outcome
