"""A small network trained by `uninas train` against a linear classifier on the same images; a resumed run against a whole.

    python -m benchmarks.cifar10 FOLDER
    python -m benchmarks.cifar10 FOLDER --epochs 10 --arch best.json --write

FOLDER holds train/ and test/ (or val/), a folder of images per class, such as CIFAR-10's. The linear classifier is scikit-learn's
logistic regression on standardised pixels; its penalty is chosen on a tenth of the training images. The network's training is
done twice: once undisturbed, once killed (SIGKILL) in the middle of an epoch and resumed. Another log, or a
margin below 15 points, ends with an error.
"""

from __future__ import annotations

import argparse
import csv
import os
import resource
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import sklearn
import torch
from rich.progress import track
from sklearn.linear_model import LogisticRegression

from benchmarks.by_hand import timm_version
from benchmarks.page import command, publish, setting, table
from downstream.data.images import Folder
from uninas import Architecture, cost, preset
from uninas.files.pictures import read
from uninas.source import load
from uninas.text import to_text

PENALTIES = (1e-4, 1e-3, 1e-2)
BATCH, RATE = 128, 2e-3
MARGIN = 15.0  # points of top-1
TIMES = {"seconds", "pictures_per_second"}


def pixels(data: Path, split: str) -> tuple[np.ndarray, np.ndarray]:
    """Every image of a split as a row of pixels in [0, 1], and its class."""
    folder = Folder.of(data, split)
    files = [(path, place) for place, name in enumerate(folder.classes) for path in sorted((folder.path / name).iterdir())]
    rows = [np.asarray(read(path), np.float32).ravel() / 255 for path, _ in track(files, f"reading {split}")]
    return np.stack(rows), np.array([place for _, place in files])


def linear(data: Path) -> float:
    """Top-1 of logistic regression in percent."""
    (train, classes), (held, answers) = pixels(data, "train"), pixels(data, "val")
    mean, deviation = train.mean(0), train.std(0) + 1e-6
    train, held = (train - mean) / deviation, (held - mean) / deviation
    apart = np.random.default_rng(0).permutation(len(train))
    judge, rest = apart[: len(train) // 10], apart[len(train) // 10 :]

    def fitted(places: np.ndarray, penalty: float) -> LogisticRegression:
        return LogisticRegression(C=penalty, max_iter=200).fit(train[places], classes[places])

    best = max(PENALTIES, key=lambda penalty: fitted(rest, penalty).score(train[judge], classes[judge]))
    return float(100 * fitted(apart, best).score(held, answers))


def uninas(*arguments: str, until: Path | None = None) -> None:
    """Run the command; with `until`, kill it and all it started in the epoch after that file appears."""
    done = subprocess.Popen([sys.executable, "-m", "uninas.cli", "train", *arguments], start_new_session=True)
    if until is None:
        if done.wait():
            raise SystemExit("uninas train failed")
        return
    while done.poll() is None and not until.exists():
        time.sleep(1)
    time.sleep(5)  # well into the next epoch
    if done.poll() is not None:
        raise SystemExit("the training ended before it could be killed: more epochs, please")
    os.killpg(done.pid, signal.SIGKILL)
    done.wait()


def history(run: Path) -> list[dict[str, str]]:
    """The epochs of a training, without what a clock says."""
    with (run / "log.csv").open(encoding="utf-8") as file:
        return [{name: value for name, value in row.items() if name not in TIMES} for row in csv.DictReader(file)]


def spent() -> float:
    """Processor seconds of this process and of those that it waited for."""
    return sum(
        used.ru_utime + used.ru_stime
        for used in (resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN))
    )


def network(given: str | None) -> Architecture:
    """The start of configs/search/demo.yaml, or what is asked for."""
    if given is not None:
        return load(given)
    return preset("coatnet", widths=(32, 64, 96, 128), depths=(1, 1, 2, 1), stem=(8, 16), classes=10, input_size=(32, 32))


def main() -> None:
    """Train, compare, print a page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, metavar="FOLDER")
    parser.add_argument("--arch", help="a preset, a file or a run of a search; default: the start of the demo's search")
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--write", action="store_true", help="keep the page in docs/benchmarks")
    options = parser.parse_args()
    architecture = network(options.arch)
    begun = spent()
    flat = linear(options.data)
    rows = [["logistic regression on pixels", f"{flat:.2f}", "", "", f"{spent() - begun:,.0f}"]]
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        (place / "net.json").write_text(to_text(architecture), encoding="utf-8")
        asked = (
            str(place / "net.json"),
            "--data",
            str(options.data),
            "--size",
            "32",
            "--batch",
            str(BATCH),
            "--lr",
            str(RATE),
            "--epochs",
            str(options.epochs),
            "--drop-path",
            "0",
            "--augment",
            "rand-m5-n1-mstd0.5",
            "--workers",
            "2",
        )
        begun = spent()
        uninas(*asked, "--out", str(place / "whole"))
        used = f"{spent() - begun:,.0f}"
        whole = history(place / "whole")
        uninas(*asked, "--out", str(place / "broken"), until=place / "broken" / "log.csv")
        kept = len(history(place / "broken"))
        uninas("--resume", str(place / "broken"), "--data", str(options.data), "--workers", "2")
        same = history(place / "broken") == whole
    figures = cost(architecture, (32, 32), 10)
    name = "coatnet, small widths" if options.arch is None else Path(options.arch).stem
    best = max(float(row["top1"]) for row in whole)
    rows.append([f"{name}, {options.epochs} epochs", f"{best:.2f}", f"{figures.params:,}", f"{figures.macs:,}", used])
    verdict = "the same, digit by digit" if same else "ANOTHER ONE"
    epochs = [[row["epoch"], *(f"{float(row[key]):.3f}" for key in ("train_loss", "val_loss", "top1"))] for row in whole]
    lines = [
        "# A small network on CIFAR-10",
        "",
        "Top-1 on the test images, at 32 x 32 pixels. Both learn from the same training images on the same cores.",
        "",
        table(["classifier", "top-1, %", "params", "MACs", "CPU-seconds"], rows),
        "",
        table(["epoch", "loss in training", "loss", "top-1, %"], epochs),
        "",
        f"The same training killed (SIGKILL) after epoch {kept} and resumed: its log is {verdict}.",
        "",
        setting(torch=torch.__version__, timm=timm_version, **{"scikit-learn": sklearn.__version__}),
        "",
        f"    {command().replace(str(options.data), 'FOLDER')}",
    ]
    publish("\n".join(lines), "cifar10", write=options.write)
    if not same or best < flat + MARGIN:
        raise SystemExit(f"expected the same log after a resume, and {MARGIN} points more than the linear classifier")


if __name__ == "__main__":
    main()
