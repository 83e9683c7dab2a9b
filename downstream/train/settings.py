"""What a classification training was asked for: kept in RUN/settings.json, read again by a resume."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from uninas.errors import InputError
from uninas.files import write_json

__all__ = ["Settings", "read"]

FILE = "settings.json"
FORMAT, VERSION = "uninas-training", 1


@dataclass(frozen=True)
class Settings:
    """One training.

    Attributes:
        arch: the document of the architecture.
        classes: names, in the order of the classifier's outputs.
        size: (H, W) of training and evaluation.
        batch: of one process.
        processes: GPUs, or processes on CPUs.
        epochs, warmup_epochs, optimiser, weight_decay, schedule, augment, clip, drop_path: see `Protocol`.
        lr, warmup_lr, min_lr: for the whole batch.
        ema: decay of the averaged weights; 0 for none.
        precision: "float32", "bfloat16" or "float16" of the forward pass.
        seed: of initial weights, order, augmentation, dropout.
        smoothing: of the labels.
        teacher: a model of timm that teaches, or None; `teacher_weights` a file for it.
        distil: weight of the teacher's part of the loss, the rest is the labels'.
        temperature: of the teacher's answers.
        weights: file that the training began from, or None.
    """

    arch: Mapping[str, Any]
    classes: tuple[str, ...]
    size: tuple[int, int]
    batch: int
    processes: int
    epochs: int
    warmup_epochs: int
    optimiser: str
    weight_decay: float
    schedule: str
    lr: float
    warmup_lr: float
    min_lr: float
    augment: str
    clip: float | None
    drop_path: float
    ema: float = 0.0
    precision: str = "float32"
    seed: int = 0
    smoothing: float = 0.0
    teacher: str | None = None
    teacher_weights: str | None = None
    distil: float = 0.5
    temperature: float = 1.0
    weights: str | None = None

    def write(self, folder: Path) -> None:
        """Write RUN/settings.json."""
        write_json(folder / FILE, {"format": FORMAT, "version": VERSION, **asdict(self)})


def read(folder: Path) -> Settings:
    """Read RUN/settings.json.

    Raises:
        InputError: no such file, or not one that this version wrote.
    """
    path = folder / FILE
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"{folder}: expected the folder of a training, with a {FILE}; there is none") from None
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: expected the settings of a training (JSON); {error}") from None
    if not isinstance(data, dict) or data.get("format") != FORMAT or data.get("version") != VERSION:
        raise InputError(f"{path}: expected the settings of a training, version {VERSION}; got something else")
    names = {field.name for field in fields(Settings)}
    missing = sorted(names - set(data))
    if missing:
        raise InputError(f"{path}: expected the keys {', '.join(sorted(names))}; missing: {', '.join(missing)}")
    known = {name: data[name] for name in names}
    return Settings(**{**known, "classes": tuple(known["classes"]), "size": tuple(known["size"])})
