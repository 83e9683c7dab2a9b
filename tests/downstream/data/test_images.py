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
    """Nor an epoch, nor a folder."""
    for split, said in (
        ("val", "val: expected images; none of the 24 files can be read"),
        ("train", "train: expected images; none of the 48 files can be read"),
    ):
        data = pictures.make(tmp_path / split)
        for path in (data / split).glob("*/*.png"):
            path.write_bytes(b"")
        with pytest.raises(InputError, match=f"{said}$"):
            train(settings(epochs=1), data, tmp_path / "run" / split, workers=1)
        assert not (tmp_path / "run" / split).exists()


def test_images_of_all_kinds_are_read_and_others_are_said(tmp_path: Path) -> None:
    """In training and in evaluation, whatever the case of a suffix."""
    data, said = pictures.make(tmp_path / "data", train=4, val=2), list[str]()
    for split in ("train", "val"):
        for number, suffix in enumerate(("webp", "BMP", "tif", "gif", "ppm", "PNG")):
            Image.new("RGB", (32, 32), (200, 0, 0)).save(data / split / "red" / f"x{number}.{suffix}")
        for name in ("notes.txt", "picture.svg", ".DS_Store", "._x.png"):
            (data / split / "red" / name).write_text("no image")
    for split, count in (("train", 18), ("val", 12)):
        found = Images(Folder.of(data, split), pictures.CLASSES, training=split == "train")
        found.transform = np.asarray
        assert len(found) == count
        assert [found[place][1] for place in range(count)] == [0] * ((count - 6) // 3) + [1] * ((count - 6) // 3) + [2] * (
            (count - 6) // 3 + 6
        )
        assert found.left_out.startswith(f"{data / split}: 2 files of other kinds than .png, ")
        assert found.left_out.endswith("are left out, the first is red/notes.txt")

    class Notes(Watch):
        def note(self, text: str) -> None:
            said.append(text)

    train(settings(epochs=1), data, tmp_path / "run", workers=0, watch=Notes())
    assert [text.split(": ")[:2] for text in said] == [["warning", str(data / split)] for split in ("train", "val")]


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
