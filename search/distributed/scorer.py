"""The actor that scores: one in each slot of a Ray pool."""

from __future__ import annotations

import importlib
import os
from typing import Any

from search.distributed.ray_cluster import first_line
from search.workers import own_proxies, real_batches
from search.workers.job import Cause, Outcome
from search.workers.own_proxies import OwnFile
from search.workers.real_batches import HeldBatch

__all__ = ["Scorer", "load"]


def load() -> None:
    """Import what the process of an actor has before its first job, for who measures its memory; no Ray is started."""
    importlib.import_module("ray")


class Scorer:
    """The actor. Holds the evaluator's module and the device; one batch of jobs at a time."""

    def __init__(self, name: str, evaluator: str, own: tuple[OwnFile, ...], batches: tuple[HeldBatch, ...]) -> None:
        self._name = name
        self._evaluator = evaluator
        self._own = own
        self._batches = batches
        self._module: Any = None
        self._device = "cpu"

    def __repr__(self) -> str:
        return self._name

    def prepare(self) -> tuple[str, dict[str, str]]:
        """Import what scores; give Ray's id of this node, and what scores depend on here."""
        import ray

        # imported here: what fails here comes back as it is, from the constructor it would be the actor's death
        self._module = importlib.import_module(self._evaluator)
        own_proxies.load_all(self._own)
        real_batches.hold(self._batches)
        self._device = _device()
        return ray.get_runtime_context().get_node_id(), self._module.prepare(self._device)

    def evaluate(self, jobs: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Score jobs; an outcome for each, as data."""
        return [self._outcome(job).as_dict() for job in jobs]

    def _outcome(self, job: dict[str, Any]) -> Outcome:
        try:
            outcome: Outcome = self._module.evaluate(self._module.Job.from_dict(job), self._device)
        except Exception as error:  # of the evaluator itself: a failure is a result, and no other job's
            return Outcome.failed(f"{type(error).__name__}: {first_line(error)}", Cause.ERROR)
        return outcome


def _device() -> str:
    """Name the torch device of this actor: Ray's assignment, never what merely happens to be visible."""
    import ray

    assigned = [str(number) for number in ray.get_gpu_ids()]
    if not assigned:
        return "cpu"
    visible = [item.strip() for item in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if item.strip()]
    return f"cuda:{visible.index(assigned[0]) if assigned[0] in visible else 0}"
