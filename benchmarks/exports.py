"""Exported programs against the networks that they were made of: every preset, and random candidates.

    python -m benchmarks.exports
    python -m benchmarks.exports --candidates 5 --formats onnx

Candidates are ends of random walks of the search's edits, from presets at small widths and 64 pixels; the presets have their full
size. Weights are random, norms and tables not at their start. The program runs in a process that can import none of our code, at
batches 1 and 7; the difference is the largest of a logit, in parts of the largest logit.
"""

from __future__ import annotations

import argparse
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from rich.progress import track

from benchmarks.page import command, publish, setting, table
from downstream.export import export
from downstream.subject import subject_of
from downstream.weights import weight_files
from uninas import Architecture, Rejection, mutate, preset
from uninas.text import to_text

PRESETS = ("resnet", "efficientnet", "vit", "coatnet")
AIM = 1e-4
BATCHES = (1, 7)


def candidates(count: int, steps: int, seed: int) -> Iterator[tuple[str, Architecture]]:
    """Ends of random walks, from the presets in turn."""
    for number in range(count):
        rng = random.Random(f"{seed} {number}")
        name = PRESETS[number % len(PRESETS)]
        found = preset(name, widths=(32, 64, 64, 96), depths=(1, 1, 2, 1), classes=7, input_size=(64, 64))
        made = 0
        while made < steps:
            edited = mutate(found, rng, None)
            if not isinstance(edited, Rejection):
                found, made = edited[0], made + 1
        yield f"candidate {number}, from {name}", found


def apart(architecture: Architecture, to: str, folder: Path) -> float:
    """Export, run elsewhere, compare."""
    (folder / "a.json").write_text(to_text(architecture), encoding="utf-8")
    subject = subject_of(str(folder / "a.json"))
    model = subject.model()
    stream = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() == 1 or float(parameter.abs().max()) < 0.2:  # norms, biases, tables
                parameter.add_(0.2 * torch.randn(parameter.shape, generator=stream))
    weight_files.save(model.state_dict(), folder / "w.safetensors")
    export(replace(subject, weights=folder / "w.safetensors"), to, folder / "out")
    for batch in BATCHES:
        np.save(folder / f"in{batch}.npy", torch.randn(batch, 3, *subject.size, generator=stream).numpy())
    done = subprocess.run([sys.executable, str(Path(__file__).with_name("alone.py")), str(folder), to], check=False)
    if done.returncode:
        raise SystemExit(f"{to}: the program did not run")
    worst = 0.0
    for batch in BATCHES:
        with torch.no_grad():
            expected = model(torch.from_numpy(np.load(folder / f"in{batch}.npy")))
        got = torch.from_numpy(np.load(folder / f"got{batch}.npy"))
        worst = max(worst, float((got - expected).abs().max() / expected.abs().max()))
    return worst


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--candidates", type=int, default=50, help="random candidates (default 50)")
    parser.add_argument("--steps", type=int, default=100, help="edits of each walk (default 100)")
    parser.add_argument("--seed", type=int, default=0, help="of the walks (default 0)")
    parser.add_argument("--formats", nargs="+", choices=["torch", "onnx"], default=["torch", "onnx"], help="default: both")
    parser.add_argument("--write", action="store_true", help="keep the page as docs/benchmarks/exports.md")
    options = parser.parse_args()
    networks = [(name, preset(name)) for name in PRESETS] + list(candidates(options.candidates, options.steps, options.seed))
    worst: dict[tuple[str, str], list[float]] = {}
    clock = time.perf_counter()
    for name, architecture in track(networks, description="exporting", transient=True):
        for to in options.formats:
            folder = Path(tempfile.mkdtemp())
            try:
                worst.setdefault((name if name in PRESETS else "candidates", to), []).append(apart(architecture, to, folder))
            finally:
                shutil.rmtree(folder)
    rows = [
        [name, to, str(len(found)), f"{max(found):.1e}", "yes" if max(found) <= AIM else "**no**"]
        for (name, to), found in worst.items()
    ]
    lines = [
        "# Exported programs are the network",
        "",
        "Largest difference of a logit from the module's, in parts of the largest, at batches 1 and 7, in a process that can",
        f"import none of our code; presets at 224 pixels, {options.candidates} random candidates ({options.steps} edits, seed",
        f"{options.seed}) at 64. The aim is at most {AIM:g}.",
        "",
        table(["network", "format", "networks", "largest difference", "held"], rows),
        "",
        f"{setting(torch=torch.__version__)} {time.perf_counter() - clock:,.0f} s.",
        "",
        f"    {command()}",
    ]
    publish("\n".join(lines), "exports", write=options.write)
    if any(max(found) > AIM for found in worst.values()):
        raise SystemExit(1)


if __name__ == "__main__":
    main()
