"""Images in files: which suffixes are images, and one way to read them, for scores, training and evaluation alike.

    found, others = listing(folder)
    image = read(folder / found[0])        RGB, upright, 8 bits a channel

Greater bit depths are scaled to 8 bits, transparency is dropped, and of several frames the first one counts.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from PIL import Image, ImageOps

__all__ = ["SUFFIXES", "Header", "is_image", "listing", "load", "of_other_kinds", "open_image", "probe", "read"]

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff", ".gif", ".ppm", ".pgm", ".pbm", ".pnm")
"""In lower case; files may have them in any."""

_ORIENTATION = 0x0112  # of EXIF; 1 is upright
_WHITE_16 = 65535
_OF_16_BITS = ("PNG", "PPM")  # formats whose mode "I", 32 bits in Pillow, holds 16: white is known


@dataclass(frozen=True)
class Header:
    """What a file says of its image.

    Attributes:
        width, height: in pixels, as stored.
        turned: EXIF's orientation turns or mirrors it.
    """

    width: int
    height: int
    turned: bool


def is_image(name: str) -> bool:
    """Whether a file of this name is an image: by its suffix, and not hidden."""
    return not name.startswith(".") and os.path.splitext(name)[1].lower() in SUFFIXES


def listing(folder: Path) -> tuple[list[str], list[str]]:
    """Give the names of the images in a folder, and of its other files, sorted; hidden files are neither.

    Raises:
        OSError: no such folder.
    """
    with os.scandir(folder) as entries:
        names = sorted(entry.name for entry in entries if not entry.name.startswith(".") and entry.is_file())
    return [name for name in names if is_image(name)], [name for name in names if not is_image(name)]


def of_other_kinds(count: int, first: str) -> str:
    """Say that files are left out because of their suffix."""
    return f"{count} files of other kinds than {', '.join(SUFFIXES)} are left out, the first is {first}"


def open_image(source: Path | IO[bytes]) -> Image.Image:
    """Open an image without reading its pixels. Raises ValueError: it is none."""
    try:
        return Image.open(source)
    except Exception as error:  # for a damaged file Pillow raises nearly anything
        raise ValueError(_said(error)) from None


def load(image: Image.Image) -> bool:
    """Read the pixels; gives whether EXIF turns or mirrors them. Pillow turns a TIFF while it reads it, and forgets that.

    Raises:
        Exception: nearly any, of Pillow, for a damaged file.
    """
    before = image.format == "TIFF" and _is_turned(image)
    image.load()  # first: to look for EXIF in a PNG Pillow reads all of it, and what fails then would be taken for no EXIF
    return before or _is_turned(image)


def read(source: Path | IO[bytes], *, upright: bool = True) -> Image.Image:
    """Read an image as RGB with 8 bits a channel.

    Args:
        source: the file.
        upright: turn it as EXIF says; else as stored, as annotations of pixels need it (a TIFF is always turned).

    Raises:
        ValueError: it cannot be read, or its values have no known white.
    """
    try:
        with open_image(source) as image:
            turned = ImageOps.exif_transpose(image) if load(image) and upright else image
            return _eight_bits(turned, image.format).convert("RGB")
    except Exception as error:
        raise ValueError(_said(error)) from None


def probe(source: Path | IO[bytes]) -> Header:
    """Read an image as fast as its format allows, to see that `read` will; a JPEG at an eighth of its size.

    Raises:
        ValueError: as `read`.
    """
    try:
        with open_image(source) as image:
            width, height = image.size
            image.draft("RGB", (max(1, width // 8), max(1, height // 8)))
            turned = load(image)
            _eight_bits(image, image.format)
            return Header(width, height, turned)
    except Exception as error:
        raise ValueError(_said(error)) from None


def _is_turned(image: Image.Image) -> bool:
    try:
        return image.getexif().get(_ORIENTATION) in range(2, 9)
    except Exception:  # of a damaged block; the image itself may be whole
        return False


def _eight_bits(image: Image.Image, format_: str | None) -> Image.Image:
    """Scale grey values of 16 bits to 8; Pillow's own conversion clips. Colours of 16 bits are scaled when Pillow reads them."""
    if image.mode.startswith("I;16") or (image.mode == "I" and format_ in _OF_16_BITS):
        return image.convert("I").point(lambda value: value * (255 / _WHITE_16) + 0.5).convert("L")
    if image.mode in ("I", "F"):
        raise ValueError(f"values of 8 or 16 bits; got {image.mode}, whose white is not known")
    return image


def _said(error: Any) -> str:
    return str(error) if isinstance(error, ValueError) and str(error) else type(error).__name__
