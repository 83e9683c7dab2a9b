"""Memory of a long search: how much the driver and an actor grow over 2,000 real candidates.

    python -m benchmarks.search_memory [--candidates 2000] [--write]

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

from benchmarks.page import command, publish, setting, table
from search.config import loading
from search.engine import driver
from search.monitor.progress import State

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
            print(f"{state.done} candidates", flush=True)

    def note(self, text: str) -> None:
        print(text, flush=True)

    def close(self) -> None:
        pass


def megabytes(pid: int) -> float:
    return psutil.Process(pid).memory_info().rss / 1e6


def actors() -> list[int]:
    children = psutil.Process().children(recursive=True)
    return sorted(child.pid for child in children if any("Scorer" in word for word in child.cmdline()[:1]))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--candidates", type=int, default=2000)
    parser.add_argument("--write", action="store_true", help="keep the page in docs/benchmarks")
    options = parser.parse_args()
    meter = Meter(max(options.candidates // 10, SETTLED + 1))
    with tempfile.TemporaryDirectory() as folder:
        run = loading.parse(SEARCH, [f"evaluations={options.candidates}"])
        environment = driver.begin(run, Path(folder) / "run", view=meter)["sessions"][-1]["environment"]
    publish(page(meter, options.candidates, environment), "search_memory", write=options.write)
    own, actors_growth = growth(meter)
    return 0 if own < DRIVER_MB and actors_growth and max(actors_growth) < ACTOR_MB else 1


def growth(meter: Meter) -> tuple[float, list[float]]:
    """Megabytes that the driver, and each actor that lived all along, grew by."""
    (_, own, sizes), (_, own_end, sizes_end) = meter.rows[0], meter.rows[-1]
    return own_end - own, [sizes_end[pid] - size for pid, size in sizes.items() if pid in sizes_end]


def page(meter: Meter, candidates: int, environment: dict[str, str]) -> str:
    own, actors_growth = growth(meter)
    rows = [[f"{done:,}", f"{size:.1f}", *(f"{s:.1f}" for s in sizes.values())] for done, size, sizes in meter.rows]
    head = ["candidates", "driver, MB", *(f"actor {n + 1}, MB" for n in range(len(meter.rows[0][2])))]
    shown = " and ".join(f"{size:.1f}" for size in actors_growth)
    return "\n".join(
        [
            "# Memory of a long search",
            "",
            f"Resident size over {candidates:,} real candidates, evolution by VKDNW_agg at 32 pixels, two Ray actors.",
            f"From the first to the last row the driver grew by {own:.1f} MB (bound {DRIVER_MB}),",
            f"the actors by {shown} MB (bound {ACTOR_MB}).",
            "",
            table(head, rows),
            "",
            setting(torch=environment["torch"], ray=environment["ray"]),
            "",
            f"    {command()}",
        ]
    )


if __name__ == "__main__":
    sys.exit(main())
