"""The training protocols of the papers (UniNAS talk; VKDNW, the experiments on the MobileNetV2 space).

    protocol = PROTOCOLS["classify"]
    protocol.rates(96)                        Rates(lr=2e-4, warmup_lr=2e-7, min_lr=2e-6): two GPUs of 48

The papers give learning rates for N GPUs with a fixed batch each; here N is the total batch divided by that batch, so that
another batch keeps the ratio of rate to batch.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["PRECISIONS", "PROTOCOLS", "TASKS", "Protocol", "Rates", "crop_share"]

TASKS = ("classify", "detect", "segment")

PRECISIONS = ("float32", "bfloat16", "float16")
"""Of the forward pass of a training, an evaluation or a measurement."""


@dataclass(frozen=True)
class Rates:
    """Learning rates: the peak, the start of the warm-up, the end of the schedule."""

    lr: float
    warmup_lr: float
    min_lr: float


@dataclass(frozen=True)
class Protocol:
    """The protocol of one task.

    Attributes:
        head: after the backbone.
        epochs, warmup_epochs: the warm-up is part of the epochs.
        batch: per GPU.
        optimiser: "adamw" or "sgd".
        weight_decay: of all parameters but biases, norms and position tables.
        schedule: "cosine", "multi-step" or "linear".
        lr, warmup_lr, min_lr: for one GPU.
        augment: policy of timm's auto-augment; "" for only crops and flips.
        clip: largest L2 norm of the gradient; None for no limit.
        drop_path: see `downstream.models.backbone.drop_paths`.
        size: (H, W) in pixels.
        milestones: epochs after which a multi-step schedule divides the rate by ten, down to its minimum.
        smoothing: of the labels.
        mixup: parameter of the Beta distribution of mixup; 0 for none.
        erase: probability of random erasing.
        norm_momentum: of BatchNorm's running statistics; None for torch's 0.1.
        teacher, teacher_size: a model of timm, and the (H, W) of its input.
        teacher_features: weight of the distance between the features, see `downstream.train.teacher.taught`.
    """

    head: str
    epochs: int
    warmup_epochs: int
    batch: int
    optimiser: str
    weight_decay: float
    schedule: str
    lr: float
    warmup_lr: float
    min_lr: float
    augment: str
    clip: float | None
    drop_path: float
    size: tuple[int, int]
    milestones: tuple[int, ...] = ()
    smoothing: float = 0.0
    mixup: float = 0.0
    erase: float = 0.0
    norm_momentum: float | None = None
    teacher: str | None = None
    teacher_size: tuple[int, int] | None = None
    teacher_features: float = 0.0

    def rates(self, total_batch: int) -> Rates:
        """Give the learning rates for a total batch over all GPUs."""
        gpus = total_batch / self.batch
        return Rates(gpus * self.lr, gpus * self.warmup_lr, gpus * self.min_lr)


PROTOCOLS: dict[str, Protocol] = {
    "classify": Protocol(
        head="linear",
        epochs=150,
        warmup_epochs=5,
        batch=48,
        optimiser="adamw",
        weight_decay=0.05,
        schedule="cosine",
        lr=1e-4,
        warmup_lr=1e-7,
        min_lr=1e-6,
        augment="rand-m15-n2-mstd0.5",
        clip=1.0,
        drop_path=0.2,
        size=(224, 224),
    ),
    "detect": Protocol(
        head="Mask R-CNN, FPN",
        epochs=12,
        warmup_epochs=5,
        batch=4,
        optimiser="adamw",
        weight_decay=0.05,
        schedule="multi-step",
        lr=2.5e-5,
        warmup_lr=1e-7,
        min_lr=2.5e-6,
        augment="",
        clip=1.0,
        drop_path=0.1,
        size=(800, 1280),
        milestones=(8,),
    ),
    "segment": Protocol(
        head="UperNet",
        epochs=125,
        warmup_epochs=5,
        batch=4,
        optimiser="adamw",
        weight_decay=0.05,
        schedule="linear",
        lr=1.5e-5,
        warmup_lr=1e-7,
        min_lr=0.0,
        augment="",
        clip=1.0,
        drop_path=0.3,
        size=(512, 512),
    ),
    "mobilenetv2": Protocol(
        head="linear",
        epochs=480,
        warmup_epochs=5,
        batch=64,
        optimiser="sgd",
        weight_decay=4e-5,
        schedule="cosine",
        lr=0.025,
        warmup_lr=0.0,
        min_lr=0.0,
        augment="original",
        clip=None,
        drop_path=0.0,
        size=(224, 224),
        smoothing=0.1,
        mixup=0.2,
        erase=0.25,
        norm_momentum=0.01,
        teacher="tf_efficientnet_b3.ns_jft_in1k",
        teacher_size=(320, 320),
        teacher_features=1.0,
    ),
}
"""By task; "mobilenetv2" is classification with a teacher, as for the MobileNetV2 table.

For the latter the paper gives 480 epochs of SGD at 0.2 in one cosine cycle on eight GPUs, and a teacher as in earlier papers.
The rest is what the public scripts of those papers (ZenNAS, ZiCo) set: 64 images per GPU, Nesterov momentum, five epochs of
warm-up, weight decay, AutoAugment, mixup, smoothing, BatchNorm's momentum, EfficientNet-B3 (noisy student) at 320 pixels, whose
logits and features have the same weight as the labels. Our choices: random erasing of every fourth image, and features that are
compared after pooling, not stage by stage.
"""


def crop_share(size: tuple[int, int]) -> float:
    """Give the share of an image's shorter side that evaluation crops to: all of small images, which rarely have a margin."""
    return 0.875 if max(size) >= 128 else 1.0
