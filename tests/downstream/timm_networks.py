"""Small networks of many kinds as models of timm, for the tests of its conventions."""

from __future__ import annotations

import random
from typing import Any

import pytest
import torch

import downstream  # noqa: F401 registers the model
from tests.amounts import slow
from tests.uninas.examples import graph_of, small, tiny, walked
from tests.uninas.running import noise
from uninas import Architecture, canonicalise
from uninas.networks.convnext import convnext
from uninas.networks.hybrids import poolformer_s12
from uninas.networks.transformers import deit, swin

import timm  # isort: skip  after the repair of torchvision
from timm.models import get_model_input_config  # isort: skip

SIZE = (64, 64)
FOLDS = graph_of(
    "%1 = space_to_depth(factor=4) %0", "%2 = conv(kernel=1, ratio=1/2) %1", "%3 = conv(kernel=3, stride=2) %2", "return %3"
)
"""A stem whose first convolution reads tiles of the image."""

POOLS = poolformer_s12(classes=7, input_size=SIZE)
NETWORKS: dict[str, Architecture] = {
    "resnet": small("resnet"),
    "coatnet": small("coatnet"),
    "deit": deit(width=64, depth=3, classes=7, input_size=SIZE),
    "swin": swin(widths=(32, 64), depths=(1, 1), classes=7, input_size=SIZE),
    "poolformer": POOLS.replace(stages=tuple([stage.with_blocks(stage.blocks[:1]) for stage in POOLS.stages[:2]])),
    "convnext": convnext(widths=(8, 16, 24), depths=(1, 1, 1), classes=7, input_size=SIZE),
    "a stem that folds": tiny("RT").replace(stem=FOLDS, input_size=SIZE),
    "found": canonicalise(walked(tiny("RET"), random.Random(9), 40)),
}
QUICK = ("coatnet", "deit", "a stem that folds", "found")  # convolutions, attention and tokens; all others are slow
every_network = pytest.mark.parametrize("name", [name if name in QUICK else slow(name) for name in NETWORKS])


def model_of(name: str, **options: Any) -> Any:
    return timm.create_model("uninas", arch=NETWORKS[name], **options)


def image(model: Any, batch: int = 1) -> torch.Tensor:
    return noise(batch, *get_model_input_config(model)["input_size"])
