"""Which maps of a network the neck and the heads of a detector or segmenter read: one for each stride, the finest first.

    indices, widths, strides = pyramid("coatnet")     # [0, 1, 2, 3], [96, 192, 384, 768], [4, 8, 16, 32]

    backbone=dict(type="UniNAS", arch=arch, out_indices=indices)
    neck=dict(in_channels=widths, num_outs=len(widths) + 1)
    anchor_generator=dict(strides=[*strides, 2 * strides[-1]])

A network has as many stages as its file says, of any strides. Several stages may have one stride, as in a transformer without
downsampling: the last of them has seen the most.
"""

from __future__ import annotations

from downstream.models.backbone import Source, architecture_of, of_images, stage_strides, stage_widths

__all__ = ["pyramid"]


def pyramid(source: Source) -> tuple[list[int], list[int], list[int]]:
    """Give the stages to read, by number from 0 on, with the channels and the strides of their maps.

    Raises:
        InputError: not an architecture, or one whose input is not red, green and blue.
    """
    architecture = architecture_of(source)
    of_images(architecture)
    strides, widths = stage_strides(architecture), stage_widths(architecture)
    last = {stride: index for index, stride in enumerate(strides)}
    indices = sorted(last.values())
    return indices, [widths[index] for index in indices], [strides[index] for index in indices]
