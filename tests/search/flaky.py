"""The real evaluator with faults put in, for workers in tests: one network in six fails for want of memory, and the first
worker dies once, which a file remembers."""

import os
import signal
from pathlib import Path

from search.workers import evaluate as real
from search.workers.job import Job, Outcome

prepare = real.prepare
DEATH = "UNINAS_TEST_DEATH"  # environment variable: path of the file


def evaluate(job: Job, device: str) -> Outcome:
    mark = Path(os.environ[DEATH])
    if not mark.exists():
        mark.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    if int(job.digest[:8], 16) % 6 == 0 and job.seed == 0:
        return Outcome({}, "out of memory", {"build": 0.01})
    return real.evaluate(job, device)
