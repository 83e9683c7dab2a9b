"""From an architecture to a torch module: `build`.

The module's parameters are named by their stable place (stage, block, sub-block, operation, ordinal among equal operations in the
graph's order), so that neighbours share names for what they share, and fused and unfused builds are the same module.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from uninas.compile import fused
from uninas.compile.layer_names import layer_names
from uninas.compile.layers import LAYERS, NEEDS_SIZE, Downsample, Layer, LayerNorm2d
from uninas.compile.plan import ExecutionPlan, Step, plan
from uninas.compile.sizes import full_size, layer_size
from uninas.graph import IDENTITY, Architecture, Block, Flow, Graph, Stage, head_channels


def build(architecture: Architecture, *, classes: int | None = None, fused: bool = True) -> Network:
    """Build the network as a module, in the form given (canonicalise first to score or to train).

    Input (B, in_channels, H, W) of any size; output (B, classes) logits, default the architecture's classes. `fused=False` runs
    each node by itself: the reference that fused execution is held against. Weights are torch's defaults.
    Raises GraphError for an ill-typed graph.
    """
    return Network(architecture, architecture.classes if classes is None else classes, fused=fused)


class GraphModule(nn.Module):
    """One graph: of a sub-block, or with `frame` of the frame, whose output may be any full feature map.

    Operations with parameters or randomness are children, looked up by name at each pass: a child that was replaced after
    building (by a synchronised norm, an adapter, a quantised layer) is the one that runs.
    """

    def __init__(self, graph: Graph, given: Flow, *, fused: bool, frame: bool = False) -> None:
        super().__init__()
        self.graph, self.width = graph, given.channels
        self.types = given.types(graph) if frame else graph.types(given.channels, given.tokens)
        self.names = layer_names(graph)
        self.plan: ExecutionPlan = plan(graph, self.types, fused=fused)
        self.functions: list[Layer | None] = []
        for (op, inputs), made, name in zip(graph.nodes, self.types, self.names, strict=True):
            layer: Layer | None = None
            if op.name != "input":
                layer = LAYERS[op.name](op, tuple([self.types[i] for i in inputs]), made, given.place)
            if name is not None:
                assert isinstance(layer, nn.Module), "an instance is a module"
                self.add_module(name, layer)
                layer = None
            self.functions.append(layer)

    def forward(self, x: Tensor) -> Tensor:
        """(B, width, H, W) -> (B, width, H, W); of the frame: (B, channels, ceil(H / stride), ceil(W / stride))."""
        size = (x.shape[2], x.shape[3])
        values: dict[int, Tensor] = {0: x}
        for step, finished in zip(self.plan.steps, self.plan.last_uses, strict=True):
            inputs = [values[i] for i in step.inputs]
            for value in finished:
                del values[value]
            if step.kind == "split":
                assert step.op is not None
                values.update(enumerate(fused.pieces(inputs[0], step.op.values["count"]), step.output))
            else:
                values[step.output] = self._run(step, inputs, size)
        return values[self.plan.output]

    def _run(self, step: Step, inputs: list[Tensor], size: tuple[int, int]) -> Tensor:
        if step.kind == "stack":
            return torch.cat(inputs, 1)
        if step.kind == "expand":
            return inputs[0].expand(-1, -1, *full_size(step.stride, step.tokens - self.types[0][3], size))
        assert step.op is not None
        layers = [self.layer(node) for node in step.nodes]
        if step.kind == "attention":
            return fused.attention(step.op, layers, *inputs)
        if step.kind == "wide":
            return fused.wide(layers, inputs[0])
        behind = layer_size(self.types[step.nodes[0]], self.types[0], size)
        if step.kind == "batch":
            return fused.batch(step.op, layers, inputs, behind)
        return layers[0](*inputs, size=behind) if step.op.name in NEEDS_SIZE else layers[0](*inputs)

    def layer(self, node: int) -> Layer:
        """Return what computes a node: its child, or the function of an operation without parameters."""
        name = self.names[node]
        layer = self.functions[node] if name is None else self._modules[name]
        assert layer is not None
        return layer


class ResidualBlock(nn.Module):
    """x = shortcut(x) + S1(norm1(x)); x = x + S2(norm2(x)). The first block of a stage halves the resolution.

    `drop_path1` and `drop_path2` stand at the end of the residual paths and do nothing: a training puts stochastic depth there.
    """

    def __init__(self, block: Block, channels: int, at: Flow, *, first: bool, fused: bool, rounding: str) -> None:
        super().__init__()
        width = at.channels
        self.shortcut: nn.Module = Downsample(channels, width, norm=False, rounding=rounding) if first else nn.Identity()
        self.depth = len(block.subblocks)
        for number, graph in enumerate(block.subblocks, 1):
            if graph is not None:
                reduces = first and number == 1
                norm = Downsample(channels, width, norm=True, rounding=rounding) if reduces else LayerNorm2d(width)
                self.add_module(f"norm{number}", norm)
                self.add_module(f"sub{number}", GraphModule(graph, at, fused=fused))
                self.add_module(f"drop_path{number}", nn.Identity())

    def forward(self, x: Tensor) -> Tensor:
        """(B, channels, H, W) -> (B, width, H, W), or half of H and W."""
        given, x = x, self.shortcut(x)
        for number in range(1, self.depth + 1):
            sub = self._modules.get(f"sub{number}")
            norm, drop = self._modules.get(f"norm{number}"), self._modules.get(f"drop_path{number}")
            if sub is not None and norm is not None and drop is not None:
                x = x + drop(sub(norm(given if number == 1 else x)))
        return x


class PlainBlock(nn.Module):
    """x = S1(x); x = S2(x); ... The first block of a stage without a transition halves the resolution before."""

    def __init__(self, block: Block, channels: int, at: Flow, *, first: bool, fused: bool, rounding: str) -> None:
        super().__init__()
        self.shortcut: nn.Module = Downsample(channels, at.channels, norm=False, rounding=rounding) if first else nn.Identity()
        self.subs: list[str] = []
        for number, graph in enumerate(block.subblocks, 1):
            if graph is not None:
                self.subs.append(f"sub{number}")
                self.add_module(f"sub{number}", GraphModule(graph, at, fused=fused))

    def forward(self, x: Tensor) -> Tensor:
        """(B, channels, H, W) -> (B, width, H, W), or half of H and W."""
        x = self.shortcut(x)
        for name in self.subs:
            x = getattr(self, name)(x)
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
    """The transition, if there is one, and the blocks of one width and resolution.

    The transition is the child `entry`: names of parameters outlive words, and trained weights hold them.
    """

    def __init__(self, stage: Stage, before: Flow, after: Flow, *, fused: bool, rounding: str) -> None:
        super().__init__()
        self.entry: GraphModule | None = None
        if stage.transition is not None and stage.transition != IDENTITY:
            self.entry = GraphModule(stage.transition, before, fused=fused, frame=True)
        blocks: list[ResidualBlock | PlainBlock] = []
        for number, block in enumerate(stage.blocks):
            first = number == 0 and stage.transition is None
            kind = ResidualBlock if block.residual else PlainBlock
            channels = before.channels if first else stage.width
            blocks.append(kind(block, channels, after, first=first, fused=fused, rounding=rounding))
        self.blocks = nn.ModuleList(blocks)

    def forward(self, x: Tensor, run: Callable[[nn.Module, Tensor], Tensor] | None = None) -> Tensor:
        """(B, channels, H, W) -> (B, width, H', W'): half of H and W, or what the transition makes of them.

        `run` calls a block on its input in another way than directly, such as by gradient checkpointing.
        """
        if self.entry is not None:
            x = self.entry(x)
        for block in self.blocks:
            x = block(x) if run is None else run(block, x)
        return x


class Network(nn.Module):
    """A whole network: stem, stages, head. `classes=0` ends in pooled features (B, width)."""

    def __init__(self, architecture: Architecture, classes: int, *, fused: bool) -> None:
        super().__init__()
        self.architecture = architecture
        flows = architecture.flows()
        self.stem: Stem | GraphModule
        if isinstance(architecture.stem, Graph):
            self.stem = GraphModule(
                architecture.stem, Flow(architecture.in_channels, architecture.image()), fused=fused, frame=True
            )
        else:
            self.stem = Stem(architecture.in_channels, *architecture.stem)
        self.stages = nn.ModuleList(
            StageModule(stage, before, after, fused=fused, rounding=architecture.rounding)
            for stage, before, after in zip(architecture.stages, flows, flows[1:], strict=False)
        )
        channels = flows[-1].channels
        self.norm: nn.Module = nn.Identity()
        if classes and architecture.head is None:
            self.norm = LayerNorm2d(channels)
        elif classes and architecture.head is not None:
            self.norm = GraphModule(architecture.head, flows[-1], fused=fused, frame=True)
            channels = head_channels(architecture)
        self.head: nn.Module = nn.Linear(channels, classes) if classes else nn.Identity()

    def forward_features(self, x: Tensor) -> list[Tensor]:
        """Return the output of each stage, at strides 4, 8, 16, 32 in the template."""
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
        """Return every convolution and linear layer with its name, in forward order."""
        return [(n, m) for n, m in self.named_modules() if isinstance(m, nn.Conv2d | nn.Linear)]

    def block_outputs(self) -> list[tuple[str, nn.Module]]:
        """Give the blocks, and the transitions that do anything, with their names in forward order: each makes a feature map."""
        found: list[tuple[str, nn.Module]] = []
        for number, stage in enumerate(self.stages):
            assert isinstance(stage, StageModule)
            if stage.entry is not None:
                found.append((f"stages.{number}.entry", stage.entry))
            found += [(f"stages.{number}.blocks.{b}", block) for b, block in enumerate(stage.blocks)]
        return found


__all__ = ["GraphModule", "Network", "PlainBlock", "ResidualBlock", "StageModule", "build"]
