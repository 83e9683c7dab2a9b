"""Memory of a long search: how much the driver and an actor grow over 2,000 real candidates.

    python benchmarks/search_memory.py [--candidates 2000]

Bounds: the driver by less than 50 MB, an actor by less than 100 MB, counted from the 20th candidate on, when everything
is imported and every kind of pass has been made once. Exits with 1 where a bound is broken.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from pathlib import Path

import psutil

from search import config, driver
from search.progress import State

DRIVER_MB, ACTOR_MB = 50, 100
SETTLED = 20
SEARCH = """
space: {preset: coatnet, widths: [16, 32, 32, 64], depths: [1, 1, 1, 1], nodes_per_subblock: 32}
algorithm: evolution
algorithm_options: {population: 128}
objective: vkdnw_agg
window: 8
size: 32
classes: 10
batch: 2
budget: {params: 200000, macs: 6000000, layers: 40, attention_tokens: 16}
pool: {kind: ray, workers: 2}
finalists: {count: 1, seeds: 1}
"""


class Meter:
    """A view that reads resident sizes as the search goes on."""

    def __init__(self, every: int) -> None:
        self.every, self.next = every, SETTLED
        self.rows: list[tuple[int, float, dict[int, float]]] = []

    def update(self, state: State) -> None:
        if state.phase == "search" and state.done >= self.next:
            self.next = state.done + (self.every if self.rows else self.every - SETTLED)
            self.rows.append((state.done, megabytes(os.getpid()), {pid: megabytes(pid) for pid in actors()}))
            done, own, sizes = self.rows[-1]
            print(f"{done:>10} {own:>9.1f} " + " ".join(f"{size:>9.1f}" for size in sizes.values()), flush=True)

    def note(self, text: str) -> None:
        print(text, flush=True)

    def close(self) -> None:
        pass


def megabytes(pid: int) -> float:
    return psutil.Process(pid).memory_info().rss / 1e6


def actors() -> list[int]:
    children = psutil.Process().children(recursive=True)
    return sorted(child.pid for child in children if any("_Scorer" in word for word in child.cmdline()[:1]))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--candidates", type=int, default=2000)
    candidates = parser.parse_args().candidates
    meter = Meter(max(candidates // 10, SETTLED + 1))
    print("resident size in MB\ncandidates    driver    actors")
    with tempfile.TemporaryDirectory() as folder:
        driver.begin(config.parse(SEARCH, [f"evaluations={candidates}"]), Path(folder) / "run", view=meter)
    (_, own, sizes), (_, own_end, sizes_end) = meter.rows[0], meter.rows[-1]
    growth = {pid: sizes_end[pid] - size for pid, size in sizes.items() if pid in sizes_end}
    shown = ", ".join(f"{size:.1f}" for size in growth.values())
    print(f"growth: driver {own_end - own:.1f} MB (bound {DRIVER_MB}), actors {shown} MB (bound {ACTOR_MB})")
    return 0 if own_end - own < DRIVER_MB and growth and max(growth.values()) < ACTOR_MB else 1


if __name__ == "__main__":
    sys.exit(main())
