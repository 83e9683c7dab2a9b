"""Distillation: a trained model of timm whose logits and features a network learns in addition to the labels.

task = taught(model, teacher_of("tf_efficientnet_b3.ns_jft_in1k", None, 1000), criterion, size=(320, 320), features=1.0)
"""

from __future__ import annotations

from typing import Any

import torch
from timm import create_model
from timm.task import FeatureDistillationTask
from timm.task.distillation import DistillationTeacher
from torch import Tensor, nn
from torch.nn import functional

from downstream.weights import weight_files
from uninas.errors import InputError

__all__ = ["Taught", "taught", "teacher_of"]


def teacher_of(name: str, file: str | None, classes: int) -> nn.Module:
    """Build a teacher with all its trained weights: one with an untrained classifier would teach noise.

    Args:
        name: a model of timm, its weights' tag included, or `local-dir:FOLDER` as `uninas export --to timm` writes it.
        file: weights to use instead of timm's, see `downstream.weights.weight_files`.
        classes: number of classes that it must have.

    Raises:
        InputError: no such model or weights, they cannot be downloaded, or another number of classes.
    """
    try:
        if file is None:
            teacher = create_model(name, pretrained=True)
        else:
            teacher = create_model(name, num_classes=classes)
    except InputError:
        raise
    except Exception as error:  # of timm, the hub, the network
        first = str(error).strip().partition("\n")[0] or type(error).__name__
        raise InputError(
            f"--teacher: expected a model of timm with weights, or local-dir:FOLDER; got {name}: {first[:200]}"
        ) from None
    if file is not None:
        weight_files.load(teacher, file)
    known = getattr(teacher, "num_classes", None)
    if known != classes:
        raise InputError(
            f"--teacher: expected a teacher of the {classes} classes of the data; {name} has {known}: "
            "train one on this data, or give its weights with --teacher-weights"
        )
    return teacher


def taught(
    model: nn.Module,
    teacher: nn.Module,
    criterion: nn.Module,
    *,
    device: torch.device,
    size: tuple[int, int] | None = None,
    logits: float = 1.0,
    features: float = 0.0,
    temperature: float = 1.0,
) -> Taught:
    """Make the training task of a network with a teacher.

    Args:
        model: the student.
        teacher: see `teacher_of`.
        criterion: (B, classes), targets -> (), the loss of the labels.
        device: of the training.
        size: (H, W) to which images are scaled for the teacher; None for the student's size.
        logits: weight of the Kullback-Leibler divergence of the student's from the teacher's distribution.
        features: weight of the mean squared difference of the pooled features, with a linear projection of the student's where
            widths differ; 0 for none.
        temperature: by which both logits are divided; the divergence is multiplied by its square.
    """
    seen = teacher if size is None else _Scaled(teacher, size)
    for parameter in teacher.parameters():
        parameter.requires_grad_(False)
    return Taught(model, DistillationTeacher(seen.to(device), device=device), criterion, device, logits, features, temperature)


class _Scaled(nn.Module):
    """A model whose input is scaled to its own size."""

    def __init__(self, model: nn.Module, size: tuple[int, int]) -> None:
        super().__init__()
        self.model, self._size = model, size
        self.pretrained_cfg: dict[str, Any] = getattr(model, "pretrained_cfg", {})
        self.num_features = getattr(model, "head_hidden_size", getattr(model, "num_features", None))

    def forward_features(self, images: Tensor) -> Tensor:
        """(B, 3, H, W) -> the model's features."""
        scaled = functional.interpolate(images, self._size, mode="bicubic", antialias=True)
        found: Tensor = self.model.forward_features(scaled)  # type: ignore[operator]
        return found

    def forward_head(self, features: Tensor, pre_logits: bool = False) -> Tensor:
        """Features -> logits, or with `pre_logits` what the classifier reads."""
        found: Tensor = self.model.forward_head(features, pre_logits=pre_logits)  # type: ignore[operator]
        return found

    def forward(self, images: Tensor) -> Tensor:
        """(B, 3, H, W) -> (B, classes)."""
        return self.forward_head(self.forward_features(images))


class Taught(FeatureDistillationTask):
    """timm's task of feature distillation, plus the divergence of the logits: one pass of each network for both."""

    def __init__(
        self,
        model: nn.Module,
        teacher: DistillationTeacher,
        criterion: nn.Module,
        device: torch.device,
        logits: float,
        features: float,
        temperature: float,
    ) -> None:
        super().__init__(
            model, teacher, criterion, distill_loss_weight=features, task_loss_weight=1.0, device=device, verbose=False
        )
        self._logits, self._features, self._temperature = logits, features, temperature

    def forward(self, input: Tensor, target: Tensor) -> dict[str, Tensor]:
        """(B, 3, H, W) and classes, (B,) or (B, classes) -> the loss and its parts."""
        teacher: Any = self.teacher
        answers, features = self.trainable_module(input)
        with torch.no_grad():
            found = teacher.model.forward_features(teacher.normalize_input(input, self.student_mean, self.student_std))
            wanted = teacher.model.forward_head(found)
            pooled = teacher.model.forward_head(found, pre_logits=True)
        ours, theirs = (functional.log_softmax(one.float() / self._temperature, -1) for one in (answers, wanted))
        divergence = functional.kl_div(ours, theirs, reduction="batchmean", log_target=True) * self._temperature**2
        distance = functional.mse_loss(features.float(), pooled.float())
        labels = self.criterion(answers, target)
        loss = labels + self._logits * divergence + self._features * distance
        return {"loss": loss, "output": answers, "task_loss": labels, "kd_loss": divergence, "feature_loss": distance}
