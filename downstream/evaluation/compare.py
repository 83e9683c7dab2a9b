"""Networks in a table, as in the papers: parameters, 2 x MACs, images/s, memory, accuracy.

rows = compare({"coatnet": preset("coatnet")}, {"classify": (224, 224)}, device="cpu")
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from downstream.evaluation.speed import measure
from downstream.protocols import PROTOCOLS
from uninas.analysis.cost import cost
from uninas.errors import InputError
from uninas.files.reading import parse_json, read_text
from uninas.files.tables import read_numbers
from uninas.graph import Architecture

__all__ = ["METRICS", "Row", "accuracies", "compare", "once", "sizes_of"]

METRICS: dict[str, tuple[tuple[str, str], ...]] = {
    "classify": (("top1", "top-1"),),
    "detect": (("box_ap", "box AP"), ("mask_ap", "mask AP")),
    "segment": (("miou", "mIoU"),),
}
"""Task -> its metrics in percent: the name in our log.csv, and in a table."""

_OTHER_NAMES = {
    "top1_ema": ("top1", 1.0),  # of averaged weights, which are kept where they are better
    "coco/bbox_mAP": ("box_ap", 100.0),
    "coco/segm_mAP": ("mask_ap", 100.0),
    "mIoU": ("miou", 1.0),
}
"""Another name of a metric, in our log or in OpenMMLab's scalars.json -> our name, and the factor to percent."""


@dataclass(frozen=True)
class Row:
    """One network at one task's size.

    Attributes:
        name: of the network.
        task: classify includes a classifier; detect and segment run only the backbone.
        size: (H, W).
        params: including the classifier where there is one.
        macs: multiply-accumulate operations per image.
        pictures_per_second, peak_bytes: images/s and memory of inference, see `downstream.evaluation.speed`; None where they were
            not measured.
        failed: reason why they could not be measured.
        accuracy: metric -> value in percent, from a log.
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
    """Give the size for each task: that of the protocol, or the given ones in order.

    Raises:
        InputError: an unknown task, a repeated one, or another number of sizes than tasks.
    """
    unknown = [task for task in tasks if task not in METRICS]
    if unknown or not tasks:
        raise InputError(f"--tasks: expected some of {', '.join(METRICS)}; got {', '.join(unknown) or 'none'}")
    once("--tasks", tasks)
    if sizes and len(sizes) != len(tasks):
        raise InputError(f"--sizes: expected one for each of {len(tasks)} tasks; got {len(sizes)}")
    return {task: sizes[place] if sizes else PROTOCOLS[task].size for place, task in enumerate(tasks)}


def once(what: str, names: Sequence[str]) -> None:
    """Reject a repeated name, which a table would show only once. Raises InputError."""
    twice = next((name for place, name in enumerate(names) if name in names[:place]), None)
    if twice is not None:
        raise InputError(f"{what}: expected each name once; got {twice} twice")


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
    """Count the costs of networks, and measure their speed and memory.

    Args:
        networks: by name.
        sizes: task -> (H, W), see `sizes_of`.
        device: to measure on; None measures nothing.
        batch, precision: of the measurement.
        classes: of the classifier.
        logs: name -> metrics of its training, see `accuracies`.
        note: called with what is being measured.
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
                except InputError as error:  # out of memory, for example: the other networks can still be measured
                    measured = {"failed": str(error)}
            rows.append(Row(name, task, size, found.params, found.macs, accuracy=figures, **measured))  # type: ignore[arg-type]
    return rows


def accuracies(path: Path, *, needed: bool = True) -> dict[str, float]:
    """Read the best value of each metric of a training's log.

    Args:
        path: a run of `uninas train` (log.csv), a run of MMDetection or MMSegmentation (vis_data/scalars.json), or such a file.
        needed: False where a training may have no metrics yet.

    Raises:
        InputError: no log, one without a known metric, or one that cannot be read.
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
        if file.suffix.lower() == ".csv":
            return read_numbers(file)
        lines = [parse_json(line) for line in read_text(file).splitlines() if line.strip()]
        return [{name: float(value) for name, value in line.items() if isinstance(value, (int, float))} for line in lines]
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise InputError(f"{file}: expected the log of a training; {error}") from None
