"""`uninas refine`: train the finalists of a search for a few epochs, or resume such trainings."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from downstream.protocols import PRECISIONS
from uninas.commands.completion import runs
from uninas.commands.next_step import say_next
from uninas.commands.options import Number, Size
from uninas.errors import InputError
from uninas.runtime.terminal import console as make_console
from uninas.runtime.terminal import say

if TYPE_CHECKING:
    from downstream.refine.run_folder import RefinePlan

_FOLDER = click.Path(path_type=Path)
_KEPT = (
    "epochs",
    "size",
    "batch",
    "lr",
    "top",
    "beside",
    "reduction",
    "grace",
    "seed",
    "augment",
    "precision",
    "device",
    "gpus_per_trial",
    "cpus_per_trial",
    "workers",
)
"""Options that a refine keeps, and that --resume does not accept."""

_RATE, _RATE_BATCH = 2e-3, 128
"""Learning rate of AdamW for short trainings from scratch, and its batch size; it is scaled with the batch size."""


@click.command("refine")
@click.argument("run", type=_FOLDER, required=False, shell_complete=runs)
@click.option("--data", type=_FOLDER, help="Folder with train/ and val/, each with one folder of images per class.")
@click.option(
    "--resume", type=_FOLDER, metavar="RUN", shell_complete=runs, help="Resume the refine of this run, also after a kill."
)
@click.option(
    "--accept-changes",
    is_flag=True,
    help="With --resume: go on although the data are not those that were trained on; the folders say from which epoch.",
)
@click.option("--top", type=click.IntRange(1), help="Train only the best N finalists; all by default.")
@click.option(
    "--with",
    "beside",
    metavar="NAMES",
    help="Train controls of the search beside its finalists: start,random,resnet or any of RUN/controls; all: every one.",
)
@click.option("--epochs", type=click.IntRange(1), default=10, show_default=True, help="Epochs of a training that is not stopped.")
@click.option("--grace", type=click.IntRange(1), help="Epochs that every finalist gets; a fifth of --epochs by default.")
@click.option(
    "--reduction",
    type=Number(1, min_open=True),
    default=2.0,
    show_default=True,
    help="At each rung (grace, grace x R, ...) only the best 1/R of those that reached it continue.",
)
@click.option("--size", type=Size(), help="Image size in pixels; by default the size at which the search scored.")
@click.option("--batch", type=click.IntRange(1), default=_RATE_BATCH, show_default=True, help="Images per batch.")
@click.option(
    "--lr",
    type=Number(0, min_open=True),
    help="Peak learning rate; by default 2e-3 for a batch of 128, scaled with the batch size.",
)
@click.option(
    "--augment", default="", help="Auto-augment policy of timm, such as rand-m5-n1-mstd0.5; by default only crops and flips."
)
@click.option(
    "--precision",
    type=click.Choice(["auto", *PRECISIONS]),
    default="auto",
    show_default=True,
    help="Precision of the forward pass; auto is bfloat16 on a GPU that supports it, else float32.",
)
@click.option(
    "--seed", type=click.IntRange(0), default=0, show_default=True, help="Seed of all randomness, the same for every finalist."
)
@click.option(
    "--device", type=click.Choice(["cpu", "cuda"]), help="Device of torch; cuda by default where there is a GPU, else cpu."
)
@click.option(
    "--gpus-per-trial",
    type=Number(0, 1),
    help="GPUs per trial, 0.5 for two trials on one GPU; 1 by default with --device cuda, else 0.",
)
@click.option(
    "--cpus-per-trial",
    type=click.IntRange(1),
    default=1,
    show_default=True,
    help="CPU cores per trial, also the number of torch's threads.",
)
@click.option(
    "--workers", type=click.IntRange(0), help="Processes per trial that read images; one less than --cpus-per-trial by default."
)
@click.option("--concurrent", type=click.IntRange(1), help="Trials at a time; by default as many as fit on the machine.")
@click.pass_context
def command(context: click.Context, /, run: Path | None, data: Path | None, resume: Path | None, **options: Any) -> None:
    """Train the finalists of RUN, the folder of a finished search, on DATA for a few epochs, and rank them by accuracy.

    \b
    uninas refine runs/demo-0 --data cifar --epochs 6 --top 4
    uninas refine runs/demo-0 --data cifar --epochs 6 --top 1 --with start,random,resnet --grace 6
    uninas refine runs/mine --data imagenet100 --gpus-per-trial 1 --epochs 20 --grace 4
    uninas refine --resume runs/mine

    Trials run side by side under Ray Tune, and ASHA stops those that fall behind. RUN/refine holds one folder per finalist, as
    uninas train leaves it, results.json and results.csv; the report then shows proxy rank against trained rank. A refine that is
    killed loses only the epochs in progress: what is done is not trained again, and what was stopped stays stopped.

    Beside controls (--with) the report says how far the best is ahead of each; with --grace as large as --epochs none is stopped.
    """

    from downstream.refine import run_folder
    from downstream.refine.tuning import train_finalists
    from downstream.train.trained_on import TrainedOn

    console = make_console(stderr=True)

    def note(text: str) -> None:
        console.print(text, markup=False, highlight=False, soft_wrap=True)

    if resume is not None:
        if run is not None:
            raise InputError("RUN: expected once, after --resume; got two")
        _reject_given(context)
        run, plan = resume, _relocated(run_folder.read_plan(resume), data, options["concurrent"])
        run_folder.check_networks(run, plan)
        if not options["accept_changes"]:
            _check_data(run, plan, note)
    else:
        if run is None or data is None:
            raise InputError("expected the folder of a search and --data FOLDER, or --resume RUN; got neither")
        if options["accept_changes"]:
            raise InputError("--accept-changes: expected only with --resume; a new refine has nothing that could have changed")
        plan, trainings = _plan(run, data, options)
        run_folder.begin(
            run, plan, trainings, TrainedOn(data, partial(_described, data, trainings[plan.finalists[0].name].classes))
        )
    try:
        decisions = train_finalists(run, plan, note=note, accept_changes=options["accept_changes"])
    except KeyboardInterrupt:
        note(f"stopped; resume with: uninas refine --resume {run}")
        raise
    found = run_folder.results(plan, decisions, _held_out(Path(plan.data)))
    run_folder.write_results(run, found)
    _show(found, run_folder.numbers_now(run))
    say(f"{run / run_folder.FOLDER / 'results.json'}")
    _report(run)
    if all(row["status"] == "failed" for row in found["finalists"]):
        raise InputError(
            f"expected at least one finalist that can be trained; all failed, the first with: {found['finalists'][0]['reason']}"
        )
    _say_next(run, plan, found)


def _controls(run: Path, given: str | None) -> list[str]:
    """Give the names of --with; all: those of all files in RUN/controls."""
    if given is None:
        return []
    if given == "all":
        return sorted(file.stem for file in (run / "controls").glob("*.json"))
    return [name.strip() for name in given.split(",")]


def _reject_given(context: click.Context) -> None:
    for name in _KEPT:
        if context.get_parameter_source(name) is click.core.ParameterSource.COMMANDLINE:
            flag = "--with" if name == "beside" else f"--{name.replace('_', '-')}"
            raise InputError(f"{flag}: expected none with --resume, which accepts only --data and --concurrent")


def _relocated(plan: RefinePlan, data: Path | None, concurrent: int | None) -> RefinePlan:
    """Change the plan of a resume, whose images may have moved, on a machine with more or less room."""
    import dataclasses

    changes: dict[str, Any] = {} if data is None else {"data": str(data.absolute())}
    if concurrent is not None:
        changes["concurrent"] = concurrent
    return dataclasses.replace(plan, **changes)


def _plan(run: Path, data: Path, options: dict[str, Any]) -> tuple[RefinePlan, dict[str, Any]]:
    """Make the plan and the settings of each training. Nothing is written, and every mistake that can be seen is reported."""

    from downstream.commands.train import precision_of
    from downstream.data.images import Folder
    from downstream.protocols import PROTOCOLS
    from downstream.refine import run_folder
    from downstream.train.settings import Settings
    from uninas.runtime.device import device_of
    from uninas.source import load_with_metadata
    from uninas.text import to_document

    protocol = PROTOCOLS["classify"]
    finalists = run_folder.finalists_of(run, options["top"], _controls(run, options["beside"]))
    device = str(device_of(options["device"]))
    epochs, batch = options["epochs"], options["batch"]
    grace = options["grace"] or max(1, epochs // 5)
    if grace > epochs:
        raise InputError(f"--grace: expected at most the {epochs} epochs of a training; got {grace}")
    lr = options["lr"] or _RATE * batch / _RATE_BATCH
    common = {
        "classes": Folder.of(data, "train").classes,
        "size": options["size"] or _scored_size(run),
        "batch": batch,
        "processes": 1,
        "epochs": epochs,
        "warmup_epochs": min(protocol.warmup_epochs, epochs // 10),
        "optimiser": protocol.optimiser,
        "weight_decay": protocol.weight_decay,
        "schedule": protocol.schedule,
        "lr": lr,
        "warmup_lr": lr / 1000,
        "min_lr": lr / 100,
        "augment": options["augment"],
        "clip": protocol.clip,
        "drop_path": 0.0,
        "precision": precision_of(options["precision"], device),
        "seed": options["seed"],
    }
    trainings = {}
    for finalist in finalists:
        file = str(run / finalist.file)
        architecture, metadata = load_with_metadata(file)
        if architecture.digest != finalist.digest:
            raise InputError(f"{file}: expected the network {finalist.digest[:12]} of run.json; got {architecture.digest[:12]}")
        trainings[finalist.name] = Settings(arch=to_document(architecture, metadata), **common)
    _check_images(data, trainings[finalists[0].name])
    gpus, room = _share(device, options["gpus_per_trial"], options["cpus_per_trial"])
    workers, concurrent = options["workers"], options["concurrent"] or room
    plan = run_folder.RefinePlan(
        finalists=finalists,
        data=str(data.absolute()),
        epochs=epochs,
        grace=grace,
        reduction=options["reduction"],
        device=device,
        cpus=options["cpus_per_trial"],
        gpus=gpus,
        workers=options["cpus_per_trial"] - 1 if workers is None else workers,
        concurrent=min(concurrent, len(finalists)),
    )
    return plan, trainings


@cache
def _described(data: Path, classes: tuple[str, ...]) -> Any:
    """Describe the data as each training does."""
    from downstream.data.images import Folder, Images

    splits = (("train", True), ("val", False))
    return {name: Images(Folder.of(data, name), classes, training=training).described() for name, training in splits}


def _check_data(run: Path, plan: RefinePlan, note: Any) -> None:
    """Compare the data with those of every training that is to go on, before Ray starts; each compares them again."""
    from downstream.refine import run_folder
    from downstream.train import trained_on
    from downstream.train.settings import read_settings
    from uninas.files.paths import below

    decisions = run_folder.Decisions.read(run / run_folder.FOLDER)
    for finalist in plan.finalists:
        if decisions.end(finalist.name) is None:
            folder = below(run / run_folder.FOLDER, finalist.name)
            describe = partial(_described, Path(plan.data), read_settings(folder).classes)
            trained_on.compare(folder, trained_on.TrainedOn(Path(plan.data), describe, note=note))


def _share(device: str, gpus: float | None, cpus: int) -> tuple[float, int]:
    """Give the GPUs per trial, and how many trials fit on the machine."""
    import torch

    from uninas.runtime.ray_local import cores

    if device == "cpu":
        if gpus:
            raise InputError(f"--gpus-per-trial: expected 0 with --device cpu, where a GPU would be idle; got {gpus:g}")
        return 0.0, max(1, cores() // cpus)
    if gpus == 0:
        raise InputError("--gpus-per-trial: expected more than 0 with --device cuda; got 0")
    share = gpus or 1.0
    return share, torch.cuda.device_count() * int(1 / share + 1e-9)


def _held_out(data: Path) -> int:
    """Count the images that accuracies are measured on."""
    from downstream.data.images import Folder, Images

    folder = Folder.of(data, "val")
    return len(Images(folder, folder.classes, training=False))


def _check_images(data: Path, settings: Any) -> None:
    """Check the folders of images and the augmentation as a trial does, before Ray starts."""
    import torch

    from downstream.data.images import Folder, Images, loader

    for split, training in (("train", True), ("val", False)):
        images = Images(Folder.of(data, split), settings.classes, training=training)
        if images.left_out:
            say(f"warning: {images.left_out}", err=True)
        loader(
            images,
            batch=settings.batch,
            size=settings.size,
            training=training,
            augment=settings.augment if training else "",
            mean=(0.5,) * 3,
            std=(0.5,) * 3,
            workers=0,
            device=torch.device("cpu"),
        )


def _scored_size(run: Path) -> tuple[int, int]:
    from uninas.files.reading import parse_yaml, read_text

    try:
        height, width = parse_yaml(read_text(run / "config.yaml"))["size"]
        return int(height), int(width)
    except (OSError, TypeError, KeyError, ValueError) as error:
        raise InputError(f"{run / 'config.yaml'}: expected the configuration of a search, with its size; {error}") from None


def _show(found: dict[str, Any], now: Mapping[str, str]) -> None:
    """Print the table, best trained first; `now`: names in finalists/ by digest, where the search has gone on since."""
    import sys

    from rich.table import Table

    renumbered = now and any(now.get(row["digest"]) != row["finalist"] for row in found["finalists"])
    columns = ["finalist now"] if renumbered else []
    first = "training" if renumbered else "finalist"
    table = Table(
        first, "network", *columns, "epochs", "top-1, %", "proxy rank", "trained rank", "", box=None, header_style="bold"
    )
    last = len(found["finalists"])
    for row in sorted(found["finalists"], key=lambda row: (row["trained_place"] or last + 1, row["proxy_place"])):
        table.add_row(
            row["finalist"],
            row["digest"][:12],
            *(now.get(row["digest"], "–") for _ in columns),
            f"{row['epochs']}/{found['epochs']}",
            "–" if row["top1"] is None else f"{row['top1']:.2f}",
            str(row["proxy_place"]),
            str(row["trained_place"] or "–"),
            {"stop": "stopped", "failed": f"failed: {row['reason']}"}.get(row["status"], ""),
        )
    make_console(width=None if sys.stdout.isatty() else 120).print(table)
    if renumbered:
        say("the search has gone on since: its finalists are numbered anew, and proxy ranks are those of when the refine began")


def _say_next(run: Path, plan: RefinePlan, found: dict[str, Any]) -> None:
    """Say how the finalist that trained best is trained in full."""
    best = min((row for row in found["finalists"] if row["trained_place"]), key=lambda row: row["trained_place"], default=None)
    if best is not None:
        file = run / next(one.file for one in plan.finalists if one.name == best["finalist"])
        say_next("uninas", "train", file, "--data", plan.data, note="the one that trained best, by the whole protocol")


def _report(run: Path) -> None:
    """Make the report of the run again by its own command; a failure of it hides no result."""
    from uninas.cli import program

    try:
        program.main(args=["report", str(run)], prog_name="uninas", standalone_mode=False)
    except InputError as error:
        say(f"no report: {error}; make it with: uninas report {run}", err=True)
