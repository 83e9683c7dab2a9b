"""A head of OpenMMLab for any architecture: a segmenter whose decode head sums all stages at the finest one.

    python docs/extend/examples/openmmlab_head.py

The head is registered at MMSegmentation's registry; the configuration is `configs/mmseg/upernet_uninas_ade20k.py` with another
decode head. Builds the segmenter around a small network, and runs a training step and a prediction. Weights are random.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from uninas.runtime.torchvision_repair import repair

repair()  # before OpenMMLab imports torchvision; it does nothing where torch and torchvision fit each other

# ruff: noqa: E402
import torch
from mmengine.config import Config
from mmengine.registry import DefaultScope
from mmengine.structures import PixelData
from mmseg.models.decode_heads.decode_head import BaseDecodeHead
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample
from torch import Tensor, nn
from torch.nn import functional as F

from downstream.models.backbone import stage_widths
from uninas import preset, to_text

ROOT = Path(__file__).parents[3]
SIZE = (64, 64)
CLASSES = 5


@MODELS.register_module()
class SumHead(BaseDecodeHead):
    """A 1x1 convolution for each stage, summed at the resolution of the first, then the classifier of every decode head.

    Args:
        in_channels: widths of the stages, as `downstream.models.backbone.stage_widths` gives them.
    """

    def __init__(self, in_channels: list[int], **options: Any) -> None:
        super().__init__(in_channels=in_channels, input_transform="multiple_select", **options)
        self.laterals = nn.ModuleList(nn.Conv2d(width, self.channels, 1) for width in in_channels)

    def forward(self, inputs: list[Tensor]) -> Tensor:
        """Maps of the stages (B, width, H', W') -> logits (B, classes, H, W) at the resolution of the first."""
        maps = [lateral(one) for lateral, one in zip(self.laterals, self._transform_inputs(inputs), strict=True)]
        size = maps[0].shape[2:]
        summed = sum(F.interpolate(one, size=size, mode="bilinear", align_corners=False) for one in maps)
        logits: Tensor = self.cls_seg(summed)
        return logits


def configuration(arch: dict[str, Any]) -> Config:
    """Give the shipped configuration with the network and the head put in."""
    config = Config.fromfile(ROOT / "configs/mmseg/upernet_uninas_ade20k.py")
    widths = stage_widths(arch)
    config.model.data_preprocessor.size = SIZE
    config.model.backbone.arch = arch
    config.model.decode_head = {
        "type": "SumHead",
        "in_channels": widths,
        "in_index": list(range(len(widths))),
        "channels": 16,
        "num_classes": CLASSES,
        "loss_decode": {"type": "CrossEntropyLoss", "use_sigmoid": False, "loss_weight": 1.0},
    }
    del config.model.auxiliary_head
    return config


def sample() -> SegDataSample:
    """Give the labels of one image."""
    labels = torch.randint(CLASSES, (1, *SIZE), generator=torch.Generator().manual_seed(1))
    about = {"img_shape": SIZE, "ori_shape": SIZE, "pad_shape": SIZE, "scale_factor": (1.0, 1.0)}
    return SegDataSample(gt_sem_seg=PixelData(data=labels), metainfo=about)


def main() -> None:
    """Build, train for one step, predict."""
    torch.manual_seed(0)
    arch = json.loads(to_text(preset("resnet", widths=(16, 16, 32, 32), depths=(1, 1, 1, 1), input_size=SIZE)))
    with DefaultScope.overwrite_default_scope("mmseg"):
        model = MODELS.build(configuration(arch).model)
        images = torch.randint(0, 256, (2, 3, *SIZE), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
        data = {"inputs": list(images), "data_samples": [sample(), sample()]}
        losses = model.loss(**model.data_preprocessor(data, training=True))
        losses["decode.loss_ce"].backward()
        reached = [name for name, one in model.named_parameters() if one.grad is not None and one.grad.abs().sum() > 0]
        assert any(name.startswith("backbone.stem") for name in reached), "the loss reaches the stem through the head"
        with torch.no_grad():
            (found,) = model.eval().test_step({"inputs": [images[0]], "data_samples": [sample()]})
    assert found.pred_sem_seg.data.shape == (1, *SIZE)
    print(f"SumHead: loss {float(losses['decode.loss_ce']):.2f}, {len(reached)} parameters trained, prediction {SIZE}")


if __name__ == "__main__":
    main()
