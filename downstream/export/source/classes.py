"""Classes of an exported file: one for each different graph and block, however often it is used.

A class is first written with `channels` and `size` as parameters: what is then equal is one class. One that is used with the same
parameters everywhere is printed with numbers in their place.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from downstream.export.source.children import Child, children_of
from downstream.export.source.constructing import Writer
from downstream.export.source.passes import forward
from downstream.export.source.pieces import layers
from downstream.export.source.values import Values
from downstream.export.source.words import class_name, numbered, snake, unique
from uninas.drawing.naming.patterns import summarise_graph
from uninas.graph import Block, Flow, Graph
from uninas.ops import Type

__all__ = ["Class", "Classes", "Element"]


class Body(NamedTuple):
    """A class without its name: what it is, from what to what its forward pass maps, its statements."""

    about: str
    shapes: str
    constructor: tuple[str, ...]
    forward: tuple[str, ...]


@dataclass(eq=False)
class Class:
    """A class of the file.

    Attributes:
        name: of the class.
        write: writes it for a flow, with that many channels before the stage.
        uses: (before, channels, size) of each way in which it is used, and the flow there.
        parameters: those of "before", "channels" and "size" that its text has.
    """

    name: str
    write: Callable[[Writer, Flow, int], Body]
    uses: dict[tuple[int, int, tuple[int, int]], Flow] = field(default_factory=dict)
    parameters: tuple[str, ...] = ()

    @property
    def general(self) -> bool:
        """Whether it takes its parameters: they are not the same wherever it is used."""
        return len({tuple([use[_PARAMETERS.index(name)] for name in self.parameters]) for use in self.uses}) > 1

    def call(self, write: Writer, given: Flow, before: int = 0) -> str:
        """Write what makes one for a map."""
        if write.final and not self.general:
            return f"{self.name}()"
        texts = {"before": str(before)}
        if "channels" in self.parameters:
            texts["channels"] = write.channels(given.channels)
        if "size" in self.parameters:
            texts["size"] = (
                "size" if write.width is not None else str((given.place.reference_height, given.place.reference_width))
            )
            write.uses |= {"size"} if write.width is not None else set()
        return f"{self.name}({', '.join(texts[name] for name in self.parameters)})"

    def settle(self) -> None:
        """Keep the parameters that are needed, now that all uses of the classes within this one are known."""
        if self.general:
            self.parameters = _parameters(self, *self._use(), final=True)

    def lines(self) -> list[str]:
        """Write the class."""
        given, before = self._use()
        body = self.write(Writer(given.channels if self.general else None), given, before)
        parameters = [f"{name}: {_KINDS[name]}" for name in self.parameters if self.general]
        return [
            f"class {self.name}(nn.Module):",
            f'    """{body.about}"""',
            "",
            f"    def __init__({', '.join(['self', *parameters])}) -> None:",
            "        super().__init__()",
            *[f"        {line}" for line in body.constructor],
            "",
            "    def forward(self, x: Tensor) -> Tensor:",
            f'        """{body.shapes}"""',
            *[f"        {line}" for line in body.forward],
        ]

    def _use(self) -> tuple[Flow, int]:
        (before, _, _), given = next(iter(self.uses.items()))
        return given, before


_PARAMETERS = ("before", "channels", "size")
_KINDS = {"before": "int", "channels": "int", "size": "tuple[int, int]"}


def _parameters(kind: Class, given: Flow, before: int, *, final: bool) -> tuple[str, ...]:
    writer = Writer(given.channels, final)
    body = kind.write(writer, given, before)
    used = writer.uses | ({"before"} if any(re.search(r"\bbefore\b", line) for line in body.constructor) else set())
    return tuple([name for name in _PARAMETERS if name in used])


class Element(NamedTuple):
    """A module in a sequence: what makes it, and which layers of the compiled network fill which of its layers."""

    made: Callable[[], str]
    filled: dict[str, tuple[str, ...]]


@dataclass
class Classes:
    """The classes of a file in the order of their first use, and the numbers of their layers."""

    found: dict[tuple[object, ...], Class] = field(default_factory=dict)
    reserved: frozenset[str] = frozenset()

    def __iter__(self) -> Iterator[Class]:
        return iter(self.found.values())

    def add(self, name: str, write: Callable[[Writer, Flow, int], Body], given: Flow, before: int = 0) -> Class:
        """Return the class that is written so: an equal one where there is one."""
        body = write(Writer(given.channels, final=False), given, before)
        key = (body.constructor, body.forward)
        if key not in self.found:
            made = self.found[key] = Class(unique(name, self.reserved.union(one.name for one in self)), write)
            made.parameters = _parameters(made, given, before, final=False)
        made = self.found[key]
        made.uses.setdefault((before, given.channels, (given.place.reference_height, given.place.reference_width)), given)
        return made

    def settle(self) -> None:
        """End the registration: only now it is known how each class is used."""
        for one in self:
            one.settle()

    # --- graphs -----------------------------------------------------------------------------------------------------------

    def graph(self, graph: Graph, given: Flow, name: str, *, frame: bool = False, residual: bool = False) -> tuple[Class, Filled]:
        """Return the class of a graph, and what fills its layers."""
        values = Values(graph, _types(graph, given, frame))

        def children(write: Writer, flow: Flow) -> dict[int, list[Child]]:
            return children_of(graph, _types(graph, flow, frame), flow, values, write)

        def shapes(write: Writer, flow: Flow) -> str:
            types = _types(graph, flow, frame)
            plain = Writer(write.width)  # what a docstring names need be no parameter
            end = types[graph.output]
            sides = "1, 1" if end.pooled else "H, W" if end.stride == 1 else f"ceil(H / {end.stride}), ceil(W / {end.stride})"
            sides = sides if end.tokens == types[0][3] else f"{end.tokens} + H * W, 1"
            return f"(B, {plain.channels(flow.channels)}, H, W) -> (B, {plain.channels(end[0])}, {sides})."

        def body(write: Writer, flow: Flow, before: int) -> Body:
            made = children(write, flow)
            lines = forward(graph, _types(graph, flow, frame), values, made, write)
            constructor = [f"self.{child.name} = {child.made}" for step in made.values() for child in step]
            if any("self.channels" in line for line in lines):
                constructor.insert(0, "self.channels = channels")
            summary = summarise_graph(graph, flow.channels, flow.tokens, count_heads=write.width is None, residual=residual)
            return Body(_ascii(f"{summary[:1].upper()}{summary[1:]}."), shapes(write, flow), tuple(constructor), tuple(lines))

        made = self.add(name, body, given)
        return made, {child.name: child.sources for step in children(Writer(None), given).values() for child in step}

    # --- blocks -----------------------------------------------------------------------------------------------------------

    def block(self, block: Block, given: Flow, before: int, *, first: bool, rounding: str) -> list[Element]:
        """Return the modules that a block is, one after the other: none, where it does nothing.

        Args:
            block: of the stage.
            given: the stage's map.
            before: channels of the map before the stage.
            first: the block halves the resolution.
            rounding: how odd sides are halved, "up" or "down".
        """
        graphs = [
            (number, graph)
            for number, graph in enumerate(block.subblocks, 1)
            if graph is not None and not (block.residual and graph.nodes[graph.output].op.name == "zero")
        ]
        halving = Element(
            lambda: _downsample(str(before), str(given.channels), rounding),
            {"project": ("shortcut.project",)} if before != given.channels else {},
        )
        if not block.residual:
            return [halving] * first + [self._plain(number, graph, given) for number, graph in graphs]
        if not graphs:
            return [halving] * first
        return [self._residual(graphs, given, before, first=first, rounding=rounding)]

    def _plain(self, number: int, graph: Graph, given: Flow) -> Element:
        made, filled = self.graph(
            graph, given, class_name(graph, given.channels, given.tokens, residual=False, default="SubBlock")
        )
        return Element(lambda: made.call(Writer(None), given), _under("", f"sub{number}.", filled))

    def _residual(self, graphs: list[tuple[int, Graph]], given: Flow, before: int, *, first: bool, rounding: str) -> Element:
        """x = shortcut(x) + S1(norm1(x)); x = x + S2(norm2(x)), without what adds zeros."""
        named = [class_name(graph, given.channels, given.tokens, residual=True, default="SubBlock") for _, graph in graphs]
        made = [self.graph(graph, given, name, residual=True) for (_, graph), name in zip(graphs, named, strict=True)]
        attributes = numbered([snake(name) for name in named])
        norms = ["norm"] if len(graphs) == 1 else [f"norm{place}" for place in range(1, len(graphs) + 1)]
        halves = first and graphs[0][0] == 1
        filled: dict[str, tuple[str, ...]] = {}
        if first and before != given.channels:
            filled["shortcut.project"] = ("shortcut.project",)
        for (number, _), (_, inside), attribute, norm in zip(graphs, made, attributes, norms, strict=True):
            reduces = first and number == 1
            filled[norm] = (f"norm{number}.norm" if reduces else f"norm{number}",)
            if reduces and before != given.channels:
                filled["halve.project"] = (f"norm{number}.project",)
            filled |= _under(f"{attribute}.", f"sub{number}.", inside)

        def body(write: Writer, flow: Flow, before: int) -> Body:
            width = write.channels(flow.channels)
            channels = "before" if write.width is not None and before else str(before)
            constructor, lines = [], []
            if first:
                constructor.append(f"self.shortcut = {_downsample(channels, width, rounding)}")
            for (kind, _), attribute, norm in zip(made, attributes, norms, strict=True):
                reduces = halves and norm == norms[0]
                constructor.append(f"self.{norm} = {layers.LayerNorm2d.__name__}({channels if reduces else width})")
                if reduces:
                    constructor.append(f"self.halve = {_downsample(channels, width, rounding)}")
                constructor.append(f"self.{attribute} = {kind.call(write, flow)}")
                inner = f"self.halve(self.{norm}(x))" if reduces else f"self.{norm}(x)"
                lines.append(f"{'self.shortcut(x)' if reduces else 'x'} + self.{attribute}({inner})")
            if first and not halves:
                lines.insert(0, "self.shortcut(x)")
            about = " and ".join(f"{kind.name}" for kind, _ in made)
            about += ", each" * (len(made) > 1) + " behind a norm and beside its input"
            about += "; the resolution is halved before" * first
            shape = f"(B, {channels if first else width}, H, W) -> (B, {width}, {'H / 2, W / 2' if first else 'H, W'})."
            return Body(f"{about}.", shape, tuple(constructor), (*[f"x = {line}" for line in lines[:-1]], f"return {lines[-1]}"))

        name = f"{'Halving' * first}{''.join(dict.fromkeys(kind.name for kind, _ in made))}Block"
        whole = self.add(name, body, given, before if first else 0)
        return Element(lambda: whole.call(Writer(None), given, before), filled)


Filled = dict[str, tuple[str, ...]]


def _under(inside: str, source: str, filled: Filled) -> Filled:
    return {f"{inside}{name}": tuple([f"{source}{one}" for one in sources]) for name, sources in filled.items()}


def _types(graph: Graph, given: Flow, frame: bool) -> tuple[Type, ...]:
    return given.types(graph) if frame else graph.types(given.channels, given.tokens)


def _downsample(channels: str, width: str, rounding: str) -> str:
    return f"{layers.Downsample.__name__}({channels}, {width}{', ceil_mode=False' * (rounding == 'down')})"


def _ascii(text: str) -> str:
    for sign, plain in {"×": "x", "÷": "1/", "−": "-", "·": " * ", "ᵀ": "^T", "≤": "<=", "|": "/"}.items():
        text = text.replace(sign, plain)
    shown = text.encode("ascii", "replace").decode()
    return shown if len(shown) <= _WIDEST else f"{shown[: _WIDEST - 3]}..."


_WIDEST = 110
"""Characters of what is said of a class."""
