"""The forward pass of a graph as Python: one statement for each convolution or product, with what follows it folded in."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from downstream.export.source.children import Child
from downstream.export.source.constructing import Writer
from downstream.export.source.pieces import attention, maps
from downstream.export.source.values import OUTPUT, Values, outputs
from downstream.export.source.words import ANONYMOUS, unique
from uninas.compile.plan import Step
from uninas.graph import Graph
from uninas.ops import AttentionMap, Op, Type

__all__ = ["forward"]

_ATOM, _PRODUCT, _SUM = range(3)

_FUNCTIONS = {
    "gelu": "F.gelu",
    "relu": "F.relu",
    "relu6": "F.relu6",
    "silu": "F.silu",
    "hardswish": "F.hardswish",
    "sigmoid": "torch.sigmoid",
    "hard_sigmoid": "F.hardsigmoid",
    "tanh": "torch.tanh",
}

_LIGHT = {*_FUNCTIONS, "batch_norm", "layer_norm", "group_norm", "layer_scale", "dropout", "drop_path", "negate", "softmax"}
"""Operations that are folded into the statement of what they read."""

_TAKES_ANY = {*_LIGHT, "add", "multiply", "global_average_pool"}

_LONGEST = 76
"""Of an expression that is folded into another, in characters."""


class _Text(NamedTuple):
    """An expression: its text, how strongly it binds, and whether it does more than norms and activations do."""

    text: str
    level: int = _ATOM
    heavy: bool = True

    def within(self, level: int) -> str:
        """Return the text as an operand of an expression of that level."""
        return f"({self.text})" if self.level > level else self.text


def forward(graph: Graph, types: tuple[Type, ...], values: Values, children: dict[int, list[Child]], write: Writer) -> list[str]:
    """Return the lines of a graph's forward pass, from the argument x to its return."""
    return _Pass(graph, types, values, children, write).lines()


class _Pass:
    def __init__(
        self, graph: Graph, types: tuple[Type, ...], values: Values, children: dict[int, list[Child]], write: Writer
    ) -> None:
        self.graph, self.types, self.values, self.children, self.write = graph, types, values, children, write
        self.made: list[str] = []
        self.texts: dict[int, _Text] = {0: _Text("x", heavy=False)}
        self.names: dict[int, str] = {0: "x"}  # of the values that are variables
        self.left = {value: len(readers) for value, readers in values.readers.items()}
        self.freed: list[str] = []  # variables that the statement under way read for the last time
        self.sized = False

    def lines(self) -> list[str]:
        for place, step in enumerate(self.values.steps):
            operands = [self.texts[value] for value in step.inputs]
            for value in step.inputs:
                self.left[value] -= 1
                if not self.left[value] and value in self.names:
                    self.freed.append(self.names.pop(value))
            made = self.expression(place, step, operands)
            if step.kind == "split":
                self.assign(list(outputs(step)), made)
            elif self.folds(place, step, made):
                self.texts[step.output] = made
            else:
                self.assign([step.output], made)
        sides = ["height, width = x.shape[2], x.shape[3]"] if self.sized else []
        return [*sides, *self.made, f"return {self.texts[self.values.output].text}"]

    # --- statements -------------------------------------------------------------------------------------------------------

    def folds(self, place: int, step: Step, made: _Text) -> bool:
        """Whether a value stays an expression: the next step alone reads it, or it is returned."""
        readers = self.values.readers[step.output]
        if len(readers) != 1 or len(made.text) > _LONGEST:
            return False
        reader = readers[0][0]
        if reader == OUTPUT:
            return True
        if reader != place + 1:
            return False
        following = self.values.steps[reader]
        name = following.op.name if following.op is not None else ""
        if following.kind == "split" or (following.kind == "node" and name in _TAKES_ANY):
            return True
        return name in ("conv", "token_linear") and following.kind == "node" and not made.heavy

    def assign(self, made: list[int], text: _Text) -> None:
        targets = []
        for value in made:
            self.names[value] = self.name(value)
            self.texts[value] = _Text(self.names[value], heavy=False)
            targets.append(self.names[value])
        self.freed = []
        self.made.append(f"{', '.join(targets)} = {text.text}")

    def name(self, value: int) -> str:
        live = set(self.names.values())
        purpose = self.values.purpose(value)
        if purpose is not None:
            return unique(purpose, live)
        for name in ANONYMOUS:
            if name in self.freed and name not in live:
                return name
        return next((name for name in ANONYMOUS if name not in live), unique("part", live))

    # --- expressions ------------------------------------------------------------------------------------------------------

    def expression(self, place: int, step: Step, operands: list[_Text]) -> _Text:
        x = operands[0]
        layers = self.children.get(place, [])
        if step.kind == "stack":
            return _Text(f"torch.cat([{', '.join(one.text for one in operands)}], 1)")
        if step.kind == "expand":
            return _Text(f"{x.text}.expand(-1, -1, {', '.join(self.full(step.stride, step.tokens))})")
        assert step.op is not None
        if step.kind == "split":
            return _Text(f"{x.within(_ATOM)}.chunk({step.op.values['count']}, 1)")
        if step.kind == "attention":
            return _Text(self.attention(step.op, layers, [one.text for one in operands]))
        if step.kind == "wide" and len(layers) > 1:
            return _Text(f"torch.cat([{', '.join(f'self.{layer.name}({x.text})' for layer in layers)}], 1)")
        if step.kind == "batch" and len(layers) > 1:
            self.made.append(f"parts = {x.text}.chunk({len(layers)}, 1)")
            each = [f"self.{layer.name}(parts[{number}])" for number, layer in enumerate(layers)]
            return _Text(f"torch.cat([{', '.join(each)}], 1)")
        if step.op.name == "relative_position_bias":
            bias = f"self.{layers[0].name}({', '.join(self.behind(step))})"
            return _Text(f"{attention.biased.__name__}({x.text}, {bias})")
        if layers:
            return _Text(f"self.{layers[0].name}({x.text})", heavy=x.heavy or step.op.name not in _LIGHT)
        return self.function(step, step.op, operands)

    def attention(self, op: Op, biases: list[Child], operands: list[str]) -> str:
        query = operands[0]
        options = [f"head_dim={op.values['head_dim']}"]
        window, shift = op.values["window"], op.values["shift"]
        options += [f"window={window}"] * bool(window) + [f"shift={shift}"] * bool(window and shift)
        if biases:
            made = " + ".join(f"self.{layer.name}({query}.shape[2], {query}.shape[3])" for layer in biases)
            options.append(f"bias={made}")
        what = attention.window_attention if window else attention.attention
        return f"{what.__name__}({', '.join([*operands, *options])})"

    def function(self, step: Step, op: Op, operands: list[_Text]) -> _Text:
        """Write an operation without parameters."""
        x, values, name = operands[0], op.values, op.name
        if name in _FUNCTIONS:
            return _Text(f"{_FUNCTIONS[name]}({x.text})", heavy=x.heavy)
        if name == "softmax":
            return _Text(f"{x.within(_ATOM)}.softmax(-1)", heavy=x.heavy)
        if name == "negate":
            return _Text(f"-{x.within(_ATOM)}", _PRODUCT, x.heavy)
        if name == "add":
            return _Text(_sum(operands), _SUM)
        if name == "multiply":
            return _Text(" * ".join([operands[0].within(_PRODUCT), *(one.within(_ATOM) for one in operands[1:])]), _PRODUCT)
        if name == "concat":
            return _Text(f"torch.cat([{', '.join(one.text for one in operands)}], 1)")
        if name == "slice":
            return _Text(f"{x.text}.chunk({values['count']}, 1)[{values['index']}]")
        if name == "global_average_pool":
            return _Text(f"{x.within(_ATOM)}.mean((2, 3), keepdim=True)")
        if name == "take_class_token":
            return _Text(f"{x.within(_ATOM)}[:, :, :1]", heavy=x.heavy)
        if name == "mask":
            return _Text(f"{maps.banded.__name__}({x.text}, {values['band']})")
        if name == "space_to_depth":
            return _Text(f"{maps.space_to_depth.__name__}({x.text}, {values['factor']})")
        if name in ("max_pool", "average_pool"):
            return _Text(_pool(op, x.text))
        if name == "zero":
            return _Text(self.zero(step, op, x.text))
        if name == "broadcast":
            return _Text(self.broadcast(step, x.text))
        return _Text(self.product(step, op, [one.text for one in operands]))

    def product(self, step: Step, op: Op, operands: list[str]) -> str:
        given = self.types[self.graph.nodes[step.nodes[0]].inputs[0]]
        if op.name == "matmul_qk":
            options = [f"head_dim={op.values['head_dim']}"]
            if op.values["over"] == "channels":
                return f"{attention.channel_scores.__name__}({', '.join([*operands, *options])})"
            window, shift = op.values["window"], op.values["shift"]
            options += [f"window={window}"] * bool(window) + [f"shift={shift}"] * bool(window and shift)
            what: Callable[..., object] = attention.window_scores if window else attention.attention_scores
            return f"{what.__name__}({', '.join([*operands, *options])})"
        assert op.name == "matmul_av", op.name
        assert isinstance(given, AttentionMap)
        if given.channels:
            return f"{attention.channel_weighted.__name__}({', '.join(operands)})"
        share = given.heads // (given.key_heads or given.heads)
        options = [str(share), *([str(given.window), str(given.shift)] if given.window else []), *self.behind(step)]
        what = attention.window_weighted if given.window else attention.weighted_values
        return f"{what.__name__}({', '.join([*operands, *options])})"

    def zero(self, step: Step, op: Op, x: str) -> str:
        node = step.nodes[0]
        given, made = self.types[self.graph.nodes[node].inputs[0]], self.types[node]
        stride, tokens = (0, 0) if made.pooled else (op.values["stride"], op.values["tokens"])
        what = maps.zero_map if isinstance(made, AttentionMap) else maps.zeros
        if isinstance(given, AttentionMap) or given.pooled:  # as many entries as there are
            what, stride, tokens = maps.zeros, 1, 0
        options = [f"stride={stride}"] * (stride != 1) + [f"tokens={tokens}"] * (tokens != 0)
        return f"{what.__name__}({', '.join([x, self.write.channels(made[0], 'self.channels'), *options])})"

    def broadcast(self, step: Step, x: str) -> str:
        made = self.types[step.nodes[0]]
        height, width = self.behind(step)
        if not isinstance(made, AttentionMap):
            return f"{x}.expand(-1, -1, {height}, {width})"
        count = height if width == "1" else f"{height} * {width}"
        return f"{x}.expand(-1, -1, {count}, {count})"

    def behind(self, step: Step) -> tuple[str, str]:
        """Write height and width of the map behind a value: of the queries' for a map of attention."""
        made = self.types[step.nodes[0]]
        return ("1", "1") if made.pooled else self.full(made.stride, made.tokens)

    def full(self, stride: int, tokens: int) -> tuple[str, str]:
        self.sized = True
        height, width = (
            ["height", "width"] if stride == 1 else [f"{maps.strided.__name__}({side}, {stride})" for side in ("height", "width")]
        )
        more = tokens - self.types[0][3]
        return (f"{height} * {width} + {more}", "1") if more else (height, width)


def _sum(operands: list[_Text]) -> str:
    text = operands[0].text
    for one in operands[1:]:
        text += f" - {one.text[1:]}" if one.text.startswith("-") else f" + {one.within(_PRODUCT)}"
    return text


def _pool(op: Op, x: str) -> str:
    kernel, stride = op.values["kernel"], op.values["stride"]
    function = "F.max_pool2d" if op.name == "max_pool" else "F.avg_pool2d"
    every = "" if op.name == "max_pool" else ", count_include_pad=False"
    if kernel % 2 == 0:
        return f"{function}({x}, {kernel}, stride={kernel}, ceil_mode=True{every})"
    return f"{function}({x}, {kernel}, stride={stride}, padding={kernel // 2}{every})"
