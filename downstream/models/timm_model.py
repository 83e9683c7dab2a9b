"""Any architecture as a model of timm: `timm.create_model("uninas", arch=...)` after `import downstream`.

timm.create_model("uninas", arch="coatnet", num_classes=100, drop_path_rate=0.2)
timm.create_model("uninas", arch="runs/demo/best.json", features_only=True, out_indices=(1, 2, 3))
timm.create_model("local-dir:exported", pretrained=True)           a folder that `uninas export --to timm` wrote
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.fx
from timm.layers import SelectAdaptivePool2d
from timm.models import build_model_with_cfg
from torch import Tensor, nn

from downstream.models.backbone import (
    Source,
    architecture_of,
    drop_paths,
    pixel_maps,
    stage_outputs,
    stage_strides,
    stage_widths,
    with_channels,
)
from uninas.compile.layer_names import layer_names
from uninas.compile.module import build
from uninas.errors import InputError
from uninas.graph import Architecture, Graph, head_channels
from uninas.rules.inference import is_filled

__all__ = ["NAME", "UniNASNet", "uninas"]

NAME = "uninas"
"""Name of the model in timm, under which `downstream.models.timm_entry` registers it."""

POOLS = ("avg", "max", "avgmax", "catavgmax", "")


class UniNASNet(nn.Module):
    """A network with timm's interface: stem, stages, norm, pooling, dropout, classifier.

    Args:
        architecture: to build. Its own numbers of classes and of input channels are not used.
        num_classes: of the classifier; 0 for none.
        in_chans: channels of the input.
        global_pool: "avg" (the template's), "max", "avgmax", "catavgmax", or "" for the unpooled map.
        drop_rate: of the dropout before the classifier.
        drop_path_rate: stochastic depth of the last block, see `downstream.models.backbone.drop_paths`.
        device, dtype: of the parameters.

    Attributes:
        num_features: channels of the output of `forward_features`.
        head_hidden_size: channels of the input of the classifier, before pooling.
        feature_info: one per stage: channels, reduction, module.
        pretrained_cfg: timm's description of input, classifier and weights; timm sets it.

    Raises:
        InputError: options with which the architecture cannot be built, such as other input channels than those of its stem.
    """

    pretrained_cfg: dict[str, Any]

    def __init__(
        self,
        architecture: Architecture,
        *,
        num_classes: int = 1000,
        in_chans: int = 3,
        global_pool: str = "avg",
        drop_rate: float = 0.0,
        drop_path_rate: float = 0.0,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        architecture = with_channels(architecture, in_chans)
        network = build(architecture, classes=1)  # with a norm; the classifier is built below
        drop_paths(network, drop_path_rate)
        self.architecture = architecture
        self.in_chans, self.drop_rate = in_chans, drop_rate
        self.num_features = self.head_hidden_size = head_channels(architecture)
        self.grad_checkpointing = False
        self.feature_info = _feature_info(architecture)
        self.stem, self.stages, self.norm = network.stem, network.stages, network.norm
        self.head_drop = nn.Dropout(drop_rate)
        self.global_pool: SelectAdaptivePool2d
        self.head: nn.Module
        self.reset_classifier(num_classes, global_pool)
        if device is not None or dtype is not None:
            self.to(device=device, dtype=dtype)

    def forward_features(self, x: Tensor) -> Tensor:
        """(B, in_chans, H, W) -> (B, num_features, H', W'), the normalised output of the last stage."""
        made: Tensor = self.norm(stage_outputs(self.stem, self.stages, x, checkpointed=self._checkpointed())[-1])
        return made

    def forward_head(self, x: Tensor, pre_logits: bool = False) -> Tensor:
        """(B, num_features, H', W') -> (B, num_classes), or with `pre_logits` the input of the classifier."""
        x = self.head_drop(self.global_pool(x))
        made: Tensor = x if pre_logits else self.head(x)
        return made

    def forward(self, x: Tensor) -> Tensor:
        """(B, in_chans, H, W) -> (B, num_classes); without classifier (B, num_features), or unpooled."""
        return self.forward_head(self.forward_features(x))

    def forward_intermediates(
        self,
        x: Tensor,
        indices: int | Sequence[int] | None = None,
        norm: bool = False,
        stop_early: bool = False,
        output_fmt: str = "NCHW",
        intermediates_only: bool = False,
    ) -> Any:
        """Give the outputs of stages, and the final features unless `intermediates_only`.

        Args:
            x: (B, in_chans, H, W).
            indices: which stages: all (None), the last so many, or these.
            norm: apply the final norm to the last stage's output.
            stop_early: run no stage after the last that is needed.
            output_fmt: "NCHW".
            intermediates_only: return only the list.
        """
        if output_fmt != "NCHW":
            raise ValueError(f"output_fmt: expected NCHW; got {output_fmt}")
        wanted = _places(len(self.stages), indices)
        last = max(wanted)
        end = len(self.stages)
        stages = list(self.stages)[: last + 1] if stop_early else list(self.stages)
        outputs = stage_outputs(self.stem, stages, x, checkpointed=self._checkpointed())
        final = self.norm(outputs[-1]) if len(outputs) == end and (norm or not intermediates_only) else outputs[-1]
        outputs = pixel_maps(self.architecture, outputs, x.shape[2:])
        found = [final if norm and place == end - 1 else output for place, output in enumerate(outputs) if place in wanted]
        return found if intermediates_only else (final, found)

    def prune_intermediate_layers(
        self, indices: int | Sequence[int] = 1, prune_norm: bool = False, prune_head: bool = True
    ) -> list[int]:
        """Remove what the given stages do not need. Gives their indices."""
        wanted = _places(len(self.stages), indices)
        last = max(wanted)
        cut = last < len(self.stages) - 1
        self.stages = nn.ModuleList(list(self.stages)[: last + 1])
        if cut:
            self.num_features = self.head_hidden_size = self.feature_info[last]["num_chs"]
        if prune_norm or cut:
            self.norm = nn.Identity()
        if prune_head or cut:
            self.reset_classifier(0, "")
        return wanted

    def get_classifier(self) -> nn.Module:
        """Give the last linear layer, or an identity."""
        return self.head

    def reset_classifier(self, num_classes: int, global_pool: str | None = None) -> None:
        """Replace the classifier; 0 classes for none. Raises InputError for an unknown pooling, or none before a classifier."""
        if global_pool is not None:
            if global_pool not in POOLS:
                raise InputError(f"global_pool: expected one of {', '.join(map(repr, POOLS))}; got {global_pool!r}")
            self.global_pool = SelectAdaptivePool2d(pool_type=global_pool, flatten=bool(global_pool))
        if num_classes and not self.global_pool.pool_type:
            raise InputError(f"global_pool: expected a pooling before a classifier of {num_classes} classes; got ''")
        self.num_classes = num_classes
        parameter = next(self.parameters())
        width = self.num_features * self.global_pool.feat_mult()
        made = nn.Linear(width, num_classes) if num_classes else nn.Identity()
        self.head = made.to(device=parameter.device, dtype=parameter.dtype)

    def group_matcher(self, coarse: bool = False) -> dict[str, Any]:
        """Give patterns that group parameters by layer from the input on, for layer-wise decay of the learning rate."""
        stages = r"^stages\.(\d+)" if coarse else [(r"^stages\.(\d+)\.entry", (0,)), (r"^stages\.(\d+)\.blocks\.(\d+)", None)]
        return {"stem": r"^stem", "blocks": stages if coarse else [*stages, (r"^norm", (99999,))]}

    def no_weight_decay(self) -> set[str]:
        """Give the parameters without weight decay besides biases and norms: tables of relative position bias."""
        return {name for name, _ in self.named_parameters() if name.endswith(".table")}

    def set_grad_checkpointing(self, enable: bool = True) -> None:
        """Save memory at the cost of time in training, see `downstream.models.backbone.stage_outputs`."""
        self.grad_checkpointing = enable

    def __prepare_scriptable__(self) -> nn.Module:
        """Give what `torch.jit.script` compiles instead: the module traced symbolically, in its present mode."""
        traced = torch.fx.symbolic_trace(self)
        for node in traced.graph.nodes:
            node.type = None  # string annotations, which the compiler cannot resolve
        traced.recompile()
        return traced

    def _checkpointed(self) -> bool:
        return self.grad_checkpointing and self.training and torch.is_grad_enabled()


def _places(count: int, indices: int | Sequence[int] | None) -> list[int]:
    """Resolve indices among `count`: all (None), the last so many, or these, negative from the end."""
    if indices is None or isinstance(indices, int):
        wanted = list(range(count - (count if indices is None else indices), count))
    else:
        wanted = [index + count if index < 0 else index for index in indices]
    if not wanted or not all(0 <= index < count for index in wanted):
        raise InputError(f"out_indices: expected some of the {count} stages, from 0 on; got {indices}")
    return wanted


def _feature_info(architecture: Architecture) -> list[dict[str, Any]]:
    return [
        {"num_chs": channels, "reduction": stride, "module": f"stages.{number}"}
        for number, (channels, stride) in enumerate(zip(stage_widths(architecture), stage_strides(architecture), strict=True))
    ]


def uninas(pretrained: bool = False, *, arch: Source | None = None, **options: Any) -> nn.Module:
    """Build any architecture as a model of timm.

    Args:
        pretrained: load the weights that the configuration names (an exported folder's).
        arch: an architecture or its document, name of a preset, or path (architecture file, run folder, reference's JSON).
        options: of `UniNASNet`, and timm's own: features_only, out_indices, pretrained_cfg, ...

    Raises:
        InputError: no such architecture, or one that cannot be built with these options.
    """
    if arch is None:
        raise InputError("uninas: expected arch=..., a preset (resnet, efficientnet, vit, coatnet) or a file; got none")
    architecture = architecture_of(arch)
    overlay = options.pop("pretrained_cfg_overlay", None) or {}
    if options.get("pretrained_cfg") is None:  # else it describes the weights of an exported folder
        overlay = {**_about(architecture, options), **overlay}
    return build_model_with_cfg(
        UniNASNet,
        NAME,
        pretrained,
        architecture=architecture,
        pretrained_cfg_overlay=overlay,
        feature_cfg={"out_indices": tuple(range(len(architecture.stages))), "feature_cls": "getter"},
        **options,
    )


def _about(architecture: Architecture, options: dict[str, Any]) -> dict[str, Any]:
    """Describe a model for timm's data configuration and tools."""
    return {
        "input_size": (options.get("in_chans", 3), *architecture.input_size),
        "pool_size": _pooled_size(architecture),
        "num_classes": options.get("num_classes", 1000),
        "first_conv": _first_convolution(architecture.stem),
    }


def _pooled_size(architecture: Architecture) -> tuple[int, int]:
    """Give the height and width of the map that is pooled, which the head may have made smaller, or pooled already."""
    last = architecture.flows()[-1]
    place = last.place
    if architecture.head is not None:
        made = last.types(architecture.head)[architecture.head.output]
        if made.pooled:
            return 1, 1
        place = place.strided(made.stride)
    return place.height, place.width


def _first_convolution(stem: tuple[int, int] | Graph) -> str | None:
    """Give the name of the only convolution that reads the image; None where there is none, or several."""
    if not isinstance(stem, Graph):
        return "stem.conv1"
    readers = [(node, name) for node, name in zip(stem.nodes, layer_names(stem), strict=True) if 0 in node.inputs]
    if len(readers) != 1 or readers[0][0].op.name != "conv":
        return None
    node, name = readers[0]
    return f"stem.{name}.conv" if is_filled(node.op) else f"stem.{name}"
