"""An evaluator for tests of pools: it says which of a job's proxies are registered in the worker. It imports no torch."""

from proxies import registry
from search.workers.job import Job, Outcome

__all__ = ["Job", "evaluate", "prepare"]


def prepare(device: str = "cpu") -> dict[str, str]:
    return {"device": device}


def evaluate(job: Job, device: str = "cpu") -> Outcome:
    return Outcome({name: float(name in registry.registered()) for name in job.proxies})
