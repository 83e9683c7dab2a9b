"""Train a classifier on folders of images with timm's loader, augmentation, optimiser, schedule, averaging and tasks.

    train(settings, Path("imagenet"), Path("runs/coatnet"), device="cuda", workers=8)
    train(read_settings(run), Path("imagenet"), run, resume=True)

RUN/settings.json, architecture.json     the settings
RUN/data.json                            what tells the data from others, see `downstream.train.trained_on`
RUN/checkpoint.pth                       the last epoch: all that a resume needs, only tensors and plain data
RUN/best.safetensors, last.safetensors   weights; best by top-1, the averaged ones where they are better
RUN/log.csv, curves.svg                  the epochs

Every epoch has its own seeds, and a resume begins at an epoch: a run that was killed and resumed has the same curve as one that
was not, bit by bit on CPUs, and on GPUs as far as their kernels, which may add in any order, are reproducible. Under torchrun
each process trains on its share, and the first one writes.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import torch
from timm.data import Mixup
from timm.optim import create_optimizer_v2
from timm.scheduler import create_scheduler_v2
from timm.utils import ModelEmaV3, NativeScaler, distribute_bn
from timm.utils.distributed import init_distributed_device_so
from torch import Tensor, distributed, nn

from downstream.data.fingerprint import Fingerprint
from downstream.data.images import Images, seed_everything, true_classes
from downstream.data.readers import plain_errors
from downstream.evaluation.accuracy import Accuracy, accuracy
from downstream.train.history import write_history
from downstream.train.parts import Split, autocast, mixup_of, model_of, split_of, task_of
from downstream.train.result import Result, Watch
from downstream.train.run_folder import held
from downstream.train.settings import Settings
from downstream.train.trained_on import TrainedOn
from downstream.weights import weight_files
from uninas.errors import InputError
from uninas.runtime.device import device_of

__all__ = ["train"]

PANELS = {"loss": ("train_loss", "val_loss"), "top-1, %": ("top1", "top1_ema"), "learning rate": ("lr",)}
CHECKPOINT = "checkpoint.pth"
OVERFLOWS = 0.1
"""Share of an epoch's steps whose loss may overflow in float16: the scaler skips them and reduces its scale."""


@dataclass
class _State:
    """The state of a training: kept in the checkpoint."""

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
    accept_changes: bool = False,
) -> Result:
    """Train, or resume a training.

    Args:
        settings: of the training.
        data: folder of the splits, see `downstream.data.images`.
        run: folder to create; with `resume` that of the training.
        device: of torch; under torchrun each process takes its own.
        workers: processes that read images, per training process.
        watch: called on the progress.
        accept_changes: with `resume`: go on although the data are not those that were trained on.

    Raises:
        InputError: of the data, the settings, the weights, the folder or the disk; or the loss is not finite any more, in which
            case the last checkpoint is kept.
    """
    watch = watch or Watch()
    device_of(device)
    place = init_distributed_device_so(device)
    if place["world_size"] != settings.processes:
        raise InputError(
            f"expected {settings.processes} processes, for which the learning rates are set; got {place['world_size']}"
        )
    begun = resume and (run / CHECKPOINT).exists()  # else it was killed in the first epoch
    rank = place["global_rank"]
    work = _Work.prepare(settings, data, torch.device(place["device"]), rank, workers, watch, fresh=not begun)
    first = rank == 0
    on = TrainedOn(data, work.data, accepted=accept_changes, note=watch.note)
    with held(settings, run, on, resume=resume), plain_errors():
        if begun:
            work.load(run / CHECKPOINT)
            if first:  # a kill may have come between the checkpoint and this
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


@dataclass
class _Work:
    """The parts of the training of one process. Use `prepare`.

    Attributes:
        model: the network.
        task: the model and the loss, wrapped for several processes where there are any.
        trainable: the model, and with a teacher the projection between their features.
        mixup: mixes the images of a batch, or None.
        schedule: of the learning rate.
        ema: averages the weights, or None.
        scaler: of the gradients in float16, or None.
        state: of the training, which changes with every epoch.
    """

    settings: Settings
    device: torch.device
    rank: int
    watch: Watch
    model: Any
    task: Any
    trainable: nn.Module
    train: Split
    val: Split
    mixup: Mixup | None
    optimiser: torch.optim.Optimizer
    schedule: Any
    ema: ModelEmaV3 | None
    scaler: Any
    state: _State = field(default_factory=_State)

    @classmethod
    def prepare(
        cls, settings: Settings, data: Path, device: torch.device, rank: int, workers: int, watch: Watch, *, fresh: bool
    ) -> _Work:
        """Build the parts of a training; `fresh` unless a checkpoint is loaded next.

        Raises:
            InputError: of the data, the settings or the weights.
        """
        seed_everything(settings.seed)
        model = model_of(settings, fresh).to(device)
        task: Any = task_of(model, settings, device)
        trainable: nn.Module = task.get_trainable_module()
        train, val = (split_of(settings, data, split, model, device, rank, workers) for split in ("train", "val"))
        if rank == 0:
            for text in filter(None, (train.images.left_out, val.images.left_out)):
                watch.note(f"warning: {text}")
        optimiser = create_optimizer_v2(
            trainable, opt=settings.optimiser, lr=settings.lr, weight_decay=settings.weight_decay, momentum=0.9
        )
        schedule, _ = create_scheduler_v2(
            optimiser,
            sched=settings.schedule,
            num_epochs=settings.epochs,
            warmup_epochs=settings.warmup_epochs,
            warmup_lr=settings.warmup_lr,
            min_lr=settings.min_lr,
            step_on_epochs=False,
            updates_per_epoch=len(train.batches),
        )
        ema = ModelEmaV3(model, decay=settings.ema) if settings.ema else None
        if settings.processes > 1:
            # Static: stored forms hold norms without a gradient, for which DDP would wait.
            task.prepare_distributed(device_ids=[device] if device.type == "cuda" else None, static_graph=True)
        return cls(
            settings=settings,
            device=device,
            rank=rank,
            watch=watch,
            model=model,
            task=task,
            trainable=trainable,
            train=train,
            val=val,
            mixup=mixup_of(settings),
            optimiser=optimiser,
            schedule=schedule,
            ema=ema,
            scaler=NativeScaler(device=device.type) if settings.precision == "float16" else None,
        )

    def data(self) -> Fingerprint:
        """Describe the data."""
        return {"train": self.train.images.described(), "val": self.val.images.described()}

    @property
    def _distributed(self) -> bool:
        return self.settings.processes > 1

    def epoch(self) -> dict[str, float]:
        """Train for an epoch and evaluate; updates the state."""
        state, settings = self.state, self.settings
        clock = time.perf_counter()
        seed_everything(settings.seed, 1 + state.epoch, self.rank)
        self.train.images.seeds = (settings.seed, 1 + state.epoch)
        if self._distributed:
            self.train.batches.sampler.set_epoch(state.epoch)
        self.task.train()
        loss, seen = self._pass()
        trained = time.perf_counter() - clock
        if self._distributed:
            for model in (self.model, *(() if self.ema is None else (self.ema.module,))):
                distribute_bn(model, settings.processes, reduce=True)
        found = self._evaluate(self.model)
        row = {
            "epoch": state.epoch + 1,
            "lr": self.optimiser.param_groups[0]["lr"],
            "train_loss": loss,
            "val_loss": found.loss,
            "top1": found.top1,
            "top5": found.top5,
        }
        if self.ema is not None:
            averaged = self._evaluate(self.ema.module)
            row |= {"top1_ema": averaged.top1, "top5_ema": averaged.top5}
        row |= {"seconds": time.perf_counter() - clock, "pictures_per_second": seen / trained}
        state.rows.append(row)
        state.epoch += 1
        return row

    def _pass(self) -> tuple[float, int]:
        settings, steps = self.settings, len(self.train.batches)
        update = self.state.epoch * steps
        sums = torch.zeros(2, dtype=torch.float64, device=self.device)  # of the losses, and of the steps with a finite one
        bad = list[Tensor]()
        for step, (images, targets) in enumerate(self.train.batches):
            self.schedule.step_update(update + step)
            images = images.to(self.device)
            targets, replaced = true_classes(targets.to(self.device), len(settings.classes))
            bad.append(replaced)
            if self.mixup is not None:
                images, targets = self.mixup(images, targets)
            with autocast(self.device, settings.precision):
                loss = self.task(images, targets)["loss"]
            self._backward(loss)
            if self.ema is not None:
                self.ema.update(self.model)
            value = loss.detach().double()
            sums += torch.stack([value.nan_to_num(0.0, 0.0, 0.0), torch.isfinite(value).double()])
            self.watch.step(self.state.epoch, settings.epochs, step, steps, partial(float, loss.detach()))
        numbers = torch.cat(bad).cpu()
        self._note_unreadable(self.train.images, (numbers[numbers > 0] - 1).tolist())
        if self._distributed:
            distributed.all_reduce(sums)
        total, finite = sums.tolist()
        expected = steps * settings.processes
        if expected - finite > (OVERFLOWS * expected if self.scaler is not None else 0):
            raise InputError(
                f"epoch {self.state.epoch + 1}: expected a finite loss; got none in {expected - finite:.0f} of {expected} steps: "
                "try a smaller learning rate, or --precision float32"
            )
        return total / finite, expected * settings.batch

    def _backward(self, loss: Tensor) -> None:
        self.optimiser.zero_grad()
        clip = self.settings.clip
        if self.scaler is not None:
            self.scaler(loss, self.optimiser, clip_grad=clip, parameters=self.trainable.parameters())
            return
        loss.backward()
        if clip is not None:
            nn.utils.clip_grad_norm_(self.trainable.parameters(), clip)
        self.optimiser.step()

    def _evaluate(self, model: nn.Module) -> Accuracy:
        with autocast(self.device, self.settings.precision):
            found = accuracy(model, self.val.batches, self.device, distributed=self._distributed)
        self._note_unreadable(self.val.images, found.unreadable)
        return found

    def _note_unreadable(self, images: Images, numbers: Iterable[int]) -> None:
        names = [{images.name(number) for number in numbers}]
        if self._distributed:
            names = [set()] * self.settings.processes
            distributed.all_gather_object(names, {images.name(number) for number in numbers})
        new = set().union(*names) - self.state.unreadable
        if new:
            self.watch.note(f"warning: {len(new)} images cannot be read and are skipped, the first is {min(new)}")
            self.state.unreadable |= new

    def save(self, run: Path) -> None:
        """Write the checkpoint, and the weights in files of their own."""
        state, row = self.state, self.state.rows[-1]
        about = {"epoch": str(state.epoch), "top1": f"{row['top1']:.4f}", "averaged": "no"}
        weight_files.save(self.model.state_dict(), run / "last.safetensors", about)
        better, model = row["top1"], self.model
        if self.ema is not None and row["top1_ema"] > better:
            better, model = row["top1_ema"], self.ema.module
            about |= {"top1": f"{better:.4f}", "averaged": "yes"}
        if better > state.best:
            state.best, state.best_epoch = better, state.epoch
            weight_files.save(model.state_dict(), run / "best.safetensors", about)
        kept = {
            "epoch": state.epoch,
            "rows": state.rows,
            "best": state.best,
            "best_epoch": state.best_epoch,
            "unreadable": sorted(state.unreadable),
            "state_dict": self.model.state_dict(),
            "map": self._map(),
            "optimiser": self.optimiser.state_dict(),
        }
        if self.ema is not None:
            kept["state_dict_ema"] = self.ema.module.state_dict()
        if self.scaler is not None:
            kept["scaler"] = self.scaler.state_dict()
        weight_files.save_checkpoint(kept, run / CHECKPOINT)

    def _map(self) -> dict[str, Tensor]:
        """Give what is trained in addition to the model."""
        return {name: value for name, value in self.trainable.state_dict().items() if name.startswith("projection.")}

    def load(self, path: Path) -> None:
        """Continue from a checkpoint. Raises InputError: it is of another training."""
        kept = weight_files.read_checkpoint(path)
        try:
            self.model.load_state_dict(kept["state_dict"])
            if self._map():
                self.trainable.load_state_dict(kept["map"], strict=False)
            self.optimiser.load_state_dict(kept["optimiser"])
            if self.ema is not None:
                self.ema.module.load_state_dict(kept["state_dict_ema"])
            if self.scaler is not None:
                self.scaler.load_state_dict(kept["scaler"])
            self.state = _State(kept["epoch"], kept["rows"], kept["best"], kept["best_epoch"], set(kept["unreadable"]))
        except (KeyError, ValueError, RuntimeError, TypeError) as error:
            raise InputError(f"{path}: expected the checkpoint of this training; {str(error)[:200]}") from None
