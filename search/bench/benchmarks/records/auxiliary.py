"""The auxiliary head of DARTS' networks (quark0/darts, cnn/model.py), which published parameters count and ours do not."""

from __future__ import annotations


def auxiliary_parameters(width: int, depth: int, nodes: int, *, imagenet: bool = False) -> int:
    """Count the parameters of the head behind the second reduction cell: 1x1 to 128 channels, 2x2 to 768, BatchNorms, linear.

    Args:
        width: channels of a node of the first cell.
        depth: cells.
        nodes: that a reduction cell concatenates.
        imagenet: whether the classes are ImageNet's 1,000, and the second BatchNorm is left out, as there; else ten.
    """
    channels = width * (4 if depth > 1 else 2) * nodes  # a single cell is the first and the second reduction cell
    classes = 1000 if imagenet else 10
    return channels * 128 + 2 * 128 + 128 * 768 * 4 + (0 if imagenet else 2 * 768) + (768 + 1) * classes
