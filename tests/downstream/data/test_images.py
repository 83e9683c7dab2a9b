"""Folders of images: classes, and images that cannot be read."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from downstream.data.images import Folder, Images, true_classes
from downstream.train.classify import train
from downstream.train.result import Watch
from tests.downstream import pictures
from tests.downstream.trainings import rows_of, settings
from uninas import InputError


def test_unreadable_images_are_counted_and_skipped(tmp_path: Path) -> None:
    data = pictures.make(tmp_path / "data")
    whole = data / "train/red/03.png"
    whole.write_bytes(whole.read_bytes()[:200])
    (data / "val/blue/01.png").write_bytes(b"no image")
    said: list[str] = []

    class Notes(Watch):
        def note(self, text: str) -> None:
            said.append(text)

    found = train(settings(epochs=2), data, tmp_path / "run", workers=1, watch=Notes())
    assert found.unreadable == ("train/red/03.png", "val/blue/01.png")
    assert len(said) == 2
    assert all("cannot be read and are skipped" in text for text in said)
    shares = [float(row["top1"]) * 23 / 100 for row in rows_of(tmp_path / "run")]  # of 24 images 23 count
    assert shares == pytest.approx([round(share) for share in shares], abs=1e-3)


def test_the_next_image_takes_the_place_of_an_unreadable_one(tmp_path: Path) -> None:
    folder = pictures.make(tmp_path / "data", train=4)
    red = folder / "train" / "red"
    (red / "01.png").write_bytes(b"no image")
    (red / "02.png").unlink()
    (red / "02.png").symlink_to("nowhere.png")
    found = Images(Folder.of(folder, "train"), pictures.CLASSES, training=True)
    found.transform = np.asarray
    assert len(found) == 12
    with Image.open(red / "03.png") as image:
        expected = np.asarray(image)
    for place in (9, 10, 11):
        assert np.array_equal(found[place][0], expected)
    classes, replaced = true_classes(torch.tensor([found[place][1] for place in range(12)]), 3)
    assert classes.tolist() == [place // 4 for place in range(12)]
    assert replaced.tolist() == [0] * 9 + [10, 11, 0]
    assert found.name(9) == "train/red/01.png"
    looked = Images(Folder.of(folder, "train"), pictures.CLASSES)
    looked.transform = np.asarray
    assert [looked[place][1] for place in (8, 9, 10)] == [2, -10, -11]
    for path in (folder / "train").glob("*/*.png"):
        path.unlink()
        path.write_bytes(b"")
    with pytest.raises(InputError, match="none of the 12 files can be read"):
        found[0]


def test_where_no_image_can_be_read_there_is_no_score(tmp_path: Path) -> None:
    """Nor the words of the process that read them."""
    for split, said in (
        ("val", "expected images to evaluate; none can be read"),
        ("train", "none of the 48 files can be read"),
    ):
        data = pictures.make(tmp_path / split)
        for path in (data / split).glob("*/*.png"):
            path.write_bytes(b"")
        with pytest.raises(InputError, match=f"{said}$"):
            train(settings(epochs=1), data, tmp_path / "run" / split, workers=1)
        assert not (tmp_path / "run" / split / "best.safetensors").exists()


def test_a_folder_within_a_class_is_no_silent_loss(tmp_path: Path) -> None:
    data = pictures.make(tmp_path / "data")
    (data / "train/red/.cache").mkdir()
    Images(Folder.of(data, "train"), pictures.CLASSES)
    (data / "train/red/more").mkdir()
    with pytest.raises(InputError, match="train/red: expected only the images of a class; got a folder, more"):
        Images(Folder.of(data, "train"), pictures.CLASSES)


def test_classes_are_in_the_order_of_timm(tmp_path: Path) -> None:
    for name in ("10", "2", "1", ".hidden"):
        (tmp_path / "train" / name).mkdir(parents=True)
    folder = Folder.of(tmp_path, "train")
    assert folder.classes == ("1", "2", "10")
    (tmp_path / "train" / "2" / "a.png").write_bytes(b"")
    with pytest.raises(InputError, match="of each of 3 classes; 2 have none, the first is 1"):
        Images(folder, folder.classes, training=True)
