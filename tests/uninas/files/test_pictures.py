"""Images of every kind: what counts as one, depths and orientations, and that a fast look promises no more than reading keeps."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.amounts import amount
from uninas.files.pictures import SUFFIXES, Header, is_image, listing, of_other_kinds, probe, read


def encoded(values: np.ndarray, kind: str, **options: object) -> io.BytesIO:
    stream = io.BytesIO()
    Image.fromarray(values).save(stream, kind, **options)  # type: ignore[arg-type]
    stream.seek(0)
    return stream


def test_what_is_an_image(tmp_path: Path) -> None:
    for name in ("b.JPG", "a.webp", "c.txt", ".d.png", "png"):
        (tmp_path / name).touch()
    (tmp_path / "folder.png").mkdir()
    assert listing(tmp_path) == (["a.webp", "b.JPG"], ["c.txt", "png"])
    assert all(is_image(f"x{suffix.upper()}") for suffix in SUFFIXES)
    assert of_other_kinds(2, "c.txt").startswith("2 files of other kinds than .png, .jpg, ")


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_every_kind_of_the_table_is_read(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"x{suffix}"
    Image.fromarray(np.full((9, 11, 3), 200, np.uint8)).convert("1" if suffix == ".pbm" else "RGB").save(path)
    pixels = np.asarray(read(path))
    assert pixels.shape == (9, 11, 3)
    assert suffix == ".pbm" or abs(int(pixels.mean()) - 200) <= 2
    assert probe(path) == Header(11, 9, False)


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "PPM"])
def test_16_bits_are_scaled(kind: str) -> None:
    """Pillow's own conversion would make nearly all of them white."""
    values = np.linspace(0, 65535, 64, dtype=np.uint16).reshape(8, 8)
    found = np.asarray(read(encoded(values, kind)))
    assert np.array_equal(found, np.stack([np.round(values / 257)] * 3, 2))


@pytest.mark.parametrize("values", [np.zeros((4, 4), np.float32), np.zeros((4, 4), np.int32)])
def test_values_without_a_white_are_not_guessed(values: np.ndarray) -> None:
    for look in (read, probe):
        with pytest.raises(ValueError, match="whose white is not known"):
            look(encoded(values, "TIFF"))


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("orientation", range(9))
def test_exif_turns_the_image_where_it_is_asked_to(orientation: int, kind: str) -> None:
    values = np.zeros((16, 32, 3), np.uint8)
    values[:8, :16] = 255  # white at the upper left
    exif = Image.Exif()
    exif[0x0112] = orientation
    corner = {2: (0, 1), 3: (1, 1), 4: (1, 0), 5: (0, 0), 6: (0, 1), 7: (1, 1), 8: (1, 0)}.get(orientation, (0, 0))
    found = np.asarray(read(encoded(values, kind, exif=exif)))
    assert found.shape == ((32, 16, 3) if orientation > 4 else (16, 32, 3))
    quarter = found.shape[0] // 2, found.shape[1] // 2
    means = [[found[y * quarter[0] :][: quarter[0], x * quarter[1] :][:, : quarter[1]].mean() for x in (0, 1)] for y in (0, 1)]
    assert np.unravel_index(np.argmax(means), (2, 2)) == corner
    assert probe(encoded(values, kind, exif=exif)).turned == (orientation > 1)
    if kind == "TIFF":  # which Pillow turns while it reads it
        return
    stored = np.asarray(read(encoded(values, kind, exif=exif), upright=False))
    assert stored[:8, :16].mean() > 250
    assert probe(encoded(values, kind, exif=exif)) == Header(32, 16, orientation > 1)


@pytest.mark.filterwarnings("ignore")  # of Pillow, on what it reads
def test_a_look_promises_no_more_than_reading_keeps(tmp_path: Path) -> None:
    """Whatever is damaged: both succeed or both fail with a ValueError."""
    stream, values = np.random.default_rng(0), np.random.default_rng(1).integers(0, 255, (24, 24, 3)).astype(np.uint8)
    wholes = [encoded(values, kind).getvalue() for kind in ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "PPM")]
    ends = {"read": 0, "unreadable": 0}
    for number in range(amount(400)):
        some = bytearray(wholes[number % len(wholes)])
        for place in stream.integers(min(len(some), 200), size=1 + number % 3):
            some[place] = int(stream.integers(256))
        data = bytes(some[: int(stream.integers(len(some)))]) if number % 4 == 0 else bytes(some)
        try:
            probe(io.BytesIO(data))
        except ValueError:
            ends["unreadable"] += 1
            continue
        assert read(io.BytesIO(data), upright=False).mode == "RGB"
        ends["read"] += 1
    assert all(ends.values()), ends
