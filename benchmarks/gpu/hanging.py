"""An evaluator (see `search.workers.pool.EVALUATOR`) that scores, but hangs over candidates of one name."""

from __future__ import annotations

import signal

from search.workers import evaluate as scoring
from search.workers.evaluate import prepare
from search.workers.job import Job, Outcome

__all__ = ["HANGS", "Job", "evaluate", "prepare"]

HANGS = "hangs"
"""With what the digest of such a candidate begins."""

CYCLES = 400_000_000_000
"""How long its kernel runs, in cycles of the GPU: some minutes, and not for ever, should it outlive its process."""


def evaluate(job: Job, device: str = "cpu") -> Outcome:
    """Score, or wait for a kernel; on a CPU for a signal."""
    if job.digest.startswith(HANGS):
        if not device.startswith("cuda"):
            signal.pause()
        import torch

        torch.cuda._sleep(CYCLES)
        torch.cuda.synchronize(device)
    return scoring.evaluate(job, device)
