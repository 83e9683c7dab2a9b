"""Train a classifier on folders of pictures by timm's machinery: loader, augmentation, optimiser, schedule, averaging, tasks.

    train(settings, Path("imagenet"), Path("runs/coatnet"), device="cuda", workers=8)
    train(read(run), Path("imagenet"), run, resume=True)

RUN/settings.json, architecture.json     what was asked for
RUN/checkpoint.pth                       the last epoch: all that a resume needs, tensors and plain data alone
RUN/best.safetensors, last.safetensors   weights; best by top-1, the averaged ones where they were better
RUN/log.csv, curves.svg                  the epochs

Every epoch draws from seeds of its own, and a resume begins at an epoch: the curve of a run that was killed is that of one that
was not, to the last bit on CPUs, and on GPUs as far as their kernels, which may add in any order, repeat themselves. Under
torchrun each process trains its share, and the first one writes.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from contextlib import nullcontext
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import torch
from timm import create_model
from timm.data import Mixup
from timm.optim import create_optimizer_v2
from timm.scheduler import create_scheduler_v2
from timm.task import ClassificationTask
from timm.utils import ModelEmaV3, NativeScaler, distribute_bn
from timm.utils.distributed import init_distributed_device_so
from torch import Tensor, distributed, nn

from downstream.data.pictures import Folder, Pictures, loader, seed_everything, told_plainly, true_classes
from downstream.evaluation.accuracy import Accuracy, accuracy
from downstream.models.backbone import architecture_of, of_batches, of_pictures
from downstream.train.history import write_history
from downstream.train.result import Result, Watch
from downstream.train.run_folder import held
from downstream.train.settings import Settings
from downstream.train.teacher import taught, teacher_of
from downstream.weights import weight_files
from uninas.errors import InputError
from uninas.runtime.device import device_of

__all__ = ["train"]

PANELS = {"loss": ("train_loss", "val_loss"), "top-1, %": ("top1", "top1_ema"), "learning rate": ("lr",)}
CHECKPOINT = "checkpoint.pth"
OVERFLOWS = 0.1
"""Share of an epoch's steps whose loss may overflow in float16: the scaler skips them and scales the next one less."""


@dataclass
class _State:
    """All that moves: kept in the checkpoint."""

    epoch: int = 0
    rows: list[dict[str, float]] = field(default_factory=list)
    best: float = -1.0
    best_epoch: int = 0
    unreadable: set[str] = field(default_factory=set)


def train(
    settings: Settings,
    data: Path,
    run: Path,
    *,
    device: str = "cpu",
    workers: int = 2,
    resume: bool = False,
    watch: Watch | None = None,
) -> Result:
    """Train, or take a training up.

    Args:
        settings: what to do.
        data: folder of the splits, see `downstream.data.pictures`.
        run: folder to create; with `resume` that of the training.
        device: of torch; under torchrun each process takes its own.
        workers: processes that read pictures, for each process that trains.
        watch: told of the progress.

    Raises:
        InputError: of the data, the settings, the weights, the folder or the disk.
            Also where the loss is no number any more: the last checkpoint stays.
    """
    watch = watch or Watch()
    device_of(device)
    place = init_distributed_device_so(device)
    if place["world_size"] != settings.processes:
        raise InputError(
            f"expected {settings.processes} processes, as the learning rates are for; there are {place['world_size']}"
        )
    begun = resume and (run / CHECKPOINT).exists()  # else it was killed within the first epoch
    work = _Work(settings, data, torch.device(place["device"]), place["global_rank"], workers, watch, fresh=not begun)
    first = place["global_rank"] == 0
    with held(settings, run, resume=resume), told_plainly():
        if begun:
            work.load(run / CHECKPOINT)
            if first:  # a kill may have come between the checkpoint and these
                write_history(run, work.state.rows, PANELS)
                watch.resumed(work.state.rows)
        while work.state.epoch < settings.epochs:
            row = work.epoch()
            if first:
                work.save(run)
                write_history(run, work.state.rows, PANELS)
                watch.epoch(row)
    state = work.state
    return Result(tuple(state.rows), "top1", state.best, state.best_epoch, tuple(sorted(state.unreadable)))


class _Work:
    """The parts of one process's training, and an epoch of it."""

    def __init__(
        self, settings: Settings, data: Path, device: torch.device, rank: int, workers: int, watch: Watch, *, fresh: bool
    ) -> None:
        self._settings, self._device, self._rank, self._watch = settings, device, rank, watch
        self._distributed = settings.processes > 1
        self.state = _State()
        seed_everything(settings.seed)
        self._model = _model(settings, fresh).to(device)
        task: Any = _task(self._model, settings, device)
        self._trainable: nn.Module = task.get_trainable_module()  # the model, and with a teacher the map between their features
        self._train, self._train_loader = self._loader(data, "train", workers)
        self._val, self._val_loader = self._loader(data, "val", workers)
        self._mixup = None
        if settings.mixup:
            if settings.batch % 2:
                raise InputError(f"--batch: expected an even number, for --mixup joins pictures in pairs; got {settings.batch}")
            self._mixup = Mixup(settings.mixup, label_smoothing=settings.smoothing, num_classes=len(settings.classes))
        self._optimiser = create_optimizer_v2(
            self._trainable, opt=settings.optimiser, lr=settings.lr, weight_decay=settings.weight_decay, momentum=0.9
        )
        self._schedule, _ = create_scheduler_v2(
            self._optimiser,
            sched=settings.schedule,
            num_epochs=settings.epochs,
            warmup_epochs=settings.warmup_epochs,
            warmup_lr=settings.warmup_lr,
            min_lr=settings.min_lr,
            step_on_epochs=False,
            updates_per_epoch=len(self._train_loader),
        )
        self._ema = ModelEmaV3(self._model, decay=settings.ema) if settings.ema else None
        self._scaler = NativeScaler(device=device.type) if settings.precision == "float16" else None
        if self._distributed:
            # Static: stored forms hold norms that no gradient reaches, which DDP would wait for.
            task.prepare_distributed(device_ids=[device] if device.type == "cuda" else None, static_graph=True)
        self._task = task

    def _loader(self, data: Path, split: str, workers: int) -> tuple[Pictures, Any]:
        settings, training = self._settings, split == "train"
        part = (0, 1) if training else (self._rank, settings.processes)
        pictures = Pictures(Folder.of(data, split), settings.classes, training=training, part=part)
        config = self._model.pretrained_cfg
        return pictures, loader(
            pictures, batch=settings.batch, size=settings.size, training=training,
            augment=settings.augment if training else "", mean=config["mean"], std=config["std"],
            workers=workers, device=self._device, erase=settings.erase if training else 0.0, processes=settings.processes,
            seed=settings.seed,
        )  # fmt: skip

    def epoch(self) -> dict[str, float]:
        """Train for an epoch and evaluate; moves the state on."""
        state, settings = self.state, self._settings
        clock = time.perf_counter()
        seed_everything(settings.seed, 1 + state.epoch, self._rank)
        self._train.seeds = (settings.seed, 1 + state.epoch)
        if self._distributed:
            self._train_loader.sampler.set_epoch(state.epoch)
        self._task.train()
        loss, seen = self._pass()
        trained = time.perf_counter() - clock
        if self._distributed:
            for model in (self._model, *(() if self._ema is None else (self._ema.module,))):
                distribute_bn(model, settings.processes, reduce=True)
        found = self._evaluate(self._model)
        row = {
            "epoch": state.epoch + 1, "lr": self._optimiser.param_groups[0]["lr"], "train_loss": loss, "val_loss": found.loss,
            "top1": found.top1, "top5": found.top5,
        }  # fmt: skip
        if self._ema is not None:
            averaged = self._evaluate(self._ema.module)
            row |= {"top1_ema": averaged.top1, "top5_ema": averaged.top5}
        row |= {"seconds": time.perf_counter() - clock, "pictures_per_second": seen / trained}
        state.rows.append(row)
        state.epoch += 1
        return row

    def _pass(self) -> tuple[float, int]:
        settings, steps = self._settings, len(self._train_loader)
        update = self.state.epoch * steps
        sums = torch.zeros(2, dtype=torch.float64, device=self._device)  # of the losses, of the steps that have one
        bad = list[Tensor]()
        for step, (pictures, targets) in enumerate(self._train_loader):
            self._schedule.step_update(update + step)
            pictures = pictures.to(self._device)
            targets, replaced = true_classes(targets.to(self._device), len(settings.classes))
            bad.append(replaced)
            if self._mixup is not None:
                pictures, targets = self._mixup(pictures, targets)
            with _autocast(self._device, settings.precision):
                loss = self._task(pictures, targets)["loss"]
            self._backward(loss)
            if self._ema is not None:
                self._ema.update(self._model)
            value = loss.detach().double()
            sums += torch.stack([value.nan_to_num(0.0, 0.0, 0.0), torch.isfinite(value).double()])
            self._watch.step(self.state.epoch, settings.epochs, step, steps, partial(float, loss.detach()))
        numbers = torch.cat(bad).cpu()
        self._note_unreadable(self._train, (numbers[numbers > 0] - 1).tolist())
        if self._distributed:
            distributed.all_reduce(sums)
        total, finite = sums.tolist()
        expected = steps * settings.processes
        if expected - finite > (OVERFLOWS * expected if self._scaler is not None else 0):
            raise InputError(
                f"epoch {self.state.epoch + 1}: expected a loss; in {expected - finite:.0f} of {expected} steps it is no number: "
                "try a smaller learning rate, or --precision float32"
            )
        return total / finite, expected * settings.batch

    def _backward(self, loss: Tensor) -> None:
        self._optimiser.zero_grad()
        clip = self._settings.clip
        if self._scaler is not None:
            self._scaler(loss, self._optimiser, clip_grad=clip, parameters=self._trainable.parameters())
            return
        loss.backward()
        if clip is not None:
            nn.utils.clip_grad_norm_(self._trainable.parameters(), clip)
        self._optimiser.step()

    def _evaluate(self, model: nn.Module) -> Accuracy:
        with _autocast(self._device, self._settings.precision):
            found = accuracy(model, self._val_loader, self._device, distributed=self._distributed)
        self._note_unreadable(self._val, found.unreadable)
        return found

    def _note_unreadable(self, pictures: Pictures, numbers: Iterable[int]) -> None:
        names = [{pictures.name(number) for number in numbers}]
        if self._distributed:
            names = [set()] * self._settings.processes
            distributed.all_gather_object(names, {pictures.name(number) for number in numbers})
        new = set().union(*names) - self.state.unreadable
        if new:
            self._watch.note(f"warning: {len(new)} pictures cannot be read and are skipped, the first is {min(new)}")
            self.state.unreadable |= new

    def save(self, run: Path) -> None:
        """Write the checkpoint, and the weights apart."""
        state, row = self.state, self.state.rows[-1]
        about = {"epoch": str(state.epoch), "top1": f"{row['top1']:.4f}", "averaged": "no"}
        weight_files.save(self._model.state_dict(), run / "last.safetensors", about)
        better, model = row["top1"], self._model
        if self._ema is not None and row["top1_ema"] > better:
            better, model = row["top1_ema"], self._ema.module
            about |= {"top1": f"{better:.4f}", "averaged": "yes"}
        if better > state.best:
            state.best, state.best_epoch = better, state.epoch
            weight_files.save(model.state_dict(), run / "best.safetensors", about)
        kept = {
            "epoch": state.epoch, "rows": state.rows, "best": state.best, "best_epoch": state.best_epoch,
            "unreadable": sorted(state.unreadable), "state_dict": self._model.state_dict(), "map": self._map(),
            "optimiser": self._optimiser.state_dict(),
        }  # fmt: skip
        if self._ema is not None:
            kept["state_dict_ema"] = self._ema.module.state_dict()
        if self._scaler is not None:
            kept["scaler"] = self._scaler.state_dict()
        weight_files.save_checkpoint(kept, run / CHECKPOINT)

    def _map(self) -> dict[str, Tensor]:
        """Give what is trained beside the model."""
        return {name: value for name, value in self._trainable.state_dict().items() if name.startswith("projection.")}

    def load(self, path: Path) -> None:
        """Go on where a checkpoint was written."""
        kept = weight_files.read_checkpoint(path)
        try:
            self._model.load_state_dict(kept["state_dict"])
            if self._map():
                self._trainable.load_state_dict(kept["map"], strict=False)
            self._optimiser.load_state_dict(kept["optimiser"])
            if self._ema is not None:
                self._ema.module.load_state_dict(kept["state_dict_ema"])
            if self._scaler is not None:
                self._scaler.load_state_dict(kept["scaler"])
            self.state = _State(kept["epoch"], kept["rows"], kept["best"], kept["best_epoch"], set(kept["unreadable"]))
        except (KeyError, ValueError, RuntimeError, TypeError) as error:
            raise InputError(f"{path}: expected the checkpoint of this training; {str(error)[:200]}") from None


def _model(settings: Settings, fresh: bool) -> Any:
    architecture = architecture_of(settings.arch)
    of_pictures(architecture)
    of_batches(architecture, settings.batch, settings.size)
    model = create_model("uninas", arch=dict(settings.arch), num_classes=len(settings.classes), drop_path_rate=settings.drop_path)
    if settings.norm_momentum is not None:
        for module in model.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.momentum = settings.norm_momentum
    if settings.weights is not None and fresh:  # a checkpoint has all weights: the file may be gone by then
        weight_files.load(model, settings.weights, new_head=True)
    return model


def _task(model: nn.Module, settings: Settings, device: torch.device) -> nn.Module:
    criterion = nn.CrossEntropyLoss(label_smoothing=0.0 if settings.mixup else settings.smoothing)  # mixed classes are smoothed
    if settings.teacher is None:
        return ClassificationTask(model, criterion, device=device, verbose=False)
    teacher = teacher_of(settings.teacher, settings.teacher_weights, len(settings.classes))
    return taught(
        model, teacher, criterion, device=device, size=settings.teacher_size, logits=settings.teacher_logits,
        features=settings.teacher_features, temperature=settings.temperature,
    )  # fmt: skip


def _autocast(device: torch.device, precision: str) -> Any:
    if precision == "float32":
        return nullcontext()
    return torch.autocast(device.type, dtype=getattr(torch, precision))
