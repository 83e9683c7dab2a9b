"""The configuration of a detector or a segmenter for mmengine: the files in configs/ with the settings of a training.

    config = configured(settings, Path("data/coco"), Path("runs/coatnet"), workers=4)
    Runner.from_cfg(config).train()

configs/mmdet/mask_rcnn_uninas_coco.py, configs/mmseg/upernet_uninas_ade20k.py hold the protocol, and work with
OpenMMLab's own tools.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from downstream.data.coco import check_annotations
from downstream.models.backbone import of_images, stage_strides, stage_widths
from downstream.models.openmmlab import require
from downstream.train.dense_data import LAYOUT, Note, check_data
from downstream.train.mm_classes import colours
from downstream.train.settings import OpenMMLabSettings
from uninas.errors import InputError
from uninas.runtime.configurations import find

__all__ = ["FILES", "METRICS", "class_names", "config_file", "configured"]

FILES = {"detect": "mmdet/mask_rcnn_uninas_coco", "segment": "mmseg/upernet_uninas_ade20k"}
METRICS = {
    "detect": {"coco/bbox_mAP": "box_ap", "coco/segm_mAP": "mask_ap"},
    "segment": {"mIoU": "miou", "aAcc": "pixel_accuracy"},
}
"""Task -> OpenMMLab's name of a metric -> ours."""


def config_file(task: str) -> Path:
    """Give the file of a task's configuration. Raises InputError: the installation lacks it."""
    return find(FILES[task])


def configured(
    settings: OpenMMLabSettings, data: Path, run: Path, *, workers: int, training: bool = True, note: Note | None = None
) -> Any:
    """Give the configuration of a training or an evaluation, after all its data were checked.

    Args:
        settings: of the training.
        data: folder in the layout of COCO or ADE20K.
        run: where mmengine writes. Annotations that are repaired are copied beside it, to RUN.annotations, for a training, and
            into it for an evaluation.
        workers: processes that read images.
        training: whether the training images are needed too.
        note: called with what is repaired, left out or in doubt.

    Returns:
        A `mmengine.Config`.

    Raises:
        InputError: OpenMMLab is incomplete, the data are missing or make results wrong, or the settings are impossible.
    """
    task = settings.task
    require(task)
    _check(settings, data, training)
    from mmengine.config import Config

    config = Config.fromfile(config_file(task))
    annotations = check_data(settings, data, run, training=training, note=note or (lambda text: None))
    widths = stage_widths(settings.architecture)
    config.model.backbone.update(
        arch=dict(settings.arch), weights=settings.weights, drop_path_rate=settings.drop_path, with_cp=settings.checkpointing
    )
    if task == "detect":
        config.model.neck.in_channels = widths
        _classes(config, settings.classes or check_annotations(data / LAYOUT["detect"][1], training=False).classes)
    else:
        config.model.decode_head.in_channels = widths
        config.model.auxiliary_head.in_channels = widths[2]
    _data(config, task, data, settings, workers, annotations)
    _schedule(config, settings)
    if settings.precision != "float32":
        config.optim_wrapper.type, config.optim_wrapper.dtype = "AmpOptimWrapper", settings.precision
    config.launcher = "pytorch" if settings.processes > 1 else "none"
    config.work_dir = str(run)
    config.randomness = {"seed": settings.seed}
    config.default_hooks.checkpoint = None  # ours instead, see `downstream.train.mm_runner`
    config.env_cfg.cudnn_benchmark = False
    return config


def _schedule(config: Any, settings: OpenMMLabSettings) -> None:
    config.train_cfg.max_epochs = settings.epochs
    config.train_cfg.val_interval = settings.every
    warmup, schedule = config.param_scheduler
    start = warmup.start_factor * config.optim_wrapper.optimizer.lr * settings.batch * settings.processes
    start /= config.auto_scale_lr.base_batch_size
    longest, config.epochs = config.epochs, settings.epochs
    if settings.lr is not None:  # for the total batch
        config.optim_wrapper.optimizer.lr = settings.lr
        config.auto_scale_lr.enable = False
        warmup.start_factor = min(1.0, start / settings.lr)
    if settings.epochs != longest:  # all parts of the schedule in proportion
        share = settings.epochs / longest
        warmup.end = round(warmup.end * share)
        if "milestones" in schedule:
            schedule.milestones = [max(1, round(at * share)) for at in schedule.milestones]
        else:
            schedule.begin = warmup.end
        schedule.end = settings.epochs
    if warmup.end == 0:
        schedule.begin, config.param_scheduler = 0, [schedule]


def _data(config: Any, task: str, data: Path, settings: OpenMMLabSettings, workers: int, annotations: dict[str, Path]) -> None:
    height, width = settings.size
    if task == "segment":
        from downstream.train import mm_pairs  # registers its data set
    for loader in (config.train_dataloader, config.val_dataloader, config.test_dataloader):
        loader.num_workers, loader.persistent_workers = workers, False  # new workers know the seeds of their epoch
        loader.dataset.data_root = f"{data}/"
        if task == "detect":
            repaired = annotations.get(loader.dataset.ann_file)
            loader.dataset.ann_file = str(repaired.absolute()) if repaired else loader.dataset.ann_file
        else:
            loader.dataset.type = mm_pairs.NAME
        for step in loader.dataset.pipeline:
            if step.type in ("Resize", "RandomResize"):
                step.scale = (width, height) if task == "detect" else (4 * width, height)
            elif step.type == "RandomCrop":
                step.crop_size = (height, width)
    if task == "segment":
        config.model.data_preprocessor.size = (height, width)
        config.train_dataloader.drop_last = True  # UperNet's norms cannot train on a single last image
    else:
        for evaluator in (config.val_evaluator, config.test_evaluator):
            evaluator.ann_file = str(annotations.get(LAYOUT["detect"][1], data / LAYOUT["detect"][1]))
    config.train_dataloader.batch_size = settings.batch


def class_names(data: Path) -> tuple[str, ...]:
    """Give the class names of COCO's training annotations in order. Raises InputError as `check_annotations`."""
    return check_annotations(data / LAYOUT["detect"][0], training=True).classes


def _classes(config: Any, names: tuple[str, ...]) -> None:
    """Fit the heads to the classes of the training."""
    from mmdet.datasets import CocoDataset

    if set(names) == set(CocoDataset.METAINFO["classes"]):
        return
    config.model.roi_head.bbox_head.num_classes = config.model.roi_head.mask_head.num_classes = len(names)
    for loader in (config.train_dataloader, config.val_dataloader, config.test_dataloader):
        loader.dataset.metainfo = {"classes": names, "palette": colours(len(names))}


def _check(settings: OpenMMLabSettings, data: Path, training: bool) -> None:
    import torch

    task = settings.task
    wanted = [name for name in LAYOUT[task] if training or "val" in name]
    missing = [name for name in wanted if not (data / name).exists()]
    if missing:
        raise InputError(f"--data {data}: expected {', '.join(wanted)} in it; missing: {', '.join(missing)}")
    if task == "segment" and training and settings.batch < 2:
        raise InputError(f"--batch: expected at least 2 images, which the norms of UperNet need; got {settings.batch}")
    if training and settings.precision != "float32" and not torch.cuda.is_available():
        raise InputError(f"--precision {settings.precision}: expected a GPU; torch finds none")
    architecture = settings.architecture
    of_images(architecture)
    strides = stage_strides(architecture)
    if strides != [4, 8, 16, 32]:
        raise InputError(
            f"--task {task}: expected a network of four stages, strides 4, 8, 16 and 32; got {len(strides)}: "
            + ", ".join(map(str, strides))
        )
