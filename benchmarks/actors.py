"""Candidates a second of two actors against one: the same random search, in turn, on real candidates of a second and more.

    python -m benchmarks.actors [--candidates 40] [--rounds 3] [--write]

Each round runs one actor and two; the figure is the median of the rounds' ratios. A ratio of 2 needs two cores that do nothing
else. Rates are counted from the tenth part of a search on, when every actor is warm.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path

from benchmarks.page import command, publish, setting, table
from search.config import loading
from search.engine import driver
from search.journal import journal
from search.monitor.progress import State

SEARCH = """
space: {preset: coatnet, widths: [32, 64, 96, 128], depths: [1, 1, 2, 1], stem: [8, 16]}
algorithm: random
window: 16
size: 96
classes: 10
batch: 48
budget: {params: 2000000, macs: 60000000, layers: 60, attention_tokens: 256}
finalists: {count: 1, seeds: 1}
pool: {kind: ray}
"""


class Clock:
    """A view that notes when how many candidates were done."""

    def __init__(self) -> None:
        self.seen: list[tuple[int, float]] = []

    def update(self, state: State) -> None:
        if state.phase == "search" and (not self.seen or state.done > self.seen[-1][0]):
            self.seen.append((state.done, time.monotonic()))

    def note(self, text: str) -> None:
        pass

    def close(self) -> None:
        pass

    def rate(self, total: int) -> float:
        """Candidates a second between a tenth of the search and its end."""
        begin = next(point for point in self.seen if point[0] >= max(1, total // 10))
        end = self.seen[-1]
        return (end[0] - begin[0]) / (end[1] - begin[1])


def measure(actors: int, candidates: int) -> tuple[float, float, dict[str, str]]:
    """Candidates a second, the median seconds of one, and what it ran on."""
    clock = Clock()
    with tempfile.TemporaryDirectory() as folder:
        run = loading.parse(SEARCH, [f"evaluations={candidates}", f"pool.workers={actors}"])
        made = driver.begin(run, Path(folder) / "run", view=clock)
        records = journal.read(Path(folder) / "run" / "journal.jsonl")
        seconds = [sum(record["seconds"].values()) for record in records if record["kind"] == "candidate"]
    return clock.rate(candidates), statistics.median(seconds), made["sessions"][-1]["environment"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--candidates", type=int, default=40)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--write", action="store_true", help="keep the page in docs/benchmarks")
    options = parser.parse_args()
    rows, ratios, environment = [], [], {}
    for number in range(options.rounds):
        (one, seconds, environment), (two, seconds_two, _) = (measure(actors, options.candidates) for actors in (1, 2))
        ratios.append(two / one)
        rows.append([f"{number + 1}", f"{one:.3f}", f"{two:.3f}", f"{two / one:.3f}", f"{seconds:.2f}", f"{seconds_two:.2f}"])
        print(f"round {number + 1}: {two / one:.3f} times", flush=True)
    head = ["round", "one actor, candidates/s", "two actors", "ratio", "seconds a candidate, one", "two"]
    text = [
        "# Two actors against one",
        "",
        f"A random search of {options.candidates} candidates at 96 pixels, batch 48, VKDNW_agg, by one actor and by two in turn.",
        f"Two score {statistics.median(ratios):.3f} times as many candidates a second as one (median of {options.rounds}).",
        "",
        table(head, rows),
        "",
        setting(torch=environment["torch"], ray=environment["ray"]),
        "",
        f"    {command()}",
    ]
    publish("\n".join(text), "actors", write=options.write)


if __name__ == "__main__":
    main()
