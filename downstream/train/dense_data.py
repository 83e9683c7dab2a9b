"""The data of detection and segmentation, all of them checked before a run folder is created.

    annotations = check_data(settings, Path("data/coco"), Path("runs/mask-rcnn"), training=True, note=print)

In a training by several processes, the first one looks at the images, and writes the copies of what is repaired.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from downstream.data.coco import check_annotations, write_repaired
from downstream.data.fingerprint import Fingerprint, below_folder, of_content
from downstream.data.layouts import check_images, check_pairs
from downstream.train.run_folder import first_only
from downstream.train.settings import OpenMMLabSettings
from uninas.errors import InputError

__all__ = ["LAYOUT", "Note", "check_data", "described"]

Note = Callable[[str], None]

LAYOUT = {
    "detect": ("annotations/instances_train2017.json", "annotations/instances_val2017.json", "train2017", "val2017"),
    "segment": ("images/training", "annotations/training", "images/validation", "annotations/validation"),
}
"""Task -> what the folder of the data must contain: the layouts of COCO and ADE20K."""

_CLASSES = 150
"""Of ADE20K."""


def check_data(settings: OpenMMLabSettings, data: Path, run: Path, *, training: bool, note: Note) -> dict[str, Path]:
    """Check all data of a training, or of an evaluation.

    Args:
        settings: of the training.
        data: folder in the layout of COCO or ADE20K.
        run: beside which repaired annotations are copied, to RUN.annotations; those of an evaluation are copied into it.
        training: whether the training images are needed too.
        note: called with a line on what is repaired, left out or in doubt.

    Returns:
        The copies to use, by the file of the layout that they replace.

    Raises:
        InputError: what makes results wrong; other classes than those of the training.
    """
    if settings.task == "segment":
        folders = LAYOUT["segment"] if training else LAYOUT["segment"][2:]

        def look() -> None:
            for images, labels in zip(folders[::2], folders[1::2], strict=True):
                _say(check_pairs(data / images, data / labels, _CLASSES), note)

        first_only(look)
        return {}
    splits = ("train", "val") if training else ("val",)
    files = {split: f"annotations/instances_{split}2017.json" for split in splits}
    found = {split: check_annotations(data / file, training=split == "train") for split, file in files.items()}
    names = settings.classes or found["val"].classes
    for split, one in found.items():
        if one.classes != names:  # OpenMMLab numbers classes by their order in the file
            raise InputError(
                f"{data / files[split]}: expected the {len(names)} classes {_few(names)} in this order; "
                f"got {len(one.classes)}: {_few(one.classes)}"
            )
    place = run.with_name(f"{run.name}.annotations") if training else run
    copies = {file: place / Path(file).name for split, file in files.items() if found[split].repaired}

    def look_and_repair() -> None:
        for split, one in found.items():
            _say((*one.notes, *check_images(data / f"{split}2017", one.pictures)), note)
        for file, copy in copies.items():
            write_repaired(data / file, copy)
            note(f"{data / file}: used in a repaired copy, {copy}")

    first_only(look_and_repair)
    return copies


def described(task: str, data: Path) -> Fingerprint:
    """Give what tells the data of a training from others: annotations by their content, images and masks as files."""
    places = ((name, data / name) for name in LAYOUT[task])
    return {name: below_folder(path) if path.is_dir() else of_content(path) for name, path in places}


def _say(lines: tuple[str, ...], note: Note) -> None:
    for line in lines:
        note(f"warning: {line}")


def _few(names: tuple[str, ...]) -> str:
    return ", ".join(names[:4]) + (", ..." if len(names) > 4 else "")
