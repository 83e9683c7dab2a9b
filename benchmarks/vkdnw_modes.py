"""VKDNW's Jacobian in reverse and in forward mode: processor seconds and memory.

    python -m benchmarks.vkdnw_modes [--write]

Every variant runs in a process of its own with one torch thread, so that its peak memory is its own. Processor seconds are
user and system time of the scoring alone; extra memory is the process's peak resident size minus its resident size just
before scoring. The variants of one setting run in turns, on the same weights and the same batch, and the quickest run of each
counts: a busy machine slows all of them, seldom all rounds alike.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call, jacrev, vmap

from benchmarks.page import command, publish, table
from benchmarks.page import setting as measured_on
from proxies import fisher_spectrum, prepared, scoring_layers
from proxies.measuring.state import scoring
from proxies.vkdnw.reverse import Tape
from proxies.vkdnw.spectrum import FactorStack, fisher_factor, probabilities
from proxies.vkdnw.survey import survey
from proxies.vkdnw.weights import choose_weights

TIMED_CLASSES = 20
NOT_CHOSEN = "the mode not chosen"


class Edge(nn.Sequential):
    """ReLU, 3x3 convolution without bias, batch normalisation: NAS-Bench-201's ``nor_conv_3x3``."""

    def __init__(self, inner: int, outer: int, stride: int = 1) -> None:
        super().__init__(nn.ReLU(), nn.Conv2d(inner, outer, 3, stride, 1, bias=False), nn.BatchNorm2d(outer))


class Cell(nn.Module):
    """Four nodes, an edge from each node to each later one, sums at the nodes."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.edges = nn.ModuleList([Edge(width, width) for _ in range(6)])

    def forward(self, first: Tensor) -> Tensor:
        second = self.edges[0](first)
        third = self.edges[1](first) + self.edges[2](second)
        return self.edges[3](first) + self.edges[4](second) + self.edges[5](third)


class Reduction(nn.Module):
    """The residual block of stride 2 between two stages."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first, self.second = Edge(width, 2 * width, 2), Edge(2 * width, 2 * width)
        self.shortcut = nn.Sequential(nn.AvgPool2d(2, 2), nn.Conv2d(width, 2 * width, 1, bias=False))

    def forward(self, x: Tensor) -> Tensor:
        return self.shortcut(x) + self.second(self.first(x))


class TinyNetwork(nn.Module):
    """NAS-Bench-201's network with every edge a 3x3 convolution: C = 16, N = 5."""

    def __init__(self, classes: int = 10, width: int = 16, cells: int = 5) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, width, 3, padding=1, bias=False), nn.BatchNorm2d(width))
        stages: list[nn.Module] = []
        for stage in range(3):
            stages += [Reduction(width << (stage - 1))] if stage else []
            stages += [Cell(width << stage) for _ in range(cells)]
        self.cells = nn.Sequential(*stages)
        self.last = nn.Sequential(nn.BatchNorm2d(4 * width), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten())
        self.classifier = nn.Linear(4 * width, classes)

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier(self.last(self.cells(self.stem(x))))


def resnet50() -> nn.Module:
    from uninas.runtime.torchvision_repair import repair

    repair()
    import timm

    return timm.create_model("resnet50", num_classes=1000)


# The mode taken, the eigenvalues where the variant has them, and the seconds of what is timed in part and scaled.
Result = tuple[str, list[float], float]


def by_jacrev(module: nn.Module, inputs: Tensor) -> Result:
    """The reference's way: vmap over samples of jacrev of the logits by the chosen weights."""
    chosen = [(f"{name}.weight", layer.weight) for name, layer in scoring_layers(module, inputs)][:128]
    with scoring(module, train=False):

        def logits(theta: Tensor, sample: Tensor) -> tuple[Tensor, Tensor]:
            replaced = {
                name: torch.cat([theta[place : place + 1], weight.detach().flatten()[1:]]).view_as(weight)
                for place, (name, weight) in enumerate(chosen)
            }
            output = functional_call(module, replaced, (sample.unsqueeze(0),))[0]
            return output, output.detach()

        theta = torch.stack([weight.detach().flatten()[0] for _, weight in chosen])
        jacobian, output = vmap(jacrev(logits, has_aux=True), in_dims=(None, 0))(theta, inputs)
    stack = FactorStack(len(chosen))
    stack.add(fisher_factor(probabilities(output, 0.05), jacobian.double()))
    return "", stack.eigenvalues().tolist(), 0.0


def by_mode(**options: object) -> Callable[[nn.Module, Tensor], Result]:
    def score(module: nn.Module, inputs: Tensor) -> Result:
        spectrum = fisher_spectrum(module, inputs, **options)  # type: ignore[arg-type]
        return spectrum.mode, list(spectrum.eigenvalues), 0.0

    return score


def class_by_class(module: nn.Module, inputs: Tensor) -> Result:
    """A backward pass to the chosen weights for each class: torch's gradient of the class's logit summed over the batch."""
    chosen = [layer.weight for _, layer in scoring_layers(module, inputs)][:128]
    with scoring(module, train=False), torch.enable_grad():
        for weight in chosen:
            weight.requires_grad_(True)
        output = module(inputs)
        start = time.process_time()
        for place in range(TIMED_CLASSES):
            torch.autograd.grad(output[:, place].sum(), chosen, retain_graph=True)
    return "", [], time.process_time() - start


def class_by_class_hooks(module: nn.Module, inputs: Tensor) -> Result:
    """The same with the hooks of our reverse mode: gradients of activations only, and entries per sample."""
    chosen = choose_weights(scoring_layers(module, inputs), 128)
    with scoring(module, train=False):
        tape = Tape.record(module, chosen, survey(module, chosen, inputs), inputs)
        start = time.process_time()
        tape.rows(torch.eye(tape.logits.shape[1])[:TIMED_CLASSES])
    return "", [], time.process_time() - start


# setting -> (network, input shape, batch, {variant: (function, scale)}); scale: all passes / timed passes
SETTINGS: dict[str, tuple[Callable[[], nn.Module], tuple[int, int, int], int, dict[str, tuple[Callable, float]]]] = {
    "NAS-Bench-201 network, all edges 3x3 convolutions, 10 classes, 32 px, batch 64": (
        TinyNetwork,
        (3, 32, 32),
        64,
        {
            "vmap(jacrev)": (by_jacrev, 1.0),
            NOT_CHOSEN: (by_mode(mode="forward"), 1.0),
            "auto": (by_mode(), 1.0),
        },
    ),
    "ResNet-50, 1000 classes, 224 px, batch 8": (
        resnet50,
        (3, 224, 224),
        8,
        {
            f"class by class, weight gradients ({TIMED_CLASSES} classes, scaled)": (class_by_class, 1000 / TIMED_CLASSES),
            f"class by class, reverse mode's hooks ({TIMED_CLASSES} classes, scaled)": (
                class_by_class_hooks,
                1000 / TIMED_CLASSES,
            ),
            "auto": (by_mode(), 1.0),
        },
    ),
}


def resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * resource.getpagesize()


def peak_bytes() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def measure(setting: str, variant: str) -> dict[str, object]:
    torch.set_num_threads(1)
    network, shape, batch, variants = SETTINGS[setting]
    function, scale = variants[variant]
    module = network()
    with prepared(module, input_shape=shape, batch=batch, seed=0) as inputs:
        # One small scoring first, so that libraries loaded on first use are not counted.
        if function is not class_by_class:
            fisher_spectrum(TinyNetwork(cells=1), torch.randn(2, 3, 8, 8), mode="forward")
            fisher_spectrum(TinyNetwork(cells=1), torch.randn(2, 3, 8, 8), mode="reverse")
        before, start, wall = resident_bytes(), time.process_time(), time.perf_counter()
        mode, values, part = function(module, inputs)
        seconds, elapsed = time.process_time() - start, time.perf_counter() - wall
    return {
        "seconds": seconds - part + part * scale,
        "measured": seconds,
        "wall": elapsed,
        "memory": peak_bytes() - before,
        "mode": mode,
        "eigenvalues": values,
    }


def section(setting: str, rows: dict[str, dict[str, Any]]) -> list[str]:
    """A setting's heading and table; shares are of the cheapest baseline's seconds and of the first row's memory."""
    first = next(iter(rows.values()))
    cheapest = min(row["seconds"] for name, row in rows.items() if "scaled" in name or "jacrev" in name)
    reference = next((row["eigenvalues"] for row in rows.values() if row["eigenvalues"]), None)
    lines = []
    for name, row in rows.items():
        difference = "-"
        if row["eigenvalues"] and reference:
            pairs = zip(row["eigenvalues"], reference, strict=True)
            difference = f"{max(abs(a - b) for a, b in pairs) / max(reference):.1e}"
        way = f"{name}, {row['mode']}" if row["mode"] else name
        seconds, memory = row["seconds"], row["memory"]
        shares = [f"{seconds:.1f}", f"{seconds / cheapest:.3f}", f"{memory / 1e6:.0f}", f"{memory / first['memory']:.3f}"]
        lines.append([way, *shares, difference])
    head = ["way", "CPU-seconds", "of the cheapest baseline", "extra memory, MB", "of the first row", "difference of eigenvalues"]
    return [f"## {setting}", "", table(head, lines), ""]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", action="store_true", help="keep the page in docs/benchmarks")
    parser.add_argument("--turns", type=int, default=2, help="rounds through the variants; the quickest of each counts")
    parser.add_argument("--only", default="", help="settings whose name contains this")
    parser.add_argument("--one", nargs=2, metavar=("SETTING", "VARIANT"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        print(json.dumps(measure(*arguments.one)))
        return
    lines = [
        "# VKDNW's Jacobian in reverse and forward mode",
        "",
        "One thread, float32. The first rows are the baselines. Differences of eigenvalues are relative to the largest and",
        f"between float32 computations. Of {arguments.turns} turns the quickest counts.",
        "",
    ]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    for setting, (_, _, _, variants) in SETTINGS.items():
        if arguments.only not in setting:
            continue
        rows: dict[str, dict[str, Any]] = {}
        for turn in range(arguments.turns):
            for variant in variants:
                if turn and variant == NOT_CHOSEN:
                    continue  # it is there to show why it is not chosen
                process = [sys.executable, "-m", "benchmarks.vkdnw_modes", "--one", setting, variant]
                answer = subprocess.run(process, env=environment, stdout=subprocess.PIPE, check=True, encoding="utf-8").stdout
                row = json.loads(answer.splitlines()[-1])
                print(f"{setting}: {variant}: {row['measured']:.1f} s measured", file=sys.stderr)
                if variant not in rows or row["seconds"] < rows[variant]["seconds"]:
                    rows[variant] = row
        lines += section(setting, rows)
    lines += [measured_on(torch=torch.__version__), "", f"    {command()}"]
    publish("\n".join(lines), "vkdnw_modes", write=arguments.write)


if __name__ == "__main__":
    main()
