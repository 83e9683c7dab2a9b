"""What each proxy costs by itself: CPU-seconds and peak memory on the heaviest network of a run, and of all proxies together.

In a run many proxies share their passes, so a proxy's share there says little of what it costs alone. Here each is measured in a
fresh process, which scores the network twice: the first time loads libraries and warms caches, the second one counts.

RUN/costs.json    {"network", "environment", "rows": [{"proxy", "seconds", "memory"}], "together": {"seconds", "memory"}}
"""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from search.bench.scoring.job import Job
from search.bench.scoring.plan import Network, ScoringPlan
from search.workers import own_proxies
from uninas.errors import InputError
from uninas.files.writing import write_json
from uninas.runtime.machine import peak_bytes

FILE = "costs.json"

Note = Callable[[str], None]


def measure(folder: Path, plan: ScoringPlan, network: Network, *, note: Note = lambda text: None) -> dict[str, Any]:
    """Measure a plan's proxies one by one and together, and write RUN/costs.json.

    Args:
        folder: of the run.
        plan: its setups and requests.
        network: what to score.
        note: receives what is measured.

    Returns:
        What costs.json holds. `seconds`: CPU-seconds of the process, None where the proxy failed. `memory`: bytes by which the
        process grew at its peak, parameters and activations included; None if the system does not report it.

    Raises:
        InputError: a process ended without an answer (out of memory), or the disk is full.
    """
    rows = []
    labels = list(plan.requests)
    for place, label in enumerate(labels, 1):
        note(f"cost {place}/{len(labels) + 1}: {label}")
        rows.append({"proxy": label, **_fresh(plan.job(network, [label]))})
    note(f"cost {len(labels) + 1}/{len(labels) + 1}: all together")
    together = _fresh(plan.job(network, labels))
    environment = together.pop("environment")
    for row in rows:
        row.pop("environment")
    data = {"network": network.name, "environment": environment, "rows": rows, "together": together}
    write_json(folder / FILE, data)
    return data


def slowest(data: Mapping[str, Any], count: int = 3) -> tuple[list[str], float | None]:
    """Name the slowest proxies alone, and give the time of all together as a multiple of theirs.

    Proxies that are one computation (vkdnw and vkdnw_single, a score and its logarithm) would fill the list by themselves: of
    those with a common first word one counts.
    """
    chosen: dict[str, tuple[str, float]] = {}
    for row in sorted((row for row in data["rows"] if row["seconds"] is not None), key=lambda row: -row["seconds"]):
        chosen.setdefault(row["proxy"].partition("_")[0], (row["proxy"], row["seconds"]))
    first = list(chosen.values())[:count]
    total, together = sum(seconds for _, seconds in first), data["together"]["seconds"]
    return [name for name, _ in first], together / total if together is not None and total > 0 else None


def _fresh(job: Job) -> dict[str, Any]:
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=_answer, args=(theirs, job.as_dict(), own_proxies.loaded()), daemon=True)
    process.start()
    theirs.close()
    try:
        found: dict[str, Any] = ours.recv()
    except EOFError:
        process.join()
        raise InputError(
            f"cost of {', '.join(job.requests)}: expected an answer; the process ended with code {process.exitcode}"
        ) from None
    process.join()
    return found


def _answer(pipe: Any, data: Mapping[str, Any], own: tuple[own_proxies.OwnFile, ...]) -> None:
    """In the fresh process: score, then score again and say what that took."""
    from search.bench.scoring import evaluate

    own_proxies.load_all(own)
    environment = evaluate.prepare()
    job = Job.from_dict(data)
    evaluate.evaluate(job)
    before = peak_bytes(reset=True)
    clock = time.process_time()
    outcome = evaluate.evaluate(job)
    spent = time.process_time() - clock
    after = peak_bytes()
    whole = outcome.reason is None
    pipe.send(
        {
            "seconds": round(spent, 4) if whole else None,
            "memory": after - before if whole and before is not None and after is not None else None,
            "environment": environment,
        }
    )
