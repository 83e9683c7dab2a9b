"""What the scores since 2023 add to the time in which a network is given all scores: CPU-seconds side by side.

    python -m benchmarks.score_costs
    python -m benchmarks.score_costs --networks 3 --batch 16 --write

Random networks of the demo's space (64 pixels, 8 images) and cells of NAS-Bench-201 (32 pixels, 10 classes). Each is scored by
all proxies but those of `proxies.recent`, by all, and by those of `proxies.recent` alone, in one process that has scored a
network before; the time is that of the process's CPU, user and system.
"""

from __future__ import annotations

import argparse
import random
import resource
from collections.abc import Iterator
from pathlib import Path

import torch

import proxies
import uninas
from benchmarks.page import command, publish, setting, table
from proxies.recent import RECENT
from proxies.table import TABLE
from search.algorithms.candidate import Rejected
from search.config import loading
from search.spaces.from_config import from_config
from search.spaces.graph_space import GraphSpace
from uninas.spaces import nasbench201

CONFIG = Path(__file__).parents[1] / "configs" / "search" / "demo.yaml"
NEW = tuple(spec.name for spec in RECENT)
SETS = {"before": tuple(name for name in TABLE if name not in NEW), "all": tuple(TABLE), "new alone": NEW}


def of_the_demo(count: int) -> Iterator[tuple[str, uninas.Architecture]]:
    space, rng = from_config(loading.load(CONFIG)), random.Random(0)
    assert isinstance(space, GraphSpace)
    made = 0
    while made < count:
        drawn = space.sample(rng)
        if not isinstance(drawn, Rejected):
            made += 1
            yield f"demo {made}", drawn.body


def cells(count: int) -> Iterator[tuple[str, uninas.Architecture]]:
    rng, made = random.Random(0), 0
    while made < count:
        cell = nasbench201.cell_text([rng.choice(nasbench201.OPERATIONS) for _ in nasbench201.EDGES])
        if nasbench201.is_reachable(cell):
            made += 1
            yield f"cell {made}", nasbench201.architecture(cell, classes=10, input_size=(32, 32))


def seconds(module: torch.nn.Module, names: tuple[str, ...], shape: tuple[int, int, int], batch: int) -> float:
    before = resource.getrusage(resource.RUSAGE_SELF)
    proxies.score(module, list(names), input_shape=shape, batch=batch)
    after = resource.getrusage(resource.RUSAGE_SELF)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--networks", type=int, default=10, help="networks of each kind (default 10)")
    parser.add_argument("--batch", type=int, default=64, help="samples for the cells (default 64)")
    parser.add_argument("--write", action="store_true", help="keep the page as docs/benchmarks/score_costs.md")
    options = parser.parse_args()
    torch.set_num_threads(1)
    rows = []
    for kind, drawn, side, batch in (
        ("demo", of_the_demo(options.networks), 64, 8),
        ("cells", cells(options.networks), 32, options.batch),
    ):
        spent: list[dict[str, float]] = []
        for name, architecture in drawn:
            module = uninas.build(uninas.canonicalise(architecture))
            if not spent:
                seconds(module, SETS["all"], (3, side, side), batch)  # loads and warms
            spent.append({label: seconds(module, names, (3, side, side), batch) for label, names in SETS.items()})
            print(name, {label: round(value, 2) for label, value in spent[-1].items()}, flush=True)
        means = {label: sum(one[label] for one in spent) / len(spent) for label in SETS}
        rows.append([kind, str(batch), *(f"{value:.2f}" for value in means.values()), f"{means['all'] / means['before']:.2f}"])
    text = "\n".join(
        [
            "# What all scores of a network cost",
            "",
            f"CPU-seconds a network, means of {options.networks} random networks of the demo's space at 64 pixels and as",
            f"many cells of NAS-Bench-201 at 32. Before: the {len(SETS['before'])} proxies without those since 2023.",
            f"New alone: the {len(NEW)} proxies since 2023, whose passes nobody shares then.",
            "",
            table(["networks", "images", "before", "all", "new alone", "all / before"], rows),
            "",
            setting(torch=torch.__version__),
            "",
            f"    {command()}",
        ]
    )
    publish(text, "score_costs", write=options.write)


if __name__ == "__main__":
    main()
