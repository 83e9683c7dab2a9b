"""A preview in words: what would be searched, and what it would take on this machine."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from search.algorithms.candidate import Space
from search.config.plan import SearchPlan
from search.config.schema import SearchConfig
from search.config.trained import TrainingImages
from search.monitor.snapshot import duration
from search.preview.estimate import Estimate, Range, at_a_time
from search.preview.samples import Sample
from uninas.runtime.machine import Memory
from uninas.spaces import SPACES

__all__ = ["outline", "prospect"]

_COSTS = ("params", "macs", "layers", "attention_tokens")


def outline(config: SearchConfig, plan: SearchPlan, space: Space, totals: Mapping[str, int]) -> list[str]:
    """Say what would be searched, a line each: space, start, budget, objective, algorithm, workers.

    Args:
        config, plan: of the search; the plan's images are drawn.
        space: to search.
        totals: scorings by phase.
    """
    lines = [f"space: {_space(config)}"]
    for start in space.starts():
        lines.append(
            f"start: {start.digest[:12]}, {', '.join(f'{name} {start.cost[name]:,}' for name in _COSTS if name in start.cost)}"
        )
    bounds = {name: value for name, value in vars(config.budget).items() if value is not None}
    lines.append("budget: " + (", ".join(f"{name} {value:,}" for name, value in bounds.items()) or "none"))
    lines += [f"objective: {_objective(config, plan)}", *(f"ladder: {rung}" for rung in _rungs(plan))]
    options = ", ".join(f"{name} {value}" for name, value in plan.options.items())
    counts = [f"{totals['search']:,} candidates"]
    if totals.get("random"):
        counts.append(f"a random search of {totals['random']:,}")
    counts.append(f"{totals['finalists']:,} scores of finalists and controls on held-out seeds")
    how = f"{plan.algorithm}{f' ({options})' if options else ''}, window {plan.window}, order {plan.order}, seed {plan.seed}"
    lines.append(f"algorithm: {how}: {', then '.join(counts)}")
    lines.append(f"workers: {_workers(plan)}")
    return lines


def prospect(
    plan: SearchPlan,
    samples: Sequence[Sample],
    found: Estimate,
    *,
    cores: int,
    memory: Memory | None,
    gpu_bytes: int | None,
    free_bytes: int | None,
) -> list[str]:
    """Say what the search would take, a line each: time, memory, disk; and warnings.

    Args:
        plan: of the search.
        samples: what was scored here.
        found: the estimate.
        cores: of this machine.
        memory: of this machine; None where it is not known.
        gpu_bytes: memory of a GPU; None without one.
        free_bytes: of the disk where the run would be; None where it is not on this machine.
    """
    first = found.phases[0]
    lines = [
        f"speed: {_rate(first.rate)}, {first.parallel} at a time (measured on {_measured(samples)})",
        f"time: {', '.join(f'{phase.name} {_time(phase.seconds.mean)}' for phase in found.phases)}: "
        f"{_time(found.seconds.mean)} in all; {_time(found.seconds.low)} if all candidates were as the fastest of these, "
        f"{_time(found.seconds.high)} as the slowest",
        *_memory(plan, found, cores, memory),
        *_gpu(plan, found, gpu_bytes),
        _disk(found, free_bytes),
    ]
    failed = [sample for sample in samples if sample.reason is not None]
    if failed:
        lines.append(
            f"warning: {len(failed)} of {len(samples)} have no score, the first {failed[0].digest[:12]}: {failed[0].reason}"
        )
    slowest = max(sample.last.seconds for sample in samples)
    if plan.pool.deadline_s is not None and slowest > plan.pool.deadline_s:
        lines.append(f"warning: one took {slowest:.1f} s, and would fail by pool.deadline_s={plan.pool.deadline_s:g}")
    if plan.by_model:
        lines.append(f"note: the asks of {plan.algorithm} take longer as it learns; those that were timed are its first")
    return lines


def _space(config: SearchConfig) -> str:
    space = config.space
    if space.name is not None:
        size = SPACES[space.name].size
        return space.name + ("" if size is None else f", {size:,} genotypes" if size < 10**13 else f", {size:.3g} genotypes")
    if space.file is not None:
        return f"the one that {space.file} defines"
    starts = [f"preset {space.preset}"] if space.preset else [str(space.architecture)] if space.architecture else []
    starts += [f"preset {name} as it fills the budget" for name in space.fitted]
    return f"the universal graph space, from {', '.join(starts)}; edits insert {', '.join(space.vocabulary)}"


def _objective(config: SearchConfig, plan: SearchPlan) -> str:
    size = "x".join(map(str, plan.size))
    if plan.recipe is not None and isinstance(plan.images, TrainingImages):
        epochs = "one epoch" if plan.recipe.epochs == 1 else f"{plan.recipe.epochs} epochs"
        images = "all images" if config.training.per_class is None else f"{config.training.per_class:,} images of a class"
        longer = "" if plan.judged_by is None else f"; finalists by {plan.judged_by.in_words()}"
        return f"top-1 after {epochs} on {images} of {plan.images.folder}, at {size}, {plan.classes} classes{longer}"
    names = plan.objective.proxies
    of = "" if names == (plan.objective.name,) else f" (of {', '.join(names)})"
    images = "random images" if config.images is None else f"images of {config.images}"
    timed = "" if plan.timing is None else "; latency is measured"
    repeats = "" if config.repeats == 1 else f", the mean of {config.repeats} initialisations"
    return f"{plan.objective.name}{of}, {config.batch} {images} of {size}, {plan.classes} classes{repeats}{timed}"


def _rungs(plan: SearchPlan) -> list[str]:
    found = []
    for number, rung in enumerate(plan.ladder, start=1):
        what = rung.score if rung.score is not None else f"a training on {rung.per_class:,} images of a class"
        found.append(f"rung {number}, {what}: the best {rung.keep:.0%} go on")
    return found


def _workers(plan: SearchPlan) -> str:
    pool = plan.pool
    if pool.kind == "serial":
        return "this process"
    where = (
        "a Ray of this machine" if pool.address is None else f"the Ray cluster at {pool.address}, taken to be like this machine"
    )
    on = f"{pool.gpus_per_worker:g} GPU each" if pool.gpus_per_worker else "a processor core each"
    return f"{pool.workers} on {where}, {on}"


def _measured(samples: Sequence[Sample]) -> str:
    """Say by what the figures were measured: scorings, or trainings, and which of these were told by some steps."""
    timed = [one for sample in samples for one in (*sample.rungs, sample.last)]
    steps = [one.steps for one in timed if one.steps is not None]
    if not steps:
        return f"{len(samples)} candidates"
    whole = len(timed) - len(steps)
    return f"{len(samples)} candidates: {whole} of {len(timed)} scorings whole, the others by {min(steps)} steps of training each"


def _rate(rate: Range) -> str:
    if rate.mean >= 1:
        return f"{rate.mean:.2g} candidates a second ({rate.low:.2g} to {rate.high:.2g})"
    seconds = Range(1 / rate.mean, 1 / rate.high, 1 / rate.low)
    return f"{rate.mean:.2g} candidates a second, one in {seconds.mean:.2g} s ({seconds.low:.2g} to {seconds.high:.2g} s)"


def _time(seconds: float) -> str:
    """Give a span of time in words, a day and more in hours too."""
    return duration(seconds) if seconds < 48 * 3600 else f"{seconds / 3600:,.0f} h ({seconds / 86400:.1f} days)"


def _memory(plan: SearchPlan, found: Estimate, cores: int, memory: Memory | None) -> list[str]:
    """Say what the workers need and whether the machine has it."""
    if found.worker_bytes is None:
        return ["memory: not known on this system"]
    each = f"memory: {_bytes(found.worker_bytes)} a worker (the most that this process held while it scored)"
    pool = plan.pool
    if pool.kind != "serial" and pool.address is not None:
        return [f"{each}; whether the cluster has it is not looked at"]
    workers = 1 if pool.kind == "serial" else pool.workers
    need = workers * found.worker_bytes
    text = f"{each}; {_bytes(need)} for {workers}" if workers > 1 else each
    if memory is None:
        return [text]
    if need <= memory.available:
        return [f"{text}, and {_bytes(memory.available)} are available"]
    room = max(1, memory.available // found.worker_bytes)
    least = min(at_a_time(plan, cores), room)
    lack = f"{_bytes(need)} for {workers} workers is more than the {_bytes(memory.available)} available"
    return [text, f"warning: {lack}: set pool.workers={least}"]


def _gpu(plan: SearchPlan, found: Estimate, gpu_bytes: int | None) -> list[str]:
    """Say what workers that share a GPU need of it, and whether it has it."""
    if found.gpu_bytes is None:
        return []
    share = plan.pool.gpus_per_worker
    sharing = math.floor(1 / share + 1e-9) if 0 < share <= 1 else 1
    need = sharing * found.gpu_bytes
    text = f"GPU memory: {_bytes(found.gpu_bytes)} of tensors a worker, {sharing} on a GPU"
    if gpu_bytes is not None and need > gpu_bytes:
        return [text, f"warning: {_bytes(need)} is more than the {_bytes(gpu_bytes)} of a GPU: raise pool.gpus_per_worker"]
    return [text if gpu_bytes is None else f"{text} of {_bytes(gpu_bytes)}"]


def _disk(found: Estimate, free_bytes: int | None) -> str:
    text = f"disk: {_bytes(found.journal_bytes)} of journal"
    if free_bytes is None:
        return text
    if found.journal_bytes > free_bytes:
        return f"warning: {text}, and {_bytes(free_bytes)} are free"
    return f"{text}, and {_bytes(free_bytes)} are free"


def _bytes(count: float) -> str:
    for unit in ("B", "kB", "MB"):
        if count < 1000:
            return f"{count:.3g} {unit}" if unit != "B" else f"{count:.0f} B"
        count /= 1000
    return f"{count:,.1f} GB"
