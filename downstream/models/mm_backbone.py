"""Any architecture as a backbone of MMDetection and MMSegmentation: type "UniNAS".

    custom_imports = dict(imports=["downstream.models.mm_backbone"])
    model = dict(backbone=dict(type="UniNAS", arch="coatnet", drop_path_rate=0.1, weights="coatnet.safetensors"), ...)

Registered at mmengine's root, which both search. The maps have the strides of the stages, 4, 8, 16, 32 in the template, for an
input of any size: tables of relative position bias are resized, and masks are made for the size. What a neck and heads need to
know of a network with other stages, `downstream.models.pyramid` tells.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from mmengine.model import BaseModule
from mmengine.registry import MODELS
from torch import Tensor
from torch.nn.modules.batchnorm import _BatchNorm

from downstream.models.backbone import Source, architecture_of, drop_paths, pixel_maps, stage_outputs, with_channels
from downstream.weights import weight_files as weights_files
from uninas.compile.module import build
from uninas.errors import InputError

__all__ = ["UniNAS"]


@MODELS.register_module()
class UniNAS(BaseModule):
    """Stem and stages of a network, which reads as many channels as its architecture says unless `in_channels` says otherwise.

    Args:
        arch: name of a preset, path (architecture file, run folder, JSON of the reference implementation), or document.
        in_channels: of the input.
        out_indices: stages whose maps are returned, in this order; negative ones are counted from the end.
        frozen_stages: -1 for none, 0 for the stem, n for the stem and the first n stages.
        norm_eval: keep the running statistics of batch norms in training.
        drop_path_rate: see `downstream.models.backbone.drop_paths`.
        with_cp: save memory at the cost of time, see `downstream.models.backbone.stage_outputs`.
        weights: file of a classifier, a detector or a backbone of this architecture, read as data.
        init_cfg: of mmengine; `dict(type="Pretrained", checkpoint=FILE)` is the same as `weights`.

    Raises:
        InputError: an invalid architecture or option.
    """

    def __init__(
        self,
        arch: Source,
        in_channels: int | None = None,
        out_indices: Sequence[int] = (0, 1, 2, 3),
        frozen_stages: int = -1,
        norm_eval: bool = False,
        drop_path_rate: float = 0.0,
        with_cp: bool = False,
        weights: str | None = None,
        init_cfg: Mapping[str, Any] | None = None,
    ) -> None:
        if init_cfg is not None and init_cfg.get("type") == "Pretrained":
            weights, init_cfg = weights or init_cfg["checkpoint"], None
        super().__init__(init_cfg)
        architecture = architecture_of(arch)
        if in_channels is not None:
            architecture = with_channels(architecture, in_channels)
        count = len(architecture.stages)
        if isinstance(out_indices, int):
            raise InputError(f"out_indices: expected a list of stages; got {out_indices}")
        wanted = tuple([index + count if index < 0 else index for index in out_indices])
        if not wanted or not all(0 <= index < count for index in wanted):
            raise InputError(f"out_indices: expected some of 0 to {count - 1}; got {tuple(out_indices)}")
        if not -1 <= frozen_stages <= count:
            raise InputError(f"frozen_stages: expected -1 to {count}; got {frozen_stages}")
        if weights is not None and not Path(weights).is_file():
            raise InputError(f"weights: expected a file; got {weights}, which does not exist")
        network = build(architecture, classes=0)
        drop_paths(network, drop_path_rate)
        self.architecture = architecture
        self.out_indices, self.frozen_stages = wanted, frozen_stages
        self.norm_eval, self.with_cp, self.weights = norm_eval, with_cp, weights
        self.stem = network.stem
        self.stages = torch.nn.ModuleList(list(network.stages)[: max(wanted) + 1])
        self.out_channels = tuple(architecture.stages[index].width for index in self.out_indices)
        self._freeze()

    def init_weights(self) -> None:
        """Load the weights if there are any. Raises InputError: they are of another architecture."""
        super().init_weights()
        if self.weights is not None:
            weights_files.load(self, self.weights, backbone=True)

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """(B, in_channels, H, W) -> the maps of the stages (B, width, H', W'), sides rounded up."""
        if x.shape[1] != self.architecture.in_channels:
            raise InputError(
                f"expected images with {self.architecture.in_channels} channels, as the network's in_channels says; "
                f"got {x.shape[1]}: data_preprocessor (mean, std) and what loads the images decide"
            )
        checkpointed = self.with_cp and self.training and torch.is_grad_enabled()
        outputs = stage_outputs(self.stem, self.stages, x, checkpointed=checkpointed)
        found = pixel_maps(self.architecture, outputs, x.shape[2:])
        return tuple(found[index] for index in self.out_indices)

    def train(self, mode: bool = True) -> UniNAS:
        """Set the mode; what is frozen stays in evaluation mode."""
        super().train(mode)
        self._freeze()
        if mode and self.norm_eval:
            for module in self.modules():
                if isinstance(module, _BatchNorm):
                    module.eval()
        return self

    def _freeze(self) -> None:
        frozen = [] if self.frozen_stages < 0 else [self.stem, *list(self.stages)[: self.frozen_stages]]
        for module in frozen:
            module.eval()
            module.requires_grad_(False)
