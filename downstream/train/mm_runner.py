"""mmengine's Runner, changed so that a resume gives the same curve and checkpoints are read as data.

Three things differ from mmengine. A checkpoint holds tensors and plain numbers and is read by the restricted loader; those of
mmengine are pickles with a configuration that a resume runs as Python. It is written after every epoch, before the validation,
which a resume catches up on. And every epoch and every image has its own seeds, independent of the number of processes that read.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import numpy
import torch
from mmengine.device import get_device
from mmengine.dist import is_distributed
from mmengine.model import MMDistributedDataParallel, revert_sync_batchnorm
from mmengine.registry import LOOPS
from mmengine.runner import EpochBasedTrainLoop, Runner
from torch import nn

from downstream.data.images import own_draws, seed_everything
from downstream.weights import weight_files
from uninas.errors import InputError
from uninas.files.pictures import read

__all__ = ["CHECKPOINT", "Course", "OpenMMLabRunner", "model_of"]

CHECKPOINT = "checkpoint.pth"
LOOP = "UniNASEpochs"


class Course(Protocol):
    """What the loop needs of the training around it."""

    seed: int
    run: Path
    resume: bool

    def kept(self) -> Mapping[str, Any]:
        """Give what the checkpoint keeps of it."""

    def restore(self, kept: Mapping[str, Any]) -> bool:
        """Restore it; True where the validation of the last epoch is still to be done."""


def model_of(runner: Any) -> nn.Module:
    """Give the model without the wrapper for several processes."""
    model: nn.Module = getattr(runner.model, "module", runner.model)
    return model


class _Steps:
    """The pipeline from an image's file to the network, with random numbers of the image's own, and errors that name files."""

    def __init__(self, pipeline: Any, seed: int, classes: int) -> None:
        self.transforms, self._classes = pipeline.transforms, classes
        self.seeds: tuple[int, ...] = (seed, 0)

    def __call__(self, results: dict[str, Any]) -> Any:
        with own_draws(*self.seeds, int(results["sample_idx"])):
            found: Any = results
            for step in self.transforms:
                found = self._read(step, found) if type(step).__name__.startswith("Load") else step(found)
                if found is None:
                    return None
        return found

    def _read(self, step: Any, results: dict[str, Any]) -> Any:
        path, objects = results.get("img_path"), "Annotations" in type(step).__name__
        labels = results.get("seg_map_path") if objects else None
        try:
            found = self._loaded(results) if not objects else step(results)
        except Exception as error:  # of Pillow, OpenCV, the system, pycocotools, and mmcv's own
            expected = "annotations of its objects; they" if objects and not labels else "an image; it"
            raise InputError(f"{labels or path}: expected {expected} cannot be read ({type(error).__name__})") from None
        if labels:
            self._check(found["gt_seg_map"], found["ori_shape"], labels)
        return found

    @staticmethod
    def _loaded(results: dict[str, Any]) -> dict[str, Any]:
        """Read an image as all of this package does, into what OpenMMLab's own step leaves: BGR, as stored."""
        pixels = numpy.ascontiguousarray(numpy.asarray(read(Path(results["img_path"]), upright=False))[..., ::-1])
        return {**results, "img": pixels, "img_shape": pixels.shape[:2], "ori_shape": pixels.shape[:2]}

    def _check(self, labels: Any, sides: tuple[int, int], path: str) -> None:
        """Check the classes, (H, W), as OpenMMLab has them: from 0, 255 for none."""
        if labels.shape != tuple(sides):
            wanted, got = ("x".join(map(str, shape)) for shape in (sides, labels.shape))
            raise InputError(f"{path}: expected one class per pixel of its image, {wanted}; got {got}")
        largest = int(labels.max(where=labels < 255, initial=0))
        if largest >= self._classes:
            raise InputError(f"{path}: expected classes from 1 to {self._classes}, and 0 or 255 for none; got {largest + 1}")


@LOOPS.register_module(name=LOOP)
class _Epochs(EpochBasedTrainLoop):
    """mmengine's loop over epochs, with our checkpoints."""

    def run(self) -> nn.Module:
        runner, course = self.runner, self.runner.course
        owed = self._resume() if course.resume else False
        runner.call_hook("before_train")
        if owed:
            runner.val_loop.run()
        while self._epoch < self._max_epochs:
            seeds = (course.seed, 1 + self._epoch)
            seed_everything(*seeds, int(os.environ.get("RANK", "0")))
            self.dataloader.dataset.pipeline.seeds = seeds
            self.run_epoch()
            if runner.rank == 0:
                self._save()
            if self._epoch % self.val_interval == 0 or self._epoch == self._max_epochs:
                runner.val_loop.run()
        runner.call_hook("after_train")
        found: nn.Module = runner.model
        return found

    def _save(self) -> None:
        runner = self.runner
        kept = {
            "epoch": self._epoch,
            "iter": self._iter,
            "course": dict(runner.course.kept()),
            "meta": {"dataset_meta": _plain_meta(self.dataloader.dataset.metainfo)},  # as OpenMMLab's tools look for it
            "state_dict": model_of(runner).state_dict(),
            "optimiser": runner.optim_wrapper.state_dict(),
            "schedules": [one.state_dict() for one in runner.param_schedulers],
        }
        weight_files.save_checkpoint(kept, runner.course.run / CHECKPOINT)

    def _resume(self) -> bool:
        runner, path = self.runner, self.runner.course.run / CHECKPOINT
        kept = weight_files.read_checkpoint(path)
        try:
            model_of(runner).load_state_dict(kept["state_dict"])
            runner.optim_wrapper.load_state_dict(kept["optimiser"])
            for schedule, state in zip(runner.param_schedulers, kept["schedules"], strict=True):
                schedule.load_state_dict(state)
            self._epoch, self._iter = int(kept["epoch"]), int(kept["iter"])
            owed: bool = runner.course.restore(kept["course"])
        except (KeyError, ValueError, RuntimeError, TypeError, AttributeError) as error:
            raise InputError(f"{path}: expected the checkpoint of this training; {str(error)[:200]}") from None
        due = self._epoch % self.val_interval == 0 or self._epoch == self._max_epochs
        return owed and due


def _plain_meta(about: Mapping[str, Any]) -> dict[str, Any]:
    """Give names and colours of the classes as plain data."""
    return {"classes": list(about["classes"]), "palette": list(about.get("palette") or ())}


class OpenMMLabRunner(Runner):
    """mmengine's Runner with a course, for one process or several, on GPUs or CPUs."""

    course: Course

    def wrap_model(self, model_wrapper_cfg: Any, model: nn.Module) -> nn.Module:
        """Wrap as mmengine does, and also on CPUs: gradients are averaged over all processes, however they were launched."""
        found: nn.Module
        if not is_distributed():
            found = super().wrap_model(model_wrapper_cfg, model)
            return found
        gpus = torch.cuda.is_available()
        found = MMDistributedDataParallel(
            module=model.to(get_device()) if gpus else revert_sync_batchnorm(model),  # CPUs have no synchronised norms
            device_ids=[torch.cuda.current_device()] if gpus else None,
            broadcast_buffers=False,
            find_unused_parameters=bool(self.cfg.get("find_unused_parameters", False)),
        )
        return found

    def build_param_scheduler(self, scheduler: Any) -> Any:
        """Build as mmengine does, without a warm-up of one step, which would never end."""
        steps = len(self.train_dataloader)
        parts = [one for one in scheduler if one["type"] != "LinearLR" or (one["end"] - one["begin"]) * steps > 1]
        return super().build_param_scheduler(parts)

    @staticmethod
    def build_dataloader(dataloader: Any, seed: int | None = None, diff_rank_seed: bool = False) -> Any:
        """Build as mmengine does, with random numbers of each image's own."""
        try:
            made = Runner.build_dataloader(dataloader, seed, diff_rank_seed)
        except ValueError as error:
            if "need at least one array" not in str(error):  # raised for an empty list of images
                raise
            root = dataloader["dataset"]["data_root"]
            raise InputError(f"{root}: expected images with objects; got none") from None
        if len(made.dataset) == 0:
            raise InputError(f"{made.dataset.data_root}: expected images; got none")
        if not isinstance(made.dataset.pipeline, _Steps):
            made.dataset.pipeline = _Steps(made.dataset.pipeline, seed or 0, len(made.dataset.metainfo["classes"]))
        if len(made) == 0:
            raise InputError(f"{made.dataset.data_root}: expected images for at least one batch; got {len(made.dataset)} images")
        return made
