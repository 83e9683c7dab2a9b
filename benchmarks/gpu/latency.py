"""How long a network takes for a pass, as a search measures it: the median, its spread, and whether it comes again."""

from __future__ import annotations

import statistics

import proxies
import uninas
from benchmarks.gpu.networks import small
from benchmarks.gpu.steps import Bench
from search.workers import evaluate

__all__ = ["latency"]

AGAIN = 0.1  # of the larger of two medians, by which they may differ


def latency(bench: Bench) -> None:
    """Time presets, one image and a batch, in float32 (TF32 off) and bfloat16."""
    evaluate.prepare(bench.device)
    for name in ("resnet", "coatnet"):
        architecture = small(name) if bench.toy else uninas.canonicalise(uninas.preset(name))
        module = uninas.build(architecture)
        for batch in (1, 2 if bench.toy else 64):
            for precision in ("float32", "bfloat16"):
                what = f"{name}, batch {batch}, {precision}"
                with bench.part(what):
                    rounds = [
                        proxies.inference_seconds(
                            module,
                            input_shape=(3, *architecture.input_size),
                            batch=batch,
                            runs=3 if bench.toy else 30,
                            precision=precision,
                            device=bench.device,
                        )
                        for _ in range(2)
                    ]
                    medians = [statistics.median(seconds) for seconds in rounds]
                    differ = abs(medians[0] - medians[1]) / max(medians)
                    first, _, third = statistics.quantiles(rounds[1], n=4)
                    bench.row(
                        what,
                        ok=differ <= AGAIN if bench.gpu and not bench.toy else None,
                        milliseconds=1e3 * medians[1],
                        quartiles=[1e3 * first, 1e3 * third],
                        medians_differ=differ,
                    )
