"""A whole preview: the configuration resolved as a search would, candidates scored in this process, and both told in lines."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

from search.config.plan import SearchPlan
from search.config.schema import PoolConfig, SearchConfig
from search.config.warnings import cores_warnings
from search.engine import own_files
from search.engine.run_images import RunImages
from search.journal.object_store import is_url, without_secrets
from search.monitor.snapshot import Figures
from search.preview.estimate import estimate
from search.preview.samples import draw
from search.preview.words import outline, prospect
from search.spaces.from_config import from_config
from uninas.errors import InputError
from uninas.files.paths import nearest
from uninas.runtime import machine

__all__ = ["preview"]


def preview(config: SearchConfig, place: str, *, note: Callable[[str], None] = lambda text: None) -> Iterator[str]:
    """Give the lines of a preview, as they become known: what would be searched, then, after scoring, what it would take.

    Nothing is started and nothing written: no Ray, no run folder.

    Args:
        config: checked, as `search.load` gives it.
        place: where the run would be: a folder, or a URL.
        note: told of the progress.

    Raises:
        InputError: what would stop the search before it begins: a start over the budget, no images, no candidate at all.
        KeyboardInterrupt: Ctrl-C.
    """
    config, _ = own_files.load(config)
    plan = SearchPlan.resolve(config)
    space = from_config(config)
    RunImages(plan, space, note).draw()
    totals, cores = Figures(config).totals(), machine.cores()
    yield from outline(config, plan, space, totals)
    yield from _place(place)
    yield from plan.warnings
    yield from cores_warnings(plan.pool, cores)
    device, gpu_bytes = _device(plan.pool)
    if plan.pool.gpus_per_worker and device == "cpu" and plan.pool.kind != "serial":
        where = "the search cannot start on this machine, and " if plan.pool.address is None else ""
        wanted = f"pool.gpus_per_worker is {plan.pool.gpus_per_worker:g}"
        yield f"warning: {wanted}, and torch finds no GPU here: {where}what follows is of a processor core"
    note("scoring a few candidates in this process; Ctrl-C ends it")
    samples = draw(plan, space, device=device, note=note)
    if not samples:
        raise InputError("space: expected a candidate within the budget; got none")
    found = estimate(plan, samples, totals, cores)
    free = None if is_url(place) else shutil.disk_usage(nearest(Path(place))).free
    yield from prospect(plan, samples, found, cores=cores, memory=machine.memory(), gpu_bytes=gpu_bytes, free_bytes=free)


def _place(place: str) -> Iterator[str]:
    """Say where the run would be, and whether it could."""
    if is_url(place):
        yield f"run folder: {without_secrets(place)} (not looked at)"
        return
    folder = Path(place)
    yield f"run folder: {folder}"
    if nearest(folder) == folder.absolute() and not own_files.left_by_a_kill(folder):
        yield f"warning: {folder} exists: the search would be rejected; resume it with --resume {folder}, or give another --out"


def _device(pool: PoolConfig) -> tuple[str, int | None]:
    """Give the device that a worker here would have, and the bytes of its memory where it is a GPU."""
    if pool.kind == "serial" or not pool.gpus_per_worker:
        return "cpu", None
    from uninas.runtime.device import device_of, memory_of

    device = device_of(None)
    return (str(device), memory_of(device)) if device.type == "cuda" else ("cpu", None)
