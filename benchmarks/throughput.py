"""Our compiled ResNet and CoAtNet beside the same networks written by hand from timm's blocks: inference and training steps.

    python -m benchmarks.throughput
    python -m benchmarks.throughput --networks coatnet --batch 4 --rounds 30
    python -m benchmarks.throughput --device cuda --batch 64

Both have the same weights, and the outputs and gradients are compared before anything is timed. Then they take turns (A B B A)
in one process. On a CPU the time is CPU time of the process, with one thread; on a GPU it is wall time around a synchronisation.
The ratio is the median over rounds of theirs / ours: of images/s, so more is better, and at least 0.95 is the aim.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import torch
from torch import Tensor, nn

from benchmarks.by_hand import BLOCKS, by_hand, timm_version
from benchmarks.page import command, publish, setting, table
from uninas import canonicalise, cost, preset

AIM = 0.95


class Runner:
    """A network that is timed."""

    def __init__(self, module: nn.Module, *, training: bool) -> None:
        self.module = module.train(training)
        self.optimiser = torch.optim.SGD(module.parameters(), lr=1e-4, momentum=0.9) if training else None
        self.seconds: list[float] = []

    def step(self, images: Tensor, labels: Tensor, clock: Callable[[], float]) -> None:
        """One timed step: forward, and in training loss, backward and the optimiser."""
        started = clock()
        if self.optimiser is None:
            with torch.inference_mode():
                self.module(images)
        else:
            self.optimiser.zero_grad(set_to_none=True)
            nn.functional.cross_entropy(self.module(images), labels).backward()
            self.optimiser.step()
        self.seconds.append(clock() - started)


def clock_of(device: str) -> Callable[[], float]:
    if not device.startswith("cuda"):
        return time.process_time

    def clock() -> float:
        torch.cuda.synchronize()
        return time.perf_counter()

    return clock


def measure(networks: list[nn.Module], training: bool, options: argparse.Namespace) -> tuple[list[list[float]], float]:
    """Seconds of each network, and the median ratio theirs / ours."""
    runners = [Runner(network, training=training) for network in networks]
    images = torch.randn(options.batch, 3, options.size, options.size, device=options.device)
    labels = torch.randint(1000, (options.batch,), device=options.device)
    clock = clock_of(options.device)
    for number in range(options.rounds + 2):
        for runner in runners if number % 2 else reversed(runners):
            runner.step(images, labels, clock)
    seconds = [runner.seconds[2:] for runner in runners]  # the first steps find out about memory and kernels
    return seconds, statistics.median(b / a for a, b in zip(*seconds, strict=True))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--networks", nargs="+", choices=list(BLOCKS), default=list(BLOCKS), help="presets (default: both)")
    parser.add_argument("--batch", type=int, default=4, help="images a step (default 4)")
    parser.add_argument("--size", type=int, default=224, help="side of the images in pixels, a multiple of 32 (default 224)")
    parser.add_argument("--rounds", type=int, default=15, help="timed steps of each network (default 15)")
    parser.add_argument("--device", default="cpu", help="of torch (default cpu)")
    parser.add_argument("--write", action="store_true", help="keep the page as docs/benchmarks/throughput.md")
    options = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    rows = []
    apart = 0.0
    for name in options.networks:
        architecture = canonicalise(preset(name, input_size=(options.size, options.size)))
        ours, theirs, logits, gradients = by_hand(name, architecture, options.size)
        params = [sum(p.numel() for p in network.parameters()) for network in (ours, theirs)]
        if params != [cost(architecture).params] * 2 or max(logits, gradients) > 1e-8:
            raise SystemExit(f"{name}: the two networks differ: {params} parameters, logits by {logits:.1e}")
        apart = max(apart, logits, gradients)
        networks = [ours.to(options.device), theirs.to(options.device)]
        for mode, training in (("inference", False), ("training step", True)):
            seconds, ratio = measure(networks, training, options)
            rates = [f"{options.batch / statistics.median(one):,.2f}" for one in seconds]
            rows.append([f"{name}, {mode}", *rates, f"{ratio:.3f}"])
    where = torch.cuda.get_device_name() if options.device.startswith("cuda") else "one CPU thread, by CPU time"
    lines = [
        "# Throughput beside timm's blocks",
        "",
        f"Pictures a second at {options.size} pixels, batch {options.batch}, float32, on {where}. A training step",
        f"is forward, loss, backward and SGD. {options.rounds} steps of each, in turns. With equal weights, in float64,",
        f"logits and input gradients differ by at most {apart:.0e} of the largest. The ratio is ours / by hand, median of",
        f"rounds; the aim is at least {AIM}.",
        "",
        table(["network", "ours, compiled", "by hand", "ratio"], rows),
        "",
        setting(torch=torch.__version__, timm=timm_version),
        "",
        f"    {command()}",
    ]
    publish("\n".join(lines), "throughput", write=options.write)


if __name__ == "__main__":
    main()
