"""Images and masks for segmentation, as other people store them: all are looked at, and what changes labels is rejected."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from downstream.data.layouts import check_pairs, pairs
from tests.amounts import amount
from uninas import InputError

SIDES = (40, 50)
CLASSES = 150


def labelled(folder: Path, count: int = 3) -> tuple[Path, Path]:
    """Images and masks of the classes 0 (none), 1 and 150; gives their folders."""
    stream = np.random.default_rng(0)
    images, masks = folder / "images", folder / "masks"
    for where in (images, masks):
        where.mkdir(parents=True)
    for number in range(count):
        Image.fromarray(stream.integers(0, 255, (*SIDES, 3)).astype(np.uint8)).save(images / f"{number}.jpg")
        Image.fromarray(labels()).save(masks / f"{number}.png")
    return images, masks


def labels() -> np.ndarray:
    found = np.zeros(SIDES, np.uint8)
    found[:10], found[10:20], found[20:22] = 1, CLASSES, 255
    return found


def grey_of_four_bits(values: np.ndarray) -> bytes:
    """A PNG that Pillow does not write: its greys are scaled by 17 when it is read."""
    rows = b"".join(b"\0" + bytes(row[0::2] << 4 | row[1::2]) for row in values)
    parts = [
        (b"IHDR", struct.pack(">IIBBBBB", *values.shape[::-1], 4, 0, 0, 0, 0)),
        (b"IDAT", zlib.compress(rows)),
        (b"IEND", b""),
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data)) for name, data in parts
    )


def encoded(values: np.ndarray, kind: str, **options: object) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(values).save(stream, kind, **options)  # type: ignore[arg-type]
    return stream.getvalue()


def test_every_kind_of_image_has_its_mask(tmp_path: Path) -> None:
    images, masks = labelled(tmp_path, 5)
    (images / "0.jpg").rename(images / "0.JPG")
    for number, suffix in ((1, "png"), (2, "webp"), (3, "TIF")):
        Image.open(images / f"{number}.jpg").save(images / f"{number}.{suffix}")
        (images / f"{number}.jpg").unlink()
    Image.fromarray(labels()).save(masks / "4.tiff")
    (masks / "4.png").unlink()
    (masks / "0.png").rename(masks / "0.PNG")
    found, notes = pairs(images, masks)
    assert [(image.name, mask.name) for image, mask in found] == [
        ("0.JPG", "0.PNG"),
        ("1.png", "1.png"),
        ("2.webp", "2.png"),
        ("3.TIF", "3.png"),
        ("4.jpg", "4.tiff"),
    ]
    assert notes == check_pairs(images, masks, CLASSES) == ()


def test_what_is_left_out_is_said(tmp_path: Path) -> None:
    images, masks = labelled(tmp_path)
    (images / "0.jpg").unlink()
    (images / "readme.txt").touch()
    (images / ".DS_Store").touch()
    (masks / "1.json").touch()
    notes = check_pairs(images, masks, CLASSES)
    assert [note.split(": ", 1)[0] for note in notes] == [str(images), str(masks), str(images)]
    assert "1 files of other kinds than .png, .jpg," in notes[0]
    assert notes[0].endswith("the first is readme.txt")
    assert "1 masks in " in notes[2]


def test_an_image_without_a_mask_and_two_of_one_name(tmp_path: Path) -> None:
    images, masks = labelled(tmp_path)
    for number in (0, 2):
        (masks / f"{number}.png").rename(masks / f"{number}.jpg")
    with pytest.raises(InputError, match=r"images: expected a mask \(.png, .*; 2 are otherwise, the first is 0.jpg"):
        check_pairs(images, masks, CLASSES)
    Image.open(images / "1.jpg").save(images / "1.png")
    with pytest.raises(InputError, match=r"images: expected one file called 1; got 1.jpg, 1.png"):
        check_pairs(images, masks, CLASSES)
    with pytest.raises(InputError, match=r"masks: expected images \(.png, .*got none"):
        check_pairs(*labelled(tmp_path / "none", 0)[::-1], CLASSES)


MASKS: dict[str, tuple[Callable[[], bytes], str | None]] = {
    "16 bits": (lambda: encoded(labels().astype(np.uint16), "PNG"), None),
    "a palette": (lambda: encoded(labels(), "BMP"), None),
    "16 bits, above": (lambda: encoded(labels().astype(np.uint16) + 256, "PNG"), "expected classes from 1 to 150, .*; got 511"),
    "above the count": (lambda: encoded(np.full(SIDES, 151, np.uint8), "PNG"), "expected classes from 1 to 150, .*; got 151"),
    "fractions": (lambda: encoded(np.full(SIDES, 0.5, np.float32), "TIFF"), "expected labels that are whole numbers"),
    "negative": (lambda: encoded(np.full(SIDES, -1, np.int32), "TIFF"), "expected classes from 1 to 150, .*; got -1"),
    "a JPEG": (lambda: encoded(labels(), "JPEG"), "expected labels in a format that keeps them .*; got JPEG"),
    "a JPEG in a TIFF": (
        lambda: encoded(labels(), "TIFF", compression="jpeg"),
        "expected labels in a format that keeps them .*; got jpeg",
    ),
    "a WebP": (lambda: encoded(np.stack([labels()] * 3, 2), "WEBP"), "expected labels in a format that keeps them .*; got WEBP"),
    "colours": (
        lambda: encoded(np.stack([labels()] * 3, 2), "PNG"),
        "expected one class per pixel of .*; got 40x50x3",
    ),
    "another size": (lambda: encoded(labels().T.copy(), "PNG"), "expected one class per pixel of its image, 40x50; got 50x40"),
    "4 bits": (lambda: grey_of_four_bits(labels() % 16), "expected labels of 8 or 16 bits"),
    "half a file": (lambda: encoded(labels(), "PNG")[:60], "expected a mask of labels; it cannot be read"),
}


@pytest.mark.parametrize("name", MASKS)
def test_masks_that_change_labels_are_rejected(name: str, tmp_path: Path) -> None:
    images, masks = labelled(tmp_path)
    made, message = MASKS[name]
    for number in (1, 2):
        (masks / f"{number}.png").write_bytes(made())
    if message is None:
        assert check_pairs(images, masks, CLASSES) == ()
        return
    with pytest.raises(InputError, match=rf"1\.png: {message}.*; 2 of 3 masks do not fit$"):
        check_pairs(images, masks, CLASSES)


@pytest.mark.parametrize("kind", ["images", "masks"])
def test_what_exif_turns_is_rejected(kind: str, tmp_path: Path) -> None:
    images, masks = labelled(tmp_path)
    exif = Image.Exif()
    exif[0x0112] = 3
    path = images / "1.jpg" if kind == "images" else masks / "1.png"
    Image.open(path).save(path, exif=exif)
    with pytest.raises(InputError, match="EXIF"):
        check_pairs(images, masks, CLASSES)


def one_line(error: InputError) -> None:
    assert "\n" not in str(error)
    assert ": expected " in str(error)


def test_no_damaged_mask_changes_labels_in_silence(tmp_path: Path) -> None:
    """Each damaged mask is rejected in one line, or reads as it was."""
    images, masks = labelled(tmp_path, 1)
    stream, path = np.random.default_rng(0), masks / "0.png"
    kinds = [encoded(labels(), "PNG"), encoded(labels().astype(np.uint16), "PNG")]
    ends = {"rejected": 0, "same": 0}
    for number in range(amount(200)):
        some = bytearray(kinds[number % 2])
        for place in stream.integers(len(some), size=number % 4):
            some[place] = int(stream.integers(256))
        path.write_bytes(bytes(some[: int(stream.integers(len(some)))]) if number % 5 == 0 else bytes(some))
        try:
            check_pairs(images, masks, CLASSES)
        except InputError as error:
            one_line(error)
            ends["rejected"] += 1
            continue
        with Image.open(path) as image:
            assert np.array_equal(np.asarray(image), labels())
        ends["same"] += 1
    assert all(ends.values()), ends
