"""The job of a candidate that climbs a ladder: what to score on each rung, how much is enough to go on, and what comes last."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from search.workers.job import Work

__all__ = ["CODE", "EVALUATOR", "Job", "Step"]

EVALUATOR = "search.ladder.evaluate"

CODE = ("search/ladder",)
"""What decides who goes on, beside the code of the scores, see `search.workers.scoring_code`."""


@dataclass(frozen=True)
class Step:
    """One scoring on the way up.

    Attributes:
        evaluator: the module that does it, see `search.workers.pool.EVALUATOR`.
        job: for that module.
        score: the name of the score that counts here.
        least: the score that is enough to go on; None: any is.
    """

    evaluator: str
    job: Work
    score: str = ""
    least: float | None = None

    def as_dict(self) -> dict[str, Any]:
        """Give the step as JSON-able data."""
        return {**vars(self), "job": self.job.as_dict()}

    @staticmethod
    def from_dict(data: Mapping[str, Any]) -> Step:
        """Read what `as_dict` gave."""
        return Step(**{**data, "job": importlib.import_module(data["evaluator"]).Job.from_dict(data["job"])})


@dataclass(frozen=True)
class Job:
    """A candidate's way up: rungs, and the scoring that the search is about.

    Attributes:
        rungs: the cheapest first; none for a finalist, which is scored whatever it costs.
        last: what the objective wants.
    """

    rungs: tuple[Step, ...]
    last: Step

    @property
    def label(self) -> str:
        """That of the last job."""
        return self.last.job.label

    def as_dict(self) -> dict[str, Any]:
        """Give the job as JSON-able data."""
        return {"rungs": [rung.as_dict() for rung in self.rungs], "last": self.last.as_dict()}

    @staticmethod
    def from_dict(data: Mapping[str, Any]) -> Job:
        """Read what `as_dict` gave."""
        return Job(tuple(Step.from_dict(rung) for rung in data["rungs"]), Step.from_dict(data["last"]))
