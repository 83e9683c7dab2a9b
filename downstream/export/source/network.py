"""A network as one file of plain torch: `written`."""

from __future__ import annotations

import builtins
import keyword
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from downstream.export.source.classes import Class, Classes, Element, Filled
from downstream.export.source.constructing import Writer
from downstream.export.source.copying import IMPORTS, copied, pieces
from downstream.export.source.pieces import layers
from downstream.export.source.words import class_name
from downstream.models.backbone import stage_strides
from uninas.graph import IDENTITY, Architecture, Flow, Graph, Stage, head_channels

__all__ = ["Written", "written"]

_WIDEST = 120
"""Characters of a line that is not broken."""

_INDENT = 16
"""Characters before a module in a stage."""


@dataclass(frozen=True)
class Written:
    """A network as source.

    Attributes:
        name: of the function that builds the network, and of the model in timm.
        network: name of the class.
        classes: the source that needs only torch: pieces, blocks, the network.
        stages: how many there are.
        filled: layer of the file -> the layers of the compiled network whose weights it holds.
    """

    name: str
    network: str
    classes: str
    stages: int
    filled: Mapping[str, tuple[str, ...]]


def written(architecture: Architecture, name: str, classes: int) -> Written:
    """Write the classes of a network.

    Args:
        architecture: of the network.
        name: of the network, for its class and its function.
        classes: the number that the weights are of.
    """
    plain = re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_")[:_LONGEST_NAME].strip("_")
    if plain != name.lower():  # a text that lost something is told apart by the digest
        plain = f"{plain}_{architecture.digest[:8]}".strip("_")
    title = "".join(part[:1].upper() + part[1:] for part in plain.split("_"))
    if not title[:1].isalpha() or title in {*IMPORTS, *pieces(), *keyword.kwlist, *dir(builtins)}:
        title = f"Network{title}"
    found = Classes(reserved=frozenset({title, "WEIGHTS", *IMPORTS, *pieces()}))
    body, filled = _network(architecture, title, classes, found)
    found.settle()
    network = "\n".join(body())
    blocks = "\n\n\n".join("\n".join(_broken(line) for line in one.lines()) for one in found)
    copies = "\n\n\n".join(copied(f"{blocks}\n\n\n{network}"))
    code = "\n\n\n".join(part for part in (copies, blocks, network) if part)
    return Written(f"uninas_{plain}", title, code, len(architecture.stages), filled)


_LONGEST_NAME = 40
"""Of a network, in characters, in the name of its function."""


def _network(architecture: Architecture, title: str, classes: int, found: Classes) -> tuple[Callable[[], list[str]], Filled]:
    """The lines of the network's class, once all classes are settled, and what fills its layers."""
    flows = architecture.flows()
    filled: Filled = {}
    stem = _stem(architecture, found)
    filled |= _named("stem", "stem", stem)
    sequences = []
    for number, (stage, before, after) in enumerate(zip(architecture.stages, flows, flows[1:], strict=False)):
        elements = _stage(stage, before, after, architecture.rounding, found)
        for place, (source, element) in enumerate(elements):
            filled |= _named(f"stages.{number}.{place}", f"stages.{number}.{source}", element)
        sequences.append([element for _, element in elements])
    norm = _head(architecture, flows[-1], found)
    channels = head_channels(architecture)
    if norm is not None:
        filled |= _named("norm", "norm", norm)
    filled["head"] = ("head",)
    strides = stage_strides(architecture)
    tokens = any(stage.tokens for stage in architecture.stages)

    def lines() -> list[str]:
        made = [
            f"class {title}(nn.Module):",
            f'    """(B, {architecture.in_channels}, H, W) -> (B, num_classes), with what timm expects of a model."""',
            "",
            f"    def __init__(self, num_classes: int = {classes}, in_chans: int = {architecture.in_channels}, "
            "drop_rate: float = 0.0) -> None:",
            "        super().__init__()",
            f"        if in_chans != {architecture.in_channels}:",
            f'            raise ValueError(f"in_chans: expected {architecture.in_channels}, got {{in_chans}}")',
            "        self.num_classes = num_classes",
            f"        self.num_features = self.head_hidden_size = {channels}",
        ]
        if not tokens:
            made.append("        self.feature_info = [")
            for number, (stage, stride) in enumerate(zip(architecture.stages, strides, strict=True)):
                made.append(f'            {{"num_chs": {stage.width}, "reduction": {stride}, "module": "stages.{number}"}},')
            made.append("        ]")
        made += [f"        self.stem = {stem.made()}", "        self.stages = nn.Sequential("]
        for stage, stride, elements in zip(architecture.stages, strides, sequences, strict=True):
            made.append(f"            nn.Sequential(  # {stage.width} channels at stride {stride}")
            made += [f"                {line}," for line in _runs([element.made() for element in elements])]
            made.append("            ),")
        return [
            *made,
            "        )",
            f"        self.norm = {'nn.Identity()' if norm is None else norm.made()}",
            "        self.head_drop = nn.Dropout(drop_rate)",
            *_METHODS.format(channels=channels).splitlines(),
        ]

    return lines, filled


_METHODS = '''\
        self.head = nn.Linear({channels}, num_classes) if num_classes else nn.Identity()

    def forward_features(self, x: Tensor) -> Tensor:
        """Return the map behind the last stage and the norm."""
        return self.norm(self.stages(self.stem(x)))

    def forward_head(self, x: Tensor, pre_logits: bool = False) -> Tensor:
        """Return the logits of such a map, or with `pre_logits` what the classifier reads."""
        x = self.head_drop(x.mean((2, 3)))
        return x if pre_logits else self.head(x)

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits of images."""
        return self.forward_head(self.forward_features(x))

    def get_classifier(self) -> nn.Module:
        """Return the last layer."""
        return self.head

    def reset_classifier(self, num_classes: int, global_pool: str = "avg") -> None:
        """Replace the last layer; 0 classes for none."""
        if global_pool != "avg":
            raise ValueError(f"global_pool: expected avg, got {{global_pool!r}}")
        self.num_classes = num_classes
        self.head = nn.Linear({channels}, num_classes) if num_classes else nn.Identity()
'''


def _named(name: str, source: str, element: Element) -> Filled:
    return {
        f"{name}.{inside}".rstrip("."): tuple([f"{source}.{one}".rstrip(".") for one in sources])
        for inside, sources in element.filled.items()
    }


def _frame(made: Class, flow: Flow, filled: Filled) -> Element:
    return Element(lambda: made.call(Writer(None), flow), filled)


def _stem(architecture: Architecture, found: Classes) -> Element:
    if isinstance(architecture.stem, Graph):
        flow = Flow(architecture.in_channels, architecture.image())
        made, filled = found.graph(architecture.stem, flow, "Stem", frame=True)
        return _frame(made, flow, filled)
    inner, out = architecture.stem
    text = f"{layers.Stem.__name__}({architecture.in_channels}, {inner}, {out})"
    return Element(lambda: text, {name: (name,) for name in ("conv1", "norm", "conv2")})


def _head(architecture: Architecture, flow: Flow, found: Classes) -> Element | None:
    if architecture.head is None:
        return Element(lambda: f"{layers.LayerNorm2d.__name__}({flow.channels})", {"": ("",)})
    if architecture.head == IDENTITY:
        return None
    made, filled = found.graph(architecture.head, flow, "Head", frame=True)
    return _frame(made, flow, filled)


def _stage(stage: Stage, before: Flow, after: Flow, rounding: str, found: Classes) -> list[tuple[str, Element]]:
    """The modules of a stage, each with the module of the compiled stage in which its weights are."""
    elements: list[tuple[str, Element]] = []
    if stage.transition is not None and stage.transition != IDENTITY:
        stride = before.types(stage.transition)[stage.transition.output].stride
        prefix = {1: "Widening", 2: "Halving"}.get(stride, f"Stride{stride}")
        name = class_name(stage.transition, before.channels, before.tokens, residual=False, default="")
        made, filled = found.graph(stage.transition, before, f"{prefix}{name}" if name else "Transition", frame=True)
        elements.append(("entry", _frame(made, before, filled)))
    for number, block in enumerate(stage.blocks):
        first = number == 0 and stage.transition is None
        for element in found.block(block, after, before.channels, first=first, rounding=rounding):
            elements.append((f"blocks.{number}", element))
    return elements


def _runs(made: Sequence[str]) -> list[str]:
    """Fold what is repeated: `*[A() for _ in range(3)]`; two that alternate `*[x for _ in range(3) for x in (A(), B())]`."""
    lines: list[str] = []
    place = 0
    while place < len(made):
        best = (1, 1)
        for period in (1, 2):
            row = made[place : place + period]
            count = 1
            while made[place + count * period : place + (count + 1) * period] == row:
                count += 1
            if count > 1 and period * count > best[0] * best[1]:
                best = (period, count)
        period, count = best
        row = list(made[place : place + period])
        if count == 1:
            lines += row
        elif period == 1:
            lines.append(f"*[{row[0]} for _ in range({count})]")
        else:
            line = f"*[block for _ in range({count}) for block in ({', '.join(row)})]"
            broken = [
                "*[",
                "    block",
                f"    for _ in range({count})",
                "    for block in (",
                *(f"        {one}," for one in row),
            ]
            lines.append(line if len(line) <= _WIDEST - _INDENT else f"\n{' ' * _INDENT}".join([*broken, "    )", "]"]))
        place += period * count
    return lines


def _broken(line: str) -> str:
    """Break a long line at the commas of its outermost call."""
    if len(line) <= _WIDEST or "(" not in line or line.lstrip().startswith(('"""', "class ", "def ")):
        return line
    indent = " " * (len(line) - len(line.lstrip()))
    begin, end = line.index("("), line.rindex(")")
    parts, depth, start = [], 0, begin + 1
    for place in range(begin + 1, end):
        depth += (line[place] in "([") - (line[place] in ")]")
        if line[place] == "," and depth == 0:
            parts.append(line[start:place].strip())
            start = place + 1
    parts.append(line[start:end].strip())
    inner = "\n".join(f"{indent}    {part}," for part in parts)
    return f"{line[: begin + 1]}\n{inner}\n{indent}{line[end:]}"
