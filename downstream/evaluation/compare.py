"""Networks side by side, as in the papers' tables: params, 2 x MACs, pictures a second, memory, accuracy.

rows = compare({"coatnet": preset("coatnet")}, {"classify": (224, 224)}, device="cpu")
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from downstream.evaluation.speed import measure
from downstream.protocols import PROTOCOLS
from uninas.analysis.cost import cost
from uninas.errors import InputError
from uninas.graph import Architecture
from uninas.runtime.files import read_numbers

__all__ = ["METRICS", "Row", "accuracies", "compare", "once", "sizes_of"]

METRICS: dict[str, tuple[tuple[str, str], ...]] = {
    "classify": (("top1", "top-1"),),
    "detect": (("box_ap", "box AP"), ("mask_ap", "mask AP")),
    "segment": (("miou", "mIoU"),),
}
"""Task -> its figures, in percent: the name in our log.csv, and in a table."""

_OTHER_NAMES = {
    "top1_ema": ("top1", 1.0),  # of averaged weights, which are the best where they are better
    "coco/bbox_mAP": ("box_ap", 100.0), "coco/segm_mAP": ("mask_ap", 100.0), "mIoU": ("miou", 1.0),
}  # fmt: skip
"""What a log, ours or OpenMMLab's scalars.json, calls a figure besides -> our name, and what makes percent of it."""


@dataclass(frozen=True)
class Row:
    """One network at one task's size.

    Attributes:
        name: of the network.
        task: classify has a classifier; detect and segment run the backbone alone.
        size: (H, W).
        params: with the classifier's where there is one.
        macs: multiply-accumulates of one picture.
        pictures_per_second, peak_bytes: of inference, see `downstream.evaluation.speed`; None where it was
            not measured, or not possible.
        failed: why not.
        accuracy: figure -> value in percent, from a log.
    """

    name: str
    task: str
    size: tuple[int, int]
    params: int
    macs: int
    pictures_per_second: float | None = None
    peak_bytes: int | None = None
    device: str | None = None
    failed: str | None = None
    accuracy: Mapping[str, float] | None = None


def sizes_of(tasks: Sequence[str], sizes: Sequence[tuple[int, int]] = ()) -> dict[str, tuple[int, int]]:
    """Give each task its size: the protocol's, or those given, in order.

    Raises:
        InputError: an unknown task, one that is there twice, or another number of sizes than tasks.
    """
    unknown = [task for task in tasks if task not in METRICS]
    if unknown or not tasks:
        raise InputError(f"--tasks: expected some of {', '.join(METRICS)}; got {', '.join(unknown) or 'none'}")
    once("--tasks", tasks)
    if sizes and len(sizes) != len(tasks):
        raise InputError(f"--sizes: expected one for each of {len(tasks)} tasks; got {len(sizes)}")
    return {task: sizes[place] if sizes else PROTOCOLS[task].size for place, task in enumerate(tasks)}


def once(what: str, names: Sequence[str]) -> None:
    """Refuse a name that is there twice: a table would show it once. Raises InputError."""
    twice = next((name for place, name in enumerate(names) if name in names[:place]), None)
    if twice is not None:
        raise InputError(f"{what}: expected each once; got {twice} twice")


def compare(
    networks: Mapping[str, Architecture],
    sizes: Mapping[str, tuple[int, int]],
    *,
    device: str | None = None,
    batch: int = 1,
    precision: str = "float32",
    classes: int = 1000,
    logs: Mapping[str, Mapping[str, float]] | None = None,
    note: Callable[[str], None] = lambda text: None,
) -> list[Row]:
    """Count and measure.

    Args:
        networks: by name.
        sizes: task -> (H, W), see `sizes_of`.
        device: to measure on; None measures nothing.
        batch, precision: of the measurement.
        classes: of the classifier.
        logs: name -> figures of its training, see `accuracies`.
        note: told what is measured.
    """
    rows = []
    for name, architecture in networks.items():
        for task, size in sizes.items():
            outputs = classes if task == "classify" else 0
            found = cost(architecture, size, outputs)
            figures = {key: logs[name][key] for key, _ in METRICS[task] if key in logs[name]} if logs and logs.get(name) else None
            measured: dict[str, object] = {}
            if device is not None:
                note(f"measuring {name}, {task} at {size[0]}x{size[1]}, batch {batch} on {device}")
                try:
                    speed = measure(architecture, size=size, classes=outputs, batch=batch, device=device, precision=precision)
                    measured = {name: value for name, value in asdict(speed).items() if name != "spread"}
                except InputError as error:  # out of memory, say: the other networks' figures are worth having
                    measured = {"failed": str(error)}
            rows.append(Row(name, task, size, found.params, found.macs, accuracy=figures, **measured))  # type: ignore[arg-type]
    return rows


def accuracies(path: Path, *, needed: bool = True) -> dict[str, float]:
    """Read the best figures of a training's log, each by itself.

    Args:
        path: a run of `uninas train` (log.csv), a run of MMDetection or MMSegmentation (vis_data/scalars.json), or such a file.
        needed: False where a training may have no figure yet.

    Raises:
        InputError: there is none, or it has no figures that we know; in any case a log that cannot be read.
    """
    files = [path] if path.is_file() else [path / "log.csv", *sorted(path.glob("**/vis_data/scalars.json"))]
    known = {key: (key, 1.0) for names in METRICS.values() for key, _ in names} | _OTHER_NAMES
    best: dict[str, float] = {}
    for file in files:
        if file.is_file():
            for row in _rows(file):
                for key in known.keys() & row.keys():
                    name, scale = known[key]
                    best[name] = max(best.get(name, float("-inf")), scale * row[key])
    if needed and not best:
        raise InputError(f"{path}: expected a training's log.csv or scalars.json with {', '.join(sorted(known))}; got none")
    return best


def _rows(file: Path) -> list[dict[str, float]]:
    try:
        if file.suffix == ".csv":
            return read_numbers(file)
        lines = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines() if line.strip()]
        return [{name: float(value) for name, value in line.items() if isinstance(value, (int, float))} for line in lines]
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise InputError(f"{file}: expected the log of a training; {error}") from None
