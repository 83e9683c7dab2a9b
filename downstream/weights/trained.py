"""What a training leaves for whoever takes its weights: the file, what they are of, the size and the classes of its images.

    found = trained(Path("runs/found"))
    found.file, found.task, found.classes      RUN/best.safetensors, "classify", ("cat", "dog")

The folder is read as files: `downstream.train` writes them, and this room lies below it.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from uninas.errors import InputError
from uninas.files.run_files import odd, read_run_json

__all__ = ["Trained", "trained"]


@dataclass(frozen=True)
class Trained:
    """The best weights of a training.

    Attributes:
        file: of the weights, safetensors; of a detector or a segmenter those of the whole model.
        task: "classify", "detect" or "segment".
        size: (H, W) of the images.
        classes: their names, or None where the training does not state them.
    """

    file: Path
    task: str
    size: tuple[int, int]
    classes: tuple[str, ...] | None


def trained(folder: Path) -> Trained | None:
    """Find the best weights in the folder of a training; None where it is no such folder.

    Raises:
        InputError: a training without weights yet, or with other settings than `uninas train` writes.
    """
    path, file = folder / "settings.json", folder / "best.safetensors"
    if not path.is_file() or not (folder / "architecture.json").is_file():
        return None
    data = read_run_json(folder, path.name, place="the folder of a training", content="the settings of a training")
    with odd(path, expected="the settings of a training"):
        task, classes = str(data["task"]), data["classes"]
        height, width = (int(side) for side in data["size"])
        names = None if classes is None else tuple(str(name) for name in classes)
    if not file.is_file():
        raise InputError(f"{folder}: expected best.safetensors, the weights of a complete epoch; there are none yet")
    return Trained(file, task, (height, width), names)
