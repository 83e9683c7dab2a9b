"""Costs of the presets from the closed forms of each block, written down independently of the counter under test.

N is the number of pixels of a stage, C its width, C_in the width before it, H x W the stage's reference size.
"""

from __future__ import annotations

from collections.abc import Sequence

LETTERS = {"resnet": "RRRR", "efficientnet": "EEEE", "vit": "TTTT", "coatnet": "EETT"}


def sizes(size: tuple[int, int], stages: int) -> list[tuple[int, int]]:
    """Height and width of each stage: halved once by the stem, then by each stage, rounding up."""
    height, width = (size[0] + 1) // 2, (size[1] + 1) // 2
    made = []
    for _ in range(stages):
        height, width = (height + 1) // 2, (width + 1) // 2
        made.append((height, width))
    return made


def preset_params(name: str, widths: Sequence[int], depths: Sequence[int], classes: int, reference: tuple[int, int]) -> int:
    total = 19_360  # stem
    before = 64
    for letter, c, depth, (h, w) in zip(LETTERS[name], widths, depths, sizes(reference, 4), strict=True):
        for block in range(depth):
            c_in = before if block == 0 else c
            total += 2 * c_in + 2 * c  # the two norms
            if c_in != c:
                total += 2 * (c_in * c + c)  # shortcut and norm1 project
            if letter == "R":
                total += 18 * c * c + 6 * c
            elif letter == "E":
                total += 16 * c * c + 128 * c
            else:
                total += 12 * c * c + 17 * c + c // 32 * (2 * h - 1) * (2 * w - 1)
        before = c
    return total + ((2 * before + before * classes + classes) if classes else 0)


def preset_macs(name: str, widths: Sequence[int], depths: Sequence[int], classes: int, size: tuple[int, int]) -> int:
    stem = (size[0] + 1) // 2 * ((size[1] + 1) // 2)
    total = (9 * 3 * 32 + 9 * 32 * 64) * stem
    before = 64
    for letter, c, depth, (h, w) in zip(LETTERS[name], widths, depths, sizes(size, 4), strict=True):
        n = h * w
        for block in range(depth):
            c_in = before if block == 0 else c
            if c_in != c:
                total += 2 * c_in * c * n
            if letter == "R":
                total += 18 * c * c * n
            elif letter == "E":
                total += 8 * c * c * n + 100 * c * n + 8 * c * c
            else:
                total += 12 * c * c * n + 2 * c * n * n
        before = c
    return total + before * classes
