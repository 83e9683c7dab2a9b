"""From an architecture to a torch module: `build`.

The module's parameters are named by their stable place (stage, block, sub-block, operation, ordinal among equal operations in the
graph's order), so that neighbours share names for what they share, and fused and unfused builds are the same module.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from uninas import fused
from uninas.graph import Architecture, Block, Graph
from uninas.layers import LAYERS, NEEDS_SIZE, Downsample, Layer, LayerNorm2d, layer_size
from uninas.names import layer_names
from uninas.ops import Place
from uninas.plan import Plan, Step, plan


def build(architecture: Architecture, *, classes: int | None = None, fused: bool = True) -> Network:
    """The network as a module, in the form given (canonicalise first to score or to train).

    Input (B, in_channels, H, W) of any size; output (B, classes) logits, default the architecture's classes. `fused=False` runs
    each node by itself: the reference that fused execution is held against. Weights are torch's defaults.
    Raises GraphError for an ill-typed graph.
    """
    return Network(architecture, architecture.classes if classes is None else classes, fused=fused)


class GraphModule(nn.Module):
    """One sub-block's graph.

    Operations with parameters or randomness are children, looked up by name at each pass: a child that was replaced after
    building (by a synchronised norm, an adapter, a quantised layer) is the one that runs.
    """

    def __init__(self, graph: Graph, width: int, place: Place, *, fused: bool) -> None:
        super().__init__()
        self.graph, self.width = graph, width
        self.types = graph.types(width)
        self.names = layer_names(graph)
        self.plan: Plan = plan(graph, self.types, fused=fused)
        self.functions: list[Layer | None] = []
        for (op, inputs), made, name in zip(graph.nodes, self.types, self.names, strict=True):
            layer: Layer | None = None
            if op.name != "input":
                layer = LAYERS[op.name](op, tuple([self.types[i] for i in inputs]), made, place)
            if name is not None:
                assert isinstance(layer, nn.Module), "an instance is a module"
                self.add_module(name, layer)
                layer = None
            self.functions.append(layer)

    def forward(self, x: Tensor) -> Tensor:
        """(B, width, H, W) -> (B, width, H, W)."""
        size = (x.shape[2], x.shape[3])
        values: dict[int, Tensor] = {0: x}
        for step, finished in zip(self.plan.steps, self.plan.last_uses, strict=True):
            inputs = [values[i] for i in step.inputs]
            for value in finished:
                del values[value]
            if step.kind == "split":
                assert step.op is not None
                values.update(enumerate(inputs[0].chunk(step.op.values["count"], 1), step.output))
            else:
                values[step.output] = self._run(step, inputs, size)
        return values[self.plan.output]

    def _run(self, step: Step, inputs: list[Tensor], size: tuple[int, int]) -> Tensor:
        if step.kind == "stack":
            return torch.cat(inputs, 1)
        if step.kind == "expand":
            return inputs[0].expand(-1, -1, *size)
        assert step.op is not None
        layers = [self.layer(node) for node in step.nodes]
        if step.kind == "attention":
            return fused.attention(step.op, layers, *inputs)
        if step.kind == "wide":
            return fused.wide(layers, inputs[0])
        behind = layer_size(self.types[step.nodes[0]], size)
        if step.kind == "batch":
            return fused.batch(step.op, layers, inputs, behind)
        return layers[0](*inputs, size=behind) if step.op.name in NEEDS_SIZE else layers[0](*inputs)

    def layer(self, node: int) -> Layer:
        """What computes a node: its child, or the function of an operation without parameters."""
        name = self.names[node]
        layer = self.functions[node] if name is None else self._modules[name]
        assert layer is not None
        return layer


class ResidualBlock(nn.Module):
    """x = shortcut(x) + S1(norm1(x)); x = x + S2(norm2(x)). The first block of a stage halves the resolution."""

    def __init__(self, block: Block, channels: int, width: int, place: Place, *, first: bool, fused: bool) -> None:
        super().__init__()
        self.shortcut: nn.Module = Downsample(channels, width, norm=False) if first else nn.Identity()
        self.depth = len(block.subblocks)
        for number, graph in enumerate(block.subblocks, 1):
            if graph is not None:
                reduces = first and number == 1
                norm = Downsample(channels, width, norm=True) if reduces else LayerNorm2d(width)
                self.add_module(f"norm{number}", norm)
                self.add_module(f"sub{number}", GraphModule(graph, width, place, fused=fused))

    def forward(self, x: Tensor) -> Tensor:
        """(B, channels, H, W) -> (B, width, H, W), or half of H and W, rounded up."""
        given, x = x, self.shortcut(x)
        for number in range(1, self.depth + 1):
            sub = self._modules.get(f"sub{number}")
            norm = self._modules.get(f"norm{number}")
            if sub is not None and norm is not None:
                x = x + sub(norm(given if number == 1 else x))
        return x


class Stem(nn.Module):
    """conv3x3 of stride 2, BatchNorm, GELU, conv3x3."""

    def __init__(self, in_channels: int, first: int, second: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, first, 3, stride=2, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(first)
        self.act = nn.GELU()
        self.conv2 = nn.Conv2d(first, second, 3, padding=1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """(B, in_channels, H, W) -> (B, second, ceil(H/2), ceil(W/2))."""
        made: Tensor = self.conv2(self.act(self.norm(self.conv1(x))))
        return made


class StageModule(nn.Module):
    """The blocks of one width and resolution."""

    def __init__(self, blocks: list[ResidualBlock]) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(blocks)

    def forward(self, x: Tensor) -> Tensor:
        """(B, channels, H, W) -> (B, width, ceil(H/2), ceil(W/2))."""
        for block in self.blocks:
            x = block(x)
        return x


class Network(nn.Module):
    """A whole network: stem, stages, head. `classes=0` ends in pooled features (B, width)."""

    def __init__(self, architecture: Architecture, classes: int, *, fused: bool) -> None:
        super().__init__()
        self.architecture = architecture
        self.stem = Stem(architecture.in_channels, *architecture.stem)
        channels = architecture.stem[1]
        stages = []
        for stage, place in zip(architecture.stages, architecture.places(), strict=True):
            blocks = []
            for number, block in enumerate(stage.blocks):
                first = number == 0
                blocks.append(ResidualBlock(block, channels, stage.width, place, first=first, fused=fused))
                channels = stage.width
            stages.append(StageModule(blocks))
        self.stages = nn.ModuleList(stages)
        self.norm: nn.Module = LayerNorm2d(channels) if classes else nn.Identity()
        self.head: nn.Module = nn.Linear(channels, classes) if classes else nn.Identity()

    def forward_features(self, x: Tensor) -> list[Tensor]:
        """The output of each stage, at strides 4, 8, 16, 32."""
        x = self.stem(x)
        features = []
        for stage in self.stages:
            x = stage(x)
            features.append(x)
        return features

    def forward(self, x: Tensor) -> Tensor:
        """(B, in_channels, H, W) -> (B, classes) logits."""
        x = self.norm(self.forward_features(x)[-1])
        logits: Tensor = self.head(x.mean((2, 3)))
        return logits

    # --- the door to scores: a proxy needs nothing else of an architecture ---------------------------------------------------

    def scoring_layers(self) -> list[tuple[str, nn.Module]]:
        """Every convolution and linear layer with its name, in forward order."""
        return [(n, m) for n, m in self.named_modules() if isinstance(m, nn.Conv2d | nn.Linear)]

    def block_outputs(self) -> list[tuple[str, nn.Module]]:
        """The residual blocks with their names, in forward order; each maps the previous feature map to its own."""
        return [(name, module) for name, module in self.named_modules() if isinstance(module, ResidualBlock)]


__all__ = ["GraphModule", "Network", "ResidualBlock", "build"]
