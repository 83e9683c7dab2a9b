"""A network with its weights, as commands name it: a preset, a file, the run of a search or of a training.

subject = subject_of("runs/coatnet")              a training: its best weights, size and class names
model = subject.model()                           a model of timm, in evaluation mode
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from timm import create_model

from downstream.models.timm_model import UniNASNet
from downstream.train.settings import OpenMMLabSettings, Settings, read_settings
from downstream.weights import reference
from downstream.weights import weight_files as weights_files
from uninas.errors import InputError
from uninas.graph import Architecture
from uninas.source import load_layers, load_with_metadata

__all__ = ["Subject", "subject_of"]


@dataclass(frozen=True)
class Subject:
    """A network with its weights.

    Attributes:
        name: for display.
        architecture: of the network; its reference size and classes are not used.
        classes: of the classifier.
        size: (H, W) of the input.
        weights: weights file, also an .npz of the reference implementation; None for initial weights.
        labels: names of the classes, or None.
        seed: of initial weights.
        metadata: of the architecture's file, on its origin.
        training: description of the training; None where there was none.
        openmmlab: settings of a detector or a segmenter, whose weights are those of the whole model; None for a classifier.
        source: what the architecture was loaded from.
    """

    name: str
    architecture: Architecture
    classes: int
    size: tuple[int, int]
    weights: Path | None
    labels: tuple[str, ...] | None
    seed: int
    metadata: Mapping[str, Any]
    training: Mapping[str, str] | None = None
    openmmlab: OpenMMLabSettings | None = None
    source: str | Path = ""

    def model(self) -> UniNASNet:
        """Build the classifier in evaluation mode, with initial weights where those given are of a detector or a segmenter.

        Raises:
            InputError: the weights do not fit.
        """
        torch.manual_seed(self.seed)
        model: Any = create_model(
            "uninas", arch=self.architecture, num_classes=self.classes, in_chans=self.architecture.in_channels
        )
        if self.weights is not None and self.openmmlab is None:
            if self.weights.suffix == ".npz":
                reference.load(model, self.weights, load_layers(self.source, self.architecture))
            else:
                weights_files.load(model, self.weights)
        assert isinstance(model, UniNASNet)
        return model.eval()


def subject_of(
    source: str,
    *,
    weights: Path | None = None,
    classes: int | None = None,
    size: tuple[int, int] | None = None,
    seed: int = 0,
) -> Subject:
    """Resolve the name of a network.

    Args:
        source: a preset, a file, the run of a search, or that of a training, whose best weights, size and class names are used.
        weights: weights file, also an .npz of the reference implementation; None for those of a training's run, or initial ones.
        classes: None for those of the training, or the architecture's.
        size: None for the training's, or the architecture's reference.
        seed: of initial weights.

    Raises:
        InputError: no such architecture, a training without weights yet, or weights of another model than the trained detector
            or segmenter.
    """
    folder = Path(source)
    if weights is not None and not weights.is_file():
        raise InputError(f"--weights: expected a weights file; got {weights}, which is not a file")
    labels, training, openmmlab = None, None, None
    trained = (folder / "settings.json").is_file() and (folder / "architecture.json").is_file()
    architecture, metadata = load_with_metadata(folder / "architecture.json" if trained else source)
    if trained:
        settings = read_settings(folder)
        size = size or settings.size
        own = folder / "best.safetensors"
        if isinstance(settings, Settings):
            labels = settings.classes
        else:
            openmmlab = settings
        if not own.is_file() and (weights is None or openmmlab is not None):
            raise InputError(f"{folder}: expected best.safetensors, the weights of a complete epoch; there are none yet")
        if weights is not None and openmmlab is not None:  # of a whole model, which is not built here
            weights_files.must_fit(weights, own)
        weights = weights or own
        training = _training(settings, weights)
    count = classes or (len(labels) if labels else architecture.classes)
    return Subject(
        name=folder.stem if folder.exists() else source,
        architecture=architecture,
        classes=count,
        size=size or architecture.input_size,
        weights=weights,
        labels=labels if labels and len(labels) == count else None,
        seed=seed,
        metadata=metadata,
        training=training,
        openmmlab=openmmlab,
        source=source,
    )


_FIGURES = {"top1": "Top-1", "mask_ap": "Mask AP", "miou": "mIoU"}


def _training(settings: Settings | OpenMMLabSettings, file: Path) -> dict[str, str]:
    """Describe how weights were trained."""
    height, width = settings.size
    found = {
        "Epochs": str(settings.epochs),
        "Batch": f"{settings.batch * settings.processes} images of {height} x {width}",
    }
    if isinstance(settings, Settings):
        found["Optimiser"] = (
            f"{settings.optimiser}, {settings.schedule} learning rate up to {settings.lr:g}, "
            f"weight decay {settings.weight_decay:g}"
        )
        if settings.teacher:
            found["Teacher"] = settings.teacher
    about = weights_files.metadata(file)
    found |= {f"{title} on the validation images (%)": about[name] for name, title in _FIGURES.items() if name in about}
    if "epoch" in about:
        found["Weights of epoch"] = about["epoch"] + (", averaged" if about.get("averaged") == "yes" else "")
    return found
