"""The settings of a training: kept in RUN/settings.json, read again by a resume."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import Any

from uninas.errors import InputError
from uninas.files.run_files import read_run_json
from uninas.files.writing import write_json
from uninas.graph import Architecture
from uninas.text import from_document

__all__ = ["OpenMMLabSettings", "Settings", "read_settings"]

FILE = "settings.json"
FORMAT, VERSION = "uninas-training", 1


@dataclass(frozen=True)
class Settings:
    """One training.

    Attributes:
        arch: the document of the architecture.
        classes: names, in the order of the classifier's outputs.
        size: (H, W) of training and evaluation.
        batch: images per batch of one process.
        processes: number of GPUs, or of processes on CPUs.
        epochs, warmup_epochs, optimiser, weight_decay, schedule, augment, clip, drop_path: see `Protocol`.
        lr, warmup_lr, min_lr: for the total batch.
        ema: decay of the averaged weights; 0 for none.
        precision: "float32", "bfloat16" or "float16" of the forward pass.
        seed: of initial weights, order, augmentation, dropout.
        smoothing, mixup, erase, norm_momentum: see `Protocol`.
        teacher: a model of timm to learn from, or None; `teacher_weights` a file for it, `teacher_size` the (H, W) of its input.
        teacher_logits, teacher_features, temperature: see `downstream.train.teacher.taught`.
        weights: file with the initial weights, or None.
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
    mixup: float = 0.0
    erase: float = 0.0
    norm_momentum: float | None = None
    teacher: str | None = None
    teacher_weights: str | None = None
    teacher_size: tuple[int, int] | None = None
    teacher_logits: float = 1.0
    teacher_features: float = 0.0
    temperature: float = 1.0
    weights: str | None = None

    @property
    def task(self) -> str:
        """Always "classify"."""
        return "classify"

    @cached_property
    def architecture(self) -> Architecture:
        """The network of `arch`, parsed once. Raises InputError: it is not an architecture."""
        return from_document(dict(self.arch), "arch")

    def write(self, folder: Path) -> None:
        """Write RUN/settings.json."""
        _write(self, folder)


@dataclass(frozen=True)
class OpenMMLabSettings:
    """One training of a detector or a segmenter in OpenMMLab.

    Attributes:
        task: "detect" or "segment".
        arch: the document of the architecture.
        size: (H, W) to which images are scaled (detect) or cropped (segment).
        batch: images per batch of one process.
        processes: number of GPUs, or of processes on CPUs.
        epochs: to which the schedule of the protocol is scaled.
        every: epochs between evaluations.
        lr: for the total batch; None for the protocol's, scaled with the batch.
        drop_path: see `downstream.models.backbone.drop_paths`.
        checkpointing: see `downstream.models.backbone.stage_outputs`.
        precision: "float32", "bfloat16" or "float16" of the forward pass.
        seed: of initial weights, order and augmentation.
        weights: file of a classifier with the initial weights of the backbone, or None.
        classes: names in the order of the annotations; None for those of the data (detect), or ADE20K's 150 (segment).
    """

    task: str
    arch: Mapping[str, Any]
    size: tuple[int, int]
    batch: int
    processes: int
    epochs: int
    every: int
    drop_path: float
    lr: float | None = None
    checkpointing: bool = False
    precision: str = "float32"
    seed: int = 0
    weights: str | None = None
    classes: tuple[str, ...] | None = None

    @cached_property
    def architecture(self) -> Architecture:
        """The network of `arch`, parsed once. Raises InputError: it is not an architecture."""
        return from_document(dict(self.arch), "arch")

    def write(self, folder: Path) -> None:
        """Write RUN/settings.json."""
        _write(self, folder)


def _write(settings: Settings | OpenMMLabSettings, folder: Path) -> None:
    write_json(folder / FILE, {"format": FORMAT, "version": VERSION, "task": settings.task, **asdict(settings)})


def read_settings(folder: Path) -> Settings | OpenMMLabSettings:
    """Read RUN/settings.json.

    Raises:
        InputError: no such file, or not one that this version wrote.
    """
    path = folder / FILE
    data = read_run_json(folder, FILE, place="the folder of a training", content="the settings of a training")
    if not isinstance(data, dict) or data.get("format") != FORMAT or data.get("version") != VERSION:
        raise InputError(f"{path}: expected the settings of a training, version {VERSION}; got something else")
    kind = Settings if data.get("task") == "classify" else OpenMMLabSettings
    names = {field.name for field in fields(kind)}
    missing = sorted(names - set(data))
    if missing:
        raise InputError(f"{path}: expected the keys {', '.join(sorted(names))}; missing: {', '.join(missing)}")
    known: dict[str, Any] = {name: tuple(data[name]) if isinstance(data[name], list) else data[name] for name in names}
    return kind(**known)


read = read_settings
"""The name of version 0.1; removed with 0.3."""
