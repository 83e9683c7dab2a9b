"""Images in memory: what is read, what is said of what cannot be, and that other images are noticed."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from search.training.images import ImageFolder, describe, load
from uninas import InputError


def test_all_images_as_bytes_with_their_classes(colours: Path) -> None:
    spec, notes = describe(colours, pixels=16, per_class=None)
    assert notes == []
    assert spec.classes == ("blue", "green", "red")
    train, held = load(spec)
    assert train.images.shape == (72, 3, 16, 16)
    assert held.labels.tolist() == [0] * 12 + [1] * 12 + [2] * 12
    for label, name in enumerate(spec.classes):
        files = sorted((colours / "test" / name).iterdir())
        assert np.array_equal(held.images[12 * label + 5].numpy(), np.asarray(Image.open(files[5])).transpose(2, 0, 1))


def test_smaller_pixels_and_fewer_images_of_a_class(colours: Path) -> None:
    spec, _ = describe(colours, pixels=8, per_class=10)
    train, held = load(spec)
    assert train.images.shape == (30, 3, 8, 8)
    assert held.images.shape == (36, 3, 8, 8)
    again, _ = describe(colours, pixels=8, per_class=10)
    assert again == spec
    assert describe(colours, pixels=8, per_class=11)[0].digest != spec.digest


def test_what_judges_may_be_taken_from_the_training_images(colours: Path) -> None:
    spec, _ = describe(colours, pixels=16, per_class=None, held_out=5)
    train, held = load(spec)
    assert held.labels.tolist() == [0] * 5 + [1] * 5 + [2] * 5
    assert len(train.labels) == 72 - 15
    whole, _ = load(describe(colours, pixels=16, per_class=None)[0])
    both = {image.numpy().tobytes() for image in (*train.images, *held.images)}
    assert both == {image.numpy().tobytes() for image in whole.images}, "nothing of the other folder, and nothing lost"
    assert not {image.numpy().tobytes() for image in train.images} & {image.numpy().tobytes() for image in held.images}
    fewer, same = load(describe(colours, pixels=16, per_class=7, held_out=5)[0])
    assert len(fewer.labels) == 21
    assert torch.equal(same.images, held.images), "the same ones judge, however many train"


def test_then_no_other_folder_is_needed(made: Callable[..., Path], tmp_path: Path) -> None:
    folder = made(tmp_path / "images", train=6, held=1)
    shutil.rmtree(folder / "test")
    assert len(load(describe(folder, pixels=16, per_class=None, held_out=2)[0])[1].labels) == 6
    with pytest.raises(InputError, match="expected more images than the 6 that are held out; got 6"):
        describe(folder, pixels=16, per_class=None, held_out=6)
    with pytest.raises(InputError, match="expected a folder val or "):
        describe(folder, pixels=16, per_class=None)


def test_it_travels_as_json(colours: Path) -> None:
    spec, _ = describe(colours, pixels=16, per_class=3, held_out=2)
    assert ImageFolder.from_dict(json.loads(json.dumps(spec.as_dict()))) == spec


def test_a_changed_image_is_noticed_by_a_new_process(made: Callable[..., Path], tmp_path: Path) -> None:
    folder = made(tmp_path / "images", train=2, held=1)
    spec, _ = describe(folder, pixels=16, per_class=None)
    image = folder / "test" / "red" / "00.png"
    Image.new("RGB", (16, 16)).save(image)
    elsewhere = ImageFolder.from_dict({**spec.as_dict(), "folder": str(folder / ".")})  # read anew, as another process does
    load(elsewhere)  # the same place: what this process has read
    (tmp_path / "moved").symlink_to(folder)
    with pytest.raises(InputError, match="expected the images that the run began with"):
        load(ImageFolder.from_dict({**spec.as_dict(), "folder": str(tmp_path / "moved")}))


def test_what_cannot_be_read_is_left_out_and_counted(made: Callable[..., Path], tmp_path: Path) -> None:
    folder = made(tmp_path / "images", train=3, held=2)
    (folder / "train" / "red" / "01.png").write_bytes(b"no image")
    (folder / "train" / "red" / "notes.txt").write_text("hello")
    spec, notes = describe(folder, pixels=16, per_class=None)
    assert notes == [f"{folder.resolve()}/train: 1 images cannot be read and are left out, the first is red/01.png"]
    assert load(spec)[0].labels.tolist() == [0, 0, 0, 1, 1, 1, 2, 2]


def test_folders_that_are_none_of_these(made: Callable[..., Path], tmp_path: Path) -> None:
    def refused(folder: Path) -> str:
        with pytest.raises(InputError) as raised:
            describe(folder, pixels=16, per_class=None)
        assert "\n" not in str(raised.value)
        return str(raised.value)

    assert "expected a folder train or training" in refused(tmp_path / "none")
    folder = made(tmp_path / "images", train=1, held=1)
    (folder / "test" / "yellow").mkdir()
    assert "expected the same class folders to train on and to judge by; yellow differ" in refused(folder)
    (folder / "train" / "yellow").mkdir()
    assert re.search(r"train/yellow: expected images that can be read; got none among 0 files", refused(folder))
