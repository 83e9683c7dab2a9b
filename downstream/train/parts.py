"""The parts of a classifier's training, built from its settings: network, loss, images, mixing, precision."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from timm import create_model
from timm.data import Mixup
from timm.task import ClassificationTask
from torch import nn

from downstream.data.images import Folder, Images, loader
from downstream.models.backbone import of_batches, of_images
from downstream.train.settings import Settings
from downstream.train.teacher import taught, teacher_of
from downstream.weights import weight_files
from uninas.errors import InputError

__all__ = ["Split", "autocast", "mixup_of", "model_of", "split_of", "task_of"]


@dataclass(frozen=True)
class Split:
    """The images of a split, and their loader."""

    images: Images
    batches: Any


def split_of(settings: Settings, data: Path, split: str, model: Any, device: torch.device, rank: int, workers: int) -> Split:
    """Read a split: all of "train", which timm's sampler distributes, or this process's part of "val".

    Raises:
        InputError: of the images, see `downstream.data.images`.
    """
    training = split == "train"
    part = (0, 1) if training else (rank, settings.processes)
    images = Images(Folder.of(data, split), settings.classes, training=training, part=part)
    batches = loader(
        images,
        batch=settings.batch,
        size=settings.size,
        training=training,
        augment=settings.augment if training else "",
        mean=model.pretrained_cfg["mean"],
        std=model.pretrained_cfg["std"],
        workers=workers,
        device=device,
        erase=settings.erase if training else 0.0,
        processes=settings.processes,
        seed=settings.seed,
    )
    return Split(images, batches)


def mixup_of(settings: Settings) -> Mixup | None:
    """Give what mixes the images of a batch, or None. Raises InputError: an odd batch size."""
    if not settings.mixup:
        return None
    if settings.batch % 2:
        raise InputError(f"--batch: expected an even number, because --mixup mixes images in pairs; got {settings.batch}")
    return Mixup(settings.mixup, label_smoothing=settings.smoothing, num_classes=len(settings.classes))


def model_of(settings: Settings, fresh: bool) -> Any:
    """Build the network, if `fresh` with the initial weights that the settings name; else a checkpoint is loaded into it.

    Raises:
        InputError: a network that cannot be trained on such batches, or weights that do not fit.
    """
    architecture = settings.architecture
    of_images(architecture)
    of_batches(architecture, settings.batch, settings.size)
    model = create_model("uninas", arch=architecture, num_classes=len(settings.classes), drop_path_rate=settings.drop_path)
    if settings.norm_momentum is not None:
        for module in model.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.momentum = settings.norm_momentum
    if settings.weights is not None and fresh:  # a checkpoint has all weights, and the file may be gone
        weight_files.load(model, settings.weights, new_head=True)
    return model


def task_of(model: nn.Module, settings: Settings, device: torch.device) -> nn.Module:
    """Combine the network with its loss, and with a teacher where there is one. Raises InputError: of the teacher."""
    criterion = nn.CrossEntropyLoss(
        label_smoothing=0.0 if settings.mixup else settings.smoothing
    )  # mixup smooths its classes itself
    if settings.teacher is None:
        return ClassificationTask(model, criterion, device=device, verbose=False)
    teacher = teacher_of(settings.teacher, settings.teacher_weights, len(settings.classes))
    return taught(
        model,
        teacher,
        criterion,
        device=device,
        size=settings.teacher_size,
        logits=settings.teacher_logits,
        features=settings.teacher_features,
        temperature=settings.temperature,
    )


def autocast(device: torch.device, precision: str) -> Any:
    """Give the context of a forward pass in "float32", "bfloat16" or "float16"."""
    if precision == "float32":
        return nullcontext()
    return torch.autocast(device.type, dtype=getattr(torch, precision))
