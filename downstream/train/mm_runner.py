"""mmengine's Runner, made to resume to the same curve and to read nothing but data.

Three things differ from mmengine's own. A checkpoint is ours: tensors and plain numbers, read by the restricted loader;
mmengine's are pickles, and hold a configuration that a resume runs as Python. It is written after every epoch, before its
validation, which a resume makes up for. And every epoch and every picture draws from seeds of its own, however many processes
read.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import torch
from mmengine.device import get_device
from mmengine.dist import is_distributed
from mmengine.model import MMDistributedDataParallel, revert_sync_batchnorm
from mmengine.registry import LOOPS
from mmengine.runner import EpochBasedTrainLoop, Runner
from torch import nn

from downstream.data.pictures import own_draws, seed_everything
from downstream.weights import weight_files
from uninas.errors import InputError

__all__ = ["CHECKPOINT", "Course", "StackRunner", "model_of"]

CHECKPOINT = "checkpoint.pth"
LOOP = "UniNASEpochs"


class Course(Protocol):
    """What the loop asks of the training around it."""

    seed: int
    run: Path
    resume: bool

    def kept(self) -> Mapping[str, Any]:
        """Give what the checkpoint holds of it."""

    def restore(self, kept: Mapping[str, Any]) -> bool:
        """Take it back; says whether the last epoch's validation is still to be done."""


def model_of(runner: Any) -> nn.Module:
    """Give the model without what wraps it for several processes."""
    model: nn.Module = getattr(runner.model, "module", runner.model)
    return model


class _Steps:
    """The steps between a picture's file and the network, with draws of the picture's own, and errors that name files."""

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
            found = step(results)
        except Exception as error:  # of Pillow, OpenCV, the system, pycocotools, and mmcv's own
            expected = "annotations of its objects; they" if objects and not labels else "a picture; it"
            raise InputError(f"{labels or path}: expected {expected} cannot be read ({type(error).__name__})") from None
        if labels:
            self._check(found["gt_seg_map"], found["ori_shape"], labels)
        return found

    def _check(self, labels: Any, sides: tuple[int, int], path: str) -> None:
        """Look at classes, (H, W), as the stack has them: from 0 on, 255 for none."""
        if labels.shape != tuple(sides):
            wanted, came = ("x".join(map(str, shape)) for shape in (sides, labels.shape))
            raise InputError(f"{path}: expected a class a pixel of its picture, {wanted}; got {came}")
        largest = int(labels.max(where=labels < 255, initial=0))
        if largest >= self._classes:
            raise InputError(f"{path}: expected classes 1 to {self._classes}, and 0 or 255 for none; got {largest + 1}")


@LOOPS.register_module(name=LOOP)
class _Epochs(EpochBasedTrainLoop):
    """mmengine's loop over epochs, with our checkpoints."""

    def run(self) -> nn.Module:
        runner, course = self.runner, self.runner.course
        owed = self._take_up() if course.resume else False
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
            "epoch": self._epoch, "iter": self._iter, "course": dict(runner.course.kept()),
            "state_dict": model_of(runner).state_dict(), "optimiser": runner.optim_wrapper.state_dict(),
            "schedules": [one.state_dict() for one in runner.param_schedulers],
        }  # fmt: skip
        weight_files.save_checkpoint(kept, runner.course.run / CHECKPOINT)

    def _take_up(self) -> bool:
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


class StackRunner(Runner):
    """mmengine's Runner with a course; several processes train one network with GPUs or without."""

    course: Course

    def wrap_model(self, model_wrapper_cfg: Any, model: nn.Module) -> nn.Module:
        """As mmengine, and over CPUs: gradients are averaged wherever there are several processes, whoever launched them."""
        found: nn.Module
        if not is_distributed():
            found = super().wrap_model(model_wrapper_cfg, model)
            return found
        gpus = torch.cuda.is_available()
        found = MMDistributedDataParallel(
            module=model.to(get_device()) if gpus else revert_sync_batchnorm(model),  # CPUs do not know synchronised norms
            device_ids=[torch.cuda.current_device()] if gpus else None,
            broadcast_buffers=False,
            find_unused_parameters=bool(self.cfg.get("find_unused_parameters", False)),
        )
        return found

    def build_param_scheduler(self, scheduler: Any) -> Any:
        """As mmengine; a warm-up of one step is left out, for it would never end."""
        steps = len(self.train_dataloader)
        parts = [one for one in scheduler if one["type"] != "LinearLR" or (one["end"] - one["begin"]) * steps > 1]
        return super().build_param_scheduler(parts)

    @staticmethod
    def build_dataloader(dataloader: Any, seed: int | None = None, diff_rank_seed: bool = False) -> Any:
        """As mmengine, with each picture's own draws."""
        try:
            made = Runner.build_dataloader(dataloader, seed, diff_rank_seed)
        except ValueError as error:
            if "need at least one array" not in str(error):  # the stack's words for a list of no pictures
                raise
            root = dataloader["dataset"]["data_root"]
            raise InputError(f"{root}: expected pictures, and objects on some; there are none") from None
        if len(made.dataset) == 0:
            raise InputError(f"{made.dataset.data_root}: expected pictures; there are none")
        if not isinstance(made.dataset.pipeline, _Steps):
            made.dataset.pipeline = _Steps(made.dataset.pipeline, seed or 0, len(made.dataset.metainfo["classes"]))
        if len(made) == 0:
            raise InputError(
                f"{made.dataset.data_root}: expected at least one batch of pictures to train on; got {len(made.dataset)} pictures"
            )
        return made
