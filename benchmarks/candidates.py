"""How many candidates a second one core makes: edit, validate, canonical form, cost and digest of CoAtNet-sized networks.

    python -m benchmarks.candidates
    python -m benchmarks.candidates --steps 2000 --seeds 1 --profile

One walk from CoAtNet at 224 pixels; every step is drawn, applied and judged, accepted steps move the walk. Rejections count as
steps, budget rejections included. Each seed runs in a fresh process, so that nothing is cached at its start. The time is CPU time
of that process, so that a busy machine does not change it much; wall time is printed beside it.
"""

from __future__ import annotations

import argparse
import cProfile
import io
import json
import pstats
import random
import subprocess
import sys
import time
from collections import Counter

from benchmarks.page import command, publish, setting, table
from uninas import Rejection, cost, mutate, preset

PARAMS, MACS = 30_000_000, 5_000_000_000


def walk(seed: int, steps: int) -> dict[str, object]:
    """One walk: seconds of CPU and wall time, outcomes by name, distinct digests, and the cost of the last network."""
    rng = random.Random(seed)
    network = preset("coatnet")
    outcomes: Counter[str] = Counter()
    digests = set()
    cpu, wall = time.process_time(), time.perf_counter()
    for _ in range(steps):
        made = mutate(network, rng)
        if isinstance(made, Rejection):
            outcomes[made.reason] += 1
            continue
        child, _ = made
        figures = cost(child)
        if figures.params > PARAMS or figures.macs > MACS:
            outcomes["over budget"] += 1
            continue
        digests.add(child.digest)
        outcomes["accepted"] += 1
        network = child
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    figures = cost(network)
    return {
        "seed": seed,
        "cpu": cpu,
        "wall": wall,
        "outcomes": dict(outcomes),
        "distinct": len(digests),
        "params": figures.params,
        "macs": figures.macs,
    }


def profile(seed: int, steps: int) -> str:
    """The functions that take the time."""
    profiler = cProfile.Profile()
    profiler.runcall(walk, seed, steps)
    stream = io.StringIO()
    pstats.Stats(profiler, stream=stream).strip_dirs().sort_stats("tottime").print_stats(20)
    return stream.getvalue()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=10_000, help="consecutive steps of each walk (default 10000)")
    parser.add_argument("--seeds", type=int, default=5, help="number of walks (default 5)")
    parser.add_argument("--profile", action="store_true", help="also print the functions that take the time")
    parser.add_argument("--write", action="store_true", help="keep the page as docs/benchmarks/candidates.md")
    parser.add_argument("--one", type=int, help=argparse.SUPPRESS)  # one walk in this process, as JSON
    options = parser.parse_args()
    if options.one is not None:
        print(json.dumps(walk(options.one, options.steps)))
        return
    walks = []
    for seed in range(options.seeds):
        again = [sys.executable, "-m", "benchmarks.candidates", "--steps", str(options.steps), "--one", str(seed)]
        walks.append(json.loads(subprocess.run(again, check=True, capture_output=True, encoding="utf-8").stdout))
    reasons = ["accepted", "over budget", *sorted({r for w in walks for r in w["outcomes"]} - {"accepted", "over budget"})]
    head = [
        "seed",
        "steps per CPU second",
        "per wall second",
        *(r.replace("_", " ") for r in reasons),
        "distinct digests",
        "params at the end",
        "MACs at the end",
    ]
    rows = []
    for w in walks:
        counts = [f"{w['outcomes'].get(reason, 0):,}" for reason in reasons]
        speeds = [f"{options.steps / w[clock]:,.0f}" for clock in ("cpu", "wall")]
        end = [f"{w['distinct']:,}", f"{w['params'] / 1e6:.1f} M", f"{w['macs'] / 1e9:.2f} G"]
        rows.append([str(w["seed"]), *speeds, *counts, *end])
    slowest = min(options.steps / w["cpu"] for w in walks)
    text = "\n".join(
        [
            "# Candidates per second",
            "",
            f"{options.steps:,} consecutive steps of one walk from CoAtNet at 224 pixels, within {PARAMS / 1e6:.0f} M parameters "
            f"and {MACS / 1e9:.0f} G MACs: edit, validation, canonical form, cost, digest. Rejections are steps; each seed is a",
            "fresh process.",
            "",
            table(head, rows),
            "",
            f"Slowest walk: {slowest:,.0f} steps per second of one core; the aim is 1,000.",
            "",
            setting(),
            "",
            f"    {command()}",
        ]
    )
    publish(text, "candidates", write=options.write)
    if options.profile:
        print(profile(0, options.steps))


if __name__ == "__main__":
    main()
