"""Small detectors and segmenters, for the tests that need one."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

from downstream.train.history import read_history
from downstream.train.settings import OpenMMLabSettings
from tests.uninas.examples import small
from uninas.text import to_document

TASKS = ("detect", "segment")
SIZES = {"detect": (96, 128), "segment": (64, 64)}


def settings(task: str, **changes: Any) -> OpenMMLabSettings:
    made = OpenMMLabSettings(
        task=task,
        arch=to_document(small("coatnet")),
        size=SIZES[task],
        batch=2,
        processes=1,
        epochs=2,
        every=1,
        drop_path=0.1,
    )
    return dataclasses.replace(made, **changes)


def rows_of(run: Path) -> list[dict[str, float]]:
    return [{name: row[name] for name in row if name not in ("seconds", "pictures_per_second")} for row in read_history(run)]
