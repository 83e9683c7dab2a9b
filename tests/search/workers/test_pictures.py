"""Real batches from folders of pictures: balanced, seeded, normalised, and suspicious of what lies there."""

import dataclasses
import json
import tarfile
from pathlib import Path

import numpy
import pytest
from PIL import Image

from search.workers import pictures
from search.workers.pictures import PictureBatch, draw_batch, read_batch
from uninas.errors import InputError

PLAIN = ((0.0, 0.0, 0.0), (1.0, 1.0, 1.0))


def paint(folder: Path, classes: int = 3, each: int = 5, size: tuple[int, int] = (8, 6)) -> Path:
    """Pictures of one colour, which is 10 * class + number in red, and 100 in green."""
    for label in range(classes):
        (folder / f"class{label}").mkdir(parents=True)
        for number in range(each):
            Image.new("RGB", size, (10 * label + number, 100, 0)).save(folder / f"class{label}" / f"{number}.png")
    return folder


def drawn(folder: Path, count: int = 6, **options: object) -> tuple[PictureBatch, list[str]]:
    settings: dict[str, object] = {"count": count, "classes": 3, "size": (4, 4), "seed": 0, "statistics": PLAIN, **options}
    return draw_batch(folder, **settings)  # type: ignore[arg-type]


def test_a_batch_is_balanced_and_reads_back(tmp_path: Path) -> None:
    batch, warnings = drawn(paint(tmp_path), 6)
    assert warnings == []
    assert batch.labels == (0, 1, 2, 0, 1, 2)
    images, labels = read_batch(PictureBatch.from_dict(json.loads(json.dumps(dataclasses.asdict(batch)))))
    assert images.shape == (6, 3, 4, 4)
    assert images.dtype == numpy.float32
    assert list(labels) == list(batch.labels)
    for image, label, name in zip(images, labels, batch.files, strict=True):
        number = int(Path(name).stem)
        assert name.startswith(f"class{label}/")
        assert numpy.allclose(image[0] * 255, 10 * label + number)
        assert numpy.allclose(image[1], 100 / 255)
        assert numpy.allclose(image[2], 0)
    assert len(set(batch.files)) == 6


def test_the_seed_decides(tmp_path: Path) -> None:
    paint(tmp_path)
    assert drawn(tmp_path)[0] == drawn(tmp_path)[0]
    assert drawn(tmp_path, seed=1)[0].files != drawn(tmp_path)[0].files
    assert drawn(tmp_path, 9)[0].files[:6] == drawn(tmp_path, 6)[0].files


def test_normalised_by_stated_constants(tmp_path: Path) -> None:
    mean, std = pictures.STATISTICS["cifar10"]
    batch, _ = drawn(paint(tmp_path), statistics=(mean, std))
    images, _ = read_batch(batch)
    assert numpy.allclose(images[:, 1], (100 / 255 - mean[1]) / std[1], atol=1e-5)


def test_corrupt_pictures_are_passed_over_and_counted(tmp_path: Path) -> None:
    paint(tmp_path)
    good = (tmp_path / "class0" / "0.png").read_bytes()
    for number in range(3):
        (tmp_path / "class0" / f"{number}.png").write_bytes(good[: 20 * number])
    (tmp_path / "class0" / "notes.txt").write_text("no picture")
    batch, warnings = drawn(tmp_path, 9)
    assert batch.labels.count(0) == 2
    assert not {f"class0/{number}.png" for number in range(3)} & set(batch.files)
    assert any("3 unreadable images skipped" in warning for warning in warnings)
    assert any("unbalanced batch" in warning and "2 to 4" in warning for warning in warnings)


def test_too_few_pictures(tmp_path: Path) -> None:
    paint(tmp_path)
    with pytest.raises(InputError, match=r"expected 16 readable images .*; got 15, and 0 unreadable"):
        drawn(tmp_path, 16)


def test_folders_that_are_no_classes(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="it holds no folders"):
        drawn(tmp_path)
    with pytest.raises(InputError, match="No such file"):
        drawn(tmp_path / "nowhere")
    paint(tmp_path)
    with pytest.raises(InputError, match="at most 2 class folders, one for each class; got 3"):
        drawn(tmp_path, classes=2)
    assert "3 class folders for 10 classes" in drawn(tmp_path, classes=10)[1][0]


def test_images_of_all_kinds_are_drawn_and_others_are_said(tmp_path: Path) -> None:
    folder = paint(tmp_path, each=0)
    suffixes = ("webp", "BMP", "tif", "gif", "ppm", "JPEG")
    for label in range(3):
        for number, suffix in enumerate(suffixes):
            Image.new("RGB", (8, 8), (9, 9, 9)).save(folder / f"class{label}" / f"{number}.{suffix}")
        (folder / f"class{label}" / "notes.txt").touch()
        (folder / f"class{label}" / "._0.webp").touch()
    batch, warnings = drawn(folder, 3 * len(suffixes))
    assert {Path(file).suffix[1:] for file in batch.files} == set(suffixes)
    assert len(warnings) == 1
    assert "3 files of other kinds than .png, " in warnings[0]
    assert warnings[0].endswith("the first is class0/notes.txt")


def test_depth_and_orientation_are_those_of_a_training(tmp_path: Path) -> None:
    grey = numpy.full((8, 8), 257 * 40, numpy.uint16)
    exif = Image.Exif()
    exif[0x0112] = 6
    for label in range(3):
        (tmp_path / f"class{label}").mkdir()
        Image.fromarray(grey).save(tmp_path / f"class{label}" / "0.png")
        half = Image.new("RGB", (8, 8))
        half.paste((255, 255, 255), (0, 0, 8, 4))
        half.save(tmp_path / f"class{label}" / "1.png", exif=exif)
    batch, _ = drawn(tmp_path, 6)
    images, _ = read_batch(batch)
    for image, name in zip(images, batch.files, strict=True):
        if name.endswith("0.png"):
            assert numpy.allclose(image * 255, 40)
        else:  # the upper half is on the right after a quarter turn
            assert image[:, :, 3].min() > 0.9
            assert image[:, :, 0].max() < 0.1


def test_a_changed_folder_is_noticed(tmp_path: Path) -> None:
    batch, _ = drawn(paint(tmp_path))
    Image.new("RGB", (8, 6), (255, 255, 255)).save(tmp_path / batch.files[2])
    with pytest.raises(InputError, match="they have changed since"):
        read_batch(batch)
    (tmp_path / batch.files[2]).unlink()
    with pytest.raises(InputError, match="cannot be read now"):
        read_batch(batch)


def test_real_pictures(data_folder: Path, tmp_path: Path) -> None:
    """A few of CIFAR-10's, from the archive as it is."""
    wanted = {}
    with tarfile.open(data_folder / "cifar10" / "cifar10.tar.xz") as archive:
        for member in archive:
            folder = Path(member.name).parent.name
            if member.isfile() and "test" in member.name and wanted.setdefault(folder, 0) < 2:
                wanted[folder] += 1
                archive.extract(member, tmp_path, filter="data")
            if len(wanted) == 2 and min(wanted.values()) == 2:
                break
    root = next(tmp_path.rglob("*.jp*g")).parent.parent
    batch, warnings = drawn(root, 4, classes=10, size=(32, 32), statistics=pictures.STATISTICS["cifar10"])
    images, _ = read_batch(batch)
    assert images.shape == (4, 3, 32, 32)
    assert 0.3 < images.std() < 3
    assert len(warnings) == 1  # two classes of ten
