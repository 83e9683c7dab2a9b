"""The class of our models in timm: stem, stages, norm, pooling, dropout, classifier, and timm's ways to ask for features.

`downstream.models.timm_factory` builds them for `timm.create_model("uninas", arch=...)`.
"""

# Annotations are not postponed: torch.fx writes those of `forward` into what it traces, and TorchScript cannot read a text there.
from collections.abc import Mapping, Sequence
from typing import Any

import torch
import torch.fx
from timm.layers import Format, SelectAdaptivePool2d, nchw_to
from torch import Tensor, nn

from downstream.models.adapting import first_conv, set_reference_size
from downstream.models.backbone import (
    drop_paths,
    pixel_maps,
    places,
    stage_outputs,
    stage_strides,
    stage_widths,
    with_channels,
    with_size,
)
from uninas.compile.module import GraphModule, build
from uninas.errors import InputError
from uninas.graph import Architecture, head_channels
from uninas.text import to_document

__all__ = ["POOLS", "TOKEN", "UniNASNet"]

POOLS = ("avg", "max", "avgmax", "catavgmax", "fast", "fastavg", "fastmax", "fastavgmax", "fastcatavgmax", "")
"""What `global_pool` may be; "token" too, where the head takes the class token."""

TOKEN = "token"


class UniNASNet(nn.Module):
    """A network with timm's interface: stem, stages, norm, pooling, dropout, classifier.

    Args:
        architecture: to build. Its own numbers of classes and of input channels are not used.
        num_classes: of the classifier; 0 for none.
        in_chans: channels of the input.
        img_size: reference (height, width), or one number for both; by default the architecture's. Any size can be run at.
        global_pool: one of `POOLS`: "avg" (the template's, also called "fast"), "max", ..., or "" for the unpooled map.
        drop_rate: of the dropout before the classifier.
        drop_path_rate: stochastic depth of the last block, see `downstream.models.backbone.drop_paths`.
        output_stride: the architecture's, which cannot be changed.
        device, dtype: of the parameters.

    Attributes:
        num_features: channels of the output of `forward_features`.
        head_hidden_size: channels of the input of the classifier, before pooling.
        feature_info: one per stage: channels, reduction, module.
        pretrained_cfg: timm's description of input, classifier and weights; timm sets it.

    Raises:
        InputError: options with which the architecture cannot be built, such as another output stride.
    """

    pretrained_cfg: dict[str, Any]

    def __init__(
        self,
        architecture: Architecture,
        *,
        num_classes: int = 1000,
        in_chans: int = 3,
        img_size: int | Sequence[int] | None = None,
        global_pool: str = "avg",
        drop_rate: float = 0.0,
        drop_path_rate: float = 0.0,
        output_stride: int | None = None,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        architecture = with_channels(architecture, in_chans)
        if img_size is not None:
            architecture = with_size(architecture, img_size)
        _same_stride(architecture, output_stride)
        network = build(architecture, classes=1)  # with a norm; the classifier is built below
        drop_paths(network, drop_path_rate)
        self.architecture = architecture
        self.in_chans, self.drop_rate = in_chans, drop_rate
        self.num_features = self.head_hidden_size = head_channels(architecture)
        self.grad_checkpointing = False
        self.feature_info = _feature_info(architecture)
        self.stem = network.stem
        self.stages = nn.Sequential(*network.stages)  # timm's feature extractors look for stages in these
        self.norm = network.norm
        self._traits: dict[str, Any] = {"first_conv": first_conv(architecture.stem)}
        self._arguments: dict[str, Any] = {}
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
        *,
        return_prefix_tokens: bool = False,
        output_dict: bool = False,
    ) -> Any:
        """Give the outputs of stages, and the final features unless `intermediates_only`.

        Args:
            x: (B, in_chans, H, W).
            indices: which stages: all (None), the last so many, or these, see `downstream.models.backbone.places`.
            norm: apply the final norm to the last stage's output: the head where it makes a map of the same kind, else the norm
                that it begins with, if it does.
            stop_early: run no stage after the last that is needed.
            output_fmt: of the intermediates: "NCHW", "NHWC", "NCL" or "NLC".
            intermediates_only: return only the list.
            return_prefix_tokens: give pairs of a map and its class tokens (B, tokens, C), where there are any.
            output_dict: give a dictionary with timm's keys: image_intermediates, image_intermediates_prefix, image_features.
        """
        wanted = places(len(self.stages), indices)
        count = max(wanted) + 1 if stop_early else len(self.stages)
        outputs = stage_outputs(self.stem, list(self.stages)[:count], x, checkpointed=self._checkpointed())
        chosen = [self._normed(outputs[place]) if norm and place == len(self.stages) - 1 else outputs[place] for place in wanted]
        kept = [self.architecture.stages[place].tokens for place in wanted]
        maps = pixel_maps(self.architecture, chosen, x.shape[2:], wanted)
        features = None
        if not intermediates_only:
            features = self.norm(outputs[-1]) if len(outputs) == len(self.stages) else outputs[-1]
        tokens = [output[:, :, :count, 0].transpose(1, 2) for output, count in zip(chosen, kept, strict=True)]
        return self._given(
            maps, tokens if any(kept) and return_prefix_tokens else None, features, output_fmt=output_fmt, output_dict=output_dict
        )

    @staticmethod
    def _given(
        maps: list[Tensor], tokens: list[Tensor] | None, features: Tensor | None, *, output_fmt: str, output_dict: bool
    ) -> Any:
        """Give intermediates as timm does: a list, a pair with the final features, or a dictionary."""
        formats = [one.value for one in Format]
        if output_fmt not in formats:
            raise InputError(f"output_fmt: expected one of {', '.join(formats)}; got {output_fmt}")
        found: list[Any] = [nchw_to(one, Format(output_fmt)) for one in maps]
        if output_dict:
            named = {"image_intermediates": found, "image_intermediates_prefix": tokens, "image_features": features}
            return {key: value for key, value in named.items() if value is not None}
        if tokens is not None:
            found = list(zip(found, tokens, strict=True))
        return found if features is None else (features, found)

    def _normed(self, x: Tensor) -> Tensor:
        """Apply the final norm to a map of the last stage, which stays one."""
        if not isinstance(self.norm, GraphModule):  # the template's, or none after pruning
            made: Tensor = self.norm(x)
            return made
        graph, types = self.norm.graph, self.norm.types
        if types[graph.output] == types[0]:
            made = self.norm(x)
            return made
        readers = [index for index, node in enumerate(graph.nodes) if 0 in node.inputs]
        if len(readers) == 1 and graph.nodes[readers[0]].op.name in _NORMS:
            return self.norm.layer(readers[0])(x)
        return x

    def prune_intermediate_layers(
        self, indices: int | Sequence[int] = 1, prune_norm: bool = False, prune_head: bool = True
    ) -> list[int]:
        """Remove what the given stages do not need. Gives their indices."""
        wanted = places(len(self.stages), indices)
        last = max(wanted)
        cut = last < len(self.stages) - 1
        self.stages = nn.Sequential(*list(self.stages)[: last + 1])
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
            known = (*POOLS, TOKEN) if _takes_token(self.architecture) else POOLS
            if global_pool not in known:
                raise InputError(f"global_pool: expected one of {', '.join(map(repr, known))}; got {global_pool!r}")
            pool = "avg" if global_pool == TOKEN else global_pool  # the head has taken it
            self.global_pool = SelectAdaptivePool2d(pool_type=pool, flatten=bool(pool))
        if num_classes and not self.global_pool.pool_type:
            raise InputError(f"global_pool: expected a pooling before a classifier of {num_classes} classes; got ''")
        self.num_classes = num_classes
        parameter = next(self.parameters())
        width = self.num_features * self.global_pool.feat_mult()
        made = nn.Linear(width, num_classes) if num_classes else nn.Identity()
        self.head = made.to(device=parameter.device, dtype=parameter.dtype)

    def set_input_size(self, img_size: int | Sequence[int]) -> None:
        """Make another size the reference one: tables and embeddings are resized, so what is computed at it stays the same.

        Images of any size can be given without it.

        Args:
            img_size: (height, width), or one number for both.

        Raises:
            InputError: the architecture has no such size, or layers whose weights have no counterpart at it.
        """
        architecture = with_size(self.architecture, img_size)
        set_reference_size(self, architecture)
        self.architecture = architecture
        self._traits = {**self._traits, "img_size": architecture.input_size}

    @property
    def _model_args(self) -> dict[str, Any]:
        """What timm writes into an exported folder to build the model again: with the architecture itself, not where it was."""
        return {**self._arguments, "arch": to_document(self.architecture)}

    @_model_args.setter
    def _model_args(self, arguments: Mapping[str, Any]) -> None:
        self._arguments = {name: value for name, value in arguments.items() if name != "arch"}

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
        return torch.fx.symbolic_trace(self)

    def _checkpointed(self) -> bool:
        return self.grad_checkpointing and self.training and torch.is_grad_enabled()


_NORMS = ("layer_norm", "group_norm", "batch_norm")


def _takes_token(architecture: Architecture) -> bool:
    return architecture.head is not None and any(node.op.name == "take_class_token" for node in architecture.head.nodes)


def _same_stride(architecture: Architecture, wanted: int | None) -> None:
    stride = stage_strides(architecture)[-1]
    if wanted is not None and wanted != stride:
        raise InputError(
            f"output_stride: expected {stride}, which is part of the architecture and not traded for dilation; got {wanted}: "
            "take the maps of earlier stages (features_only=True, out_indices=...), or search with other strides"
        )


def _feature_info(architecture: Architecture) -> list[dict[str, Any]]:
    return [
        {"num_chs": channels, "reduction": stride, "module": f"stages.{number}"}
        for number, (channels, stride) in enumerate(zip(stage_widths(architecture), stage_strides(architecture), strict=True))
    ]
