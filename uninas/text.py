"""The architecture file: versioned JSON, one line a node, safe to read from anyone.

    {"format": "uninas-architecture", "version": 1, "classes": 1000, "input_size": [224, 224], "in_channels": 3,
     "stem": [32, 64],
     "graphs": {"g1": ["%1 = conv(kernel=3) %0", "return %1"]},
     "stages": [{"width": 64, "blocks": [["g1", "absent"]]}],
     "metadata": {}}

Equal graphs are written once and named; "absent" leaves a sub-block out; `metadata` is free and no part of the architecture.
`parse(to_text(x)) == x`. Limits bound what a hostile file can cost.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from uninas.errors import InputError
from uninas.graph import Architecture, Block, Graph, Node, Stage
from uninas.ops import INPUT, IllTyped, parse_op

FORMAT = "uninas-architecture"
VERSION = 1
_MAX_CHARACTERS = 32 << 20
MAX_NODES = 20_000  # of one graph
_MAX_INPUTS = 100_000  # of all nodes of one graph
MAX_BLOCKS = 1_000
MAX_STAGES = 16
_MAX_WIDTH = 1 << 16
_ABSENT = "absent"


def to_text(architecture: Architecture, metadata: Mapping[str, Any] | None = None) -> str:
    """The file's text. The form is stored as it is; canonicalise first for the canonical one."""
    names: dict[Graph, str] = {}
    stages = []
    for stage in architecture.stages:
        blocks = []
        for block in stage.blocks:
            blocks.append([_ABSENT if g is None else names.setdefault(g, f"g{len(names) + 1}") for g in block.subblocks])
        stages.append({"width": stage.width, "blocks": blocks})
    lines = ["{", f' "format": "{FORMAT}",', f' "version": {VERSION},', f' "classes": {architecture.classes},']
    lines.append(f' "input_size": {list(architecture.input_size)},')
    lines.append(f' "in_channels": {architecture.in_channels},')
    lines.append(f' "stem": {list(architecture.stem)},')
    lines.append(' "graphs": {')
    for position, (graph, name) in enumerate(names.items()):
        body = ",\n   ".join(json.dumps(line) for line in graph.text.split("\n"))
        lines.append(f'  "{name}": [\n   {body}\n  ]{"," if position + 1 < len(names) else ""}')
    lines.append(" },")
    lines.append(' "stages": [')
    for position, written in enumerate(stages):
        rows = ",\n   ".join(json.dumps(block) for block in written["blocks"])  # type: ignore[attr-defined]
        end = "," if position + 1 < len(stages) else ""
        lines.append(f'  {{"width": {written["width"]}, "blocks": [\n   {rows}\n  ]}}{end}')
    lines.append(" ]" + ("," if metadata else ""))
    if metadata:
        lines.append(f' "metadata": {json.dumps(dict(metadata), allow_nan=False, sort_keys=True)}')
    return "\n".join([*lines, "}"]) + "\n"


def read_json(text: str, source: str) -> Any:
    """The value that a JSON text holds; InputError that names `source` for anything else, however deep or broken."""
    if len(text) > _MAX_CHARACTERS:
        raise InputError(f"{source}: expected at most {_MAX_CHARACTERS} characters, came {len(text)}")
    try:
        return json.loads(text, parse_int=_bounded_int, parse_constant=_no_constant)
    except RecursionError:
        raise InputError(f"{source}: nested too deeply for an architecture file") from None
    except json.JSONDecodeError as error:
        raise InputError(
            f"{source}: expected JSON, came something else at line {error.lineno} column {error.colno} ({error.msg})"
        ) from None
    except ValueError as error:
        raise InputError(f"{source}: {error}") from None


def read_object(text: str, source: str) -> dict[str, Any]:
    """The mapping that a JSON text holds. Raises InputError."""
    document = read_json(text, source)
    if not isinstance(document, dict):
        raise InputError(f"{source}: expected a JSON object, came {_kind(document)}")
    return document


def parse(text: str, source: str = "<text>") -> Architecture:
    """Read an architecture file's text. Raises InputError that says what was expected, what came and where."""
    return from_document(read_object(text, source), source)


def from_document(document: Mapping[str, Any], source: str) -> Architecture:
    """An architecture from the file's parsed JSON. Raises InputError."""
    if document.get("format") != FORMAT:
        raise InputError(f'{source}: expected "format": "{FORMAT}", came {_short(document.get("format"))}')
    version = _integer(document, "version", source, 1, 1_000_000_000)
    if version > VERSION:
        raise InputError(f"{source}: written in version {version} of the format, this program reads up to {VERSION}: upgrade it")
    unknown = set(document) - {
        "format", "version", "classes", "input_size", "in_channels", "stem", "graphs", "stages", "metadata"
    }  # fmt: skip
    if unknown:
        raise InputError(f"{source}: unknown key {_short(sorted(unknown)[0])}")
    graphs = {}
    for name, lines in _typed(document, "graphs", dict, source).items():
        graphs[name] = _read_graph(lines, f"{source}: graph {_short(name)}")
    stages = []
    written = _typed(document, "stages", list, source)
    if not 1 <= len(written) <= MAX_STAGES:
        raise InputError(f"{source}: expected 1 to {MAX_STAGES} stages, came {len(written)}")
    for number, entry in enumerate(written):
        where = f"{source}: stage {number}"
        if not isinstance(entry, dict):
            raise InputError(f"{where}: expected a mapping with width and blocks, came {_kind(entry)}")
        width = _integer(entry, "width", where, 1, _MAX_WIDTH)
        rows = _typed(entry, "blocks", list, where)
        if not 1 <= len(rows) <= MAX_BLOCKS:
            raise InputError(f"{where}: expected 1 to {MAX_BLOCKS} blocks, came {len(rows)}")
        blocks = []
        for position, row in enumerate(rows):
            if not (isinstance(row, list) and len(row) == 2 and all(isinstance(name, str) for name in row)):
                raise InputError(f"{where}, block {position}: expected two graph names, came {_short(row)}")
            for name in row:
                if name != _ABSENT and name not in graphs:
                    raise InputError(f"{where}, block {position}: no graph is called {_short(name)}")
            blocks.append(Block(tuple([None if name == _ABSENT else graphs[name] for name in row])))
        stages.append(Stage(width, tuple(blocks)))
    stem = _pair(document, "stem", source, 1, _MAX_WIDTH)
    architecture = Architecture(
        tuple(stages),
        classes=_integer(document, "classes", source, 1, 1_000_000),
        input_size=_pair(document, "input_size", source, 1, _MAX_WIDTH),
        stem=stem,
        in_channels=_integer(document, "in_channels", source, 1, _MAX_WIDTH),
    )
    check(architecture, source)
    return architecture


def check(architecture: Architecture, source: str) -> None:
    """Raise InputError that names the stage, block and node of the first ill-typed operation."""
    for s, stage in enumerate(architecture.stages):
        for b, block in enumerate(stage.blocks):
            for k, graph in enumerate(block.subblocks):
                if graph is None:
                    continue
                try:
                    graph.types(stage.width)
                except IllTyped as error:
                    node = getattr(error, "node", 0)
                    raise InputError(f"{source}: stage {s}, block {b}, sub-block {k + 1}, node %{node}: {error}") from None


_LINE = re.compile(r"%([0-9]{1,6}) = ([^%]{1,240}?)((?: %[0-9]{1,6})*)\Z")
_RETURN = re.compile(r"return %([0-9]{1,6})\Z")


def parse_graph(text: str, source: str = "<graph>") -> Graph:
    """Read what `Graph.text` printed. Raises InputError; types are checked where a width is known."""
    return _read_graph(text.split("\n"), source)


def _read_graph(lines: Any, where: str) -> Graph:
    if not isinstance(lines, list) or not lines or not all(isinstance(line, str) for line in lines):
        raise InputError(f"{where}: expected a list of lines, came {_kind(lines)}")
    if len(lines) > MAX_NODES:
        raise InputError(f"{where}: expected at most {MAX_NODES} nodes, came {len(lines)}")
    inputs_left = _MAX_INPUTS
    nodes = [Node(INPUT, ())]
    for number, line in enumerate(lines[:-1], 1):
        match = _LINE.match(line)
        if match is None or int(match[1]) != number:
            raise InputError(f"{where}: expected '%{number} = operation %inputs', came {_short(line)}")
        try:
            operation = parse_op(match[2])
        except InputError as error:
            raise InputError(f"{where}, node %{number}: {error}") from None
        inputs = tuple([int(name) for name in re.findall(r"[0-9]+", match[3])])
        inputs_left -= len(inputs)
        if inputs_left < 0:
            raise InputError(f"{where}: expected at most {_MAX_INPUTS} inputs of all nodes together, came more at %{number}")
        if any(i >= number for i in inputs):
            raise InputError(f"{where}, node %{number} reads itself or a later node: a cycle or wrong order in {_short(line)}")
        nodes.append(Node(operation, inputs))
    match = _RETURN.match(lines[-1])
    if match is None or int(match[1]) >= len(nodes):
        raise InputError(f"{where}: expected a last line 'return %node', came {_short(lines[-1])}")
    return Graph(tuple(nodes), int(match[1]))


def _bounded_int(digits: str) -> int:
    if len(digits) > 18:
        raise ValueError(f"expected numbers of at most 18 digits, came one of {len(digits)}")
    return int(digits)


def _no_constant(name: str) -> float:
    raise ValueError(f"expected finite numbers, came {name}")


def _kind(value: object) -> str:
    if value is None:
        return "nothing"
    return {dict: "a mapping", list: "a list", str: "a text", bool: "true or false"}.get(type(value), "a number")


def _short(value: object) -> str:
    shown = repr(value)
    return shown if len(shown) <= 60 else shown[:57] + "..."


def _typed(document: Mapping[str, Any], key: str, wanted: type, where: str) -> Any:
    value = document.get(key)
    if not isinstance(value, wanted):
        expected = "a mapping" if wanted is dict else "a list"
        raise InputError(f'{where}: expected "{key}" to be {expected}, came {_kind(value)}')
    return value


def _integer(document: Mapping[str, Any], key: str, where: str, low: int, high: int) -> int:
    value = document.get(key)
    if type(value) is not int or not low <= value <= high:
        raise InputError(f'{where}: expected "{key}" to be an integer from {low} to {high}, came {_short(value)}')
    return value


def _pair(document: Mapping[str, Any], key: str, where: str, low: int, high: int) -> tuple[int, int]:
    value = document.get(key)
    if not (isinstance(value, list) and len(value) == 2 and all(type(v) is int and low <= v <= high for v in value)):
        raise InputError(f'{where}: expected "{key}" to be two integers from {low} to {high}, came {_short(value)}')
    return value[0], value[1]
