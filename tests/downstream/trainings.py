"""Small trainings of a classifier, for the tests that need one."""

from __future__ import annotations

import csv
import dataclasses
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from downstream.train.settings import Settings
from tests.downstream import pictures
from tests.uninas.examples import tiny
from uninas.text import to_document

ROOT = Path(__file__).resolve().parents[2]
TIMES = {"seconds", "pictures_per_second"}
MIXED = {"mixup": 0.2, "smoothing": 0.1, "erase": 0.5, "augment": "original", "norm_momentum": 0.01}


def settings(**changes: Any) -> Settings:
    made = Settings(
        arch=to_document(tiny("ET", (32, 32))),
        classes=pictures.CLASSES,
        size=(32, 32),
        batch=8,
        processes=1,
        epochs=3,
        warmup_epochs=0,
        optimiser="adamw",
        weight_decay=0.05,
        schedule="cosine",
        lr=2e-3,
        warmup_lr=1e-6,
        min_lr=1e-5,
        augment="rand-m15-n2-mstd0.5",
        clip=1.0,
        drop_path=0.1,
    )
    return dataclasses.replace(made, **changes)


def rows_of(run: Path) -> list[dict[str, str]]:
    with (run / "log.csv").open() as file:
        return [{name: value for name, value in row.items() if name not in TIMES} for row in csv.DictReader(file)]


def torchrun(*words: str | Path, logs: Path | None = None, **environment: str) -> subprocess.CompletedProcess[str]:
    """Start a script, or -m and a module, with its arguments in two processes."""
    launcher = ["-m", "torch.distributed.run", "--nproc-per-node", "2"]
    launcher += ["--rdzv-backend", "c10d", "--rdzv-endpoint", "127.0.0.1:0"]
    kept = [] if logs is None else ["--log-dir", str(logs), "--redirects", "3"]
    return subprocess.run(
        [sys.executable, *launcher, *kept, *map(str, words)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT), **environment},
        start_new_session=True,
    )
