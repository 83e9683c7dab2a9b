"""The architecture file: versioned JSON, one line per node, safe to read from any source.

    {"format": "uninas-architecture", "version": 1, "classes": 1000, "input_size": [224, 224], "in_channels": 3,
     "stem": [32, 64],
     "graphs": {"g1": ["%1 = conv(kernel=3) %0", "return %1"]},
     "stages": [{"width": 64, "blocks": [["g1", "absent"]]}],
     "metadata": {}}

Equal graphs are written once and named; "absent" leaves a sub-block out; `metadata` is free and no part of the architecture.
Version 2 knows more: "stem" may name a graph, a stage may have an "entry", the network a "head", and a block may be plain,
{"plain": ["g1"]}. Version 3 also knows "rounding": "down" and a stage's "tokens", version 4 kernels that are not square and
windows that begin inside of the map. A network that version 1 can express is written in version 1. `parse(to_text(x)) == x`.
Limits bound what a hostile file can cost.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from uninas.errors import InputError
from uninas.files.reading import unique
from uninas.graph import Architecture, Block, Graph, Node, Stage
from uninas.ops import INPUT, IllTyped, Op, Type, parse_op

FORMAT = "uninas-architecture"
VERSION = 4
_MAX_CHARACTERS = 32 << 20
MAX_NODES = 20_000  # of one graph
MAX_WRITTEN_NODES = 4_000_000  # of an architecture, each graph counted wherever it is named
_MAX_INPUTS = 100_000  # of all nodes of one graph
MAX_BLOCKS = 1_000
MAX_STAGES = 16
MAX_SUBBLOCKS = 16  # of one plain block
_MAX_WIDTH = 1 << 16
_ABSENT = "absent"
_KEYS = frozenset({"format", "version", "classes", "input_size", "in_channels", "stem", "graphs", "stages", "metadata"})


def to_text(architecture: Architecture, metadata: Mapping[str, Any] | None = None) -> str:
    """Write the file's text. The form is stored as it is; canonicalise first for the canonical one."""
    names, document = _named(architecture)
    lines = ["{", *(f' "{key}": {json.dumps(value)},' for key, value in document.items() if key != "stages")]
    graphs = [f'  "{called}": [\n   {_body(graph)}\n  ]' for graph, called in names.items()]
    lines += [' "graphs": {', *_listed(graphs), " },"]
    stages = []
    for stage in document["stages"]:
        keys = "".join(f'"{key}": {json.dumps(value)}, ' for key, value in stage.items() if key != "blocks")
        rows = ",\n   ".join(map(json.dumps, stage["blocks"]))
        stages.append(f'  {{{keys}"blocks": [\n   {rows}\n  ]}}' if rows else f'  {{{keys}"blocks": []}}')
    lines += [' "stages": [', *_listed(stages), " ]" + ("," if metadata else "")]
    if metadata:
        lines.append(f' "metadata": {_metadata_text(metadata)}')
    return "\n".join([*lines, "}"]) + "\n"


def to_document(architecture: Architecture, metadata: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Give what `to_text` writes as plain JSON data, which `from_document` reads."""
    names, document = _named(architecture)
    stages = document.pop("stages")
    document["graphs"] = {called: graph.text.split("\n") for graph, called in names.items()}
    document["stages"] = stages
    if metadata:
        document["metadata"] = json.loads(_metadata_text(metadata))
    return document


def _listed(items: list[str]) -> list[str]:
    return [f"{item}," for item in items[:-1]] + items[-1:]


def _metadata_text(metadata: Mapping[str, Any]) -> str:
    return json.dumps(dict(metadata), allow_nan=False, sort_keys=True)


def _named(architecture: Architecture) -> tuple[dict[Graph, str], dict[str, Any]]:
    """The name of each graph, in order of appearance, and the document but for the graphs and the metadata."""
    names: dict[Graph, str] = {}

    def name(graph: Graph | None) -> str:
        return _ABSENT if graph is None else names.setdefault(graph, f"g{len(names) + 1}")

    stem = name(architecture.stem) if isinstance(architecture.stem, Graph) else list(architecture.stem)
    stages = []
    for stage in architecture.stages:
        row: dict[str, Any] = {"width": stage.width}
        if stage.tokens:
            row["tokens"] = stage.tokens
        if stage.transition is not None:
            row["entry"] = name(stage.transition)
        written = [(block.residual, [name(graph) for graph in block.subblocks]) for block in stage.blocks]
        row["blocks"] = [graphs if residual else {"plain": graphs} for residual, graphs in written]
        stages.append(row)
    head = None if architecture.head is None else name(architecture.head)
    document: dict[str, Any] = {
        "format": FORMAT,
        "version": _version(architecture, names),
        "classes": architecture.classes,
        "input_size": list(architecture.input_size),
        "in_channels": architecture.in_channels,
        "stem": stem,
    }
    if head is not None:
        document["head"] = head
    if architecture.rounding != "up":
        document["rounding"] = architecture.rounding
    document["stages"] = stages
    return names, document


def _version(architecture: Architecture, graphs: Iterable[Graph]) -> int:
    """Return the oldest version of the format that can express the network."""
    framed = (
        isinstance(architecture.stem, Graph)
        or architecture.head is not None
        or any(stage.transition is not None or not all(b.residual for b in stage.blocks) for stage in architecture.stages)
        or any(len(b.subblocks) != 2 for stage in architecture.stages for b in stage.blocks)
    )
    head = architecture.head
    newer = (
        architecture.rounding != "up"
        or any(stage.tokens or not stage.blocks for stage in architecture.stages)
        or (head is not None and architecture.flows()[-1].types(head)[head.output].pooled)
    )
    return max([3 if newer else 2 if framed else 1, *map(_graph_version, graphs)])


def _body(graph: Graph) -> str:
    """The graph's lines as they stand in the file, kept with the graph: a search writes each one many times."""
    if "file" not in graph.memo:
        graph.memo["file"] = ",\n   ".join(json.dumps(line) for line in graph.text.split("\n"))
    found: str = graph.memo["file"]
    return found


def _graph_version(graph: Graph) -> int:
    if "version" not in graph.memo:
        graph.memo["version"] = max(_op_version(node.op) for node in graph.nodes)
    found: int = graph.memo["version"]
    return found


def _op_version(op: Op) -> int:
    tiles = op.name in ("conv", "max_pool") and op.values["kernel"] % 2 == 0
    inside = op.name == "conv" and op.values["padding"] != "same" and op.values["padding"] < 0
    said = [attribute.since for attribute in op.spec.attributes if op.values[attribute.name] != attribute.default]
    return max(op.spec.since, 4 if inside else 3 if tiles else 1, *said)


def read_json(text: str, source: str) -> Any:
    """Read the value that a JSON text holds; InputError that names `source` for anything else, however deep or broken."""
    if len(text) > _MAX_CHARACTERS:
        raise InputError(f"{source}: expected at most {_MAX_CHARACTERS} characters, got {len(text)}")
    try:
        return json.loads(text, parse_int=_bounded_int, parse_constant=_no_constant, object_pairs_hook=unique)
    except RecursionError:
        raise InputError(f"{source}: nested too deeply for an architecture file") from None
    except json.JSONDecodeError as error:
        raise InputError(
            f"{source}: expected JSON, got something else at line {error.lineno} column {error.colno} ({error.msg})"
        ) from None
    except ValueError as error:
        raise InputError(f"{source}: {error}") from None


def read_object(text: str, source: str) -> dict[str, Any]:
    """Read the mapping that a JSON text holds. Raises InputError."""
    document = read_json(text, source)
    if not isinstance(document, dict):
        raise InputError(f"{source}: expected a JSON object, got {_kind(document)}")
    return document


def parse(text: str, source: str = "<text>") -> Architecture:
    """Read an architecture file's text. Raises InputError that says what was expected, what was given and where."""
    return from_document(read_object(text, source), source)


def from_document(document: Mapping[str, Any], source: str) -> Architecture:
    """Read an architecture from the file's parsed JSON. Raises InputError."""
    if document.get("format") != FORMAT:
        raise InputError(f'{source}: expected "format": "{FORMAT}", got {_short(document.get("format"))}')
    version = _integer(document, "version", source, 1, 1_000_000_000)
    if version > VERSION:
        raise InputError(f"{source}: written in version {version} of the format, this program reads up to {VERSION}: upgrade it")
    unknown = set(document) - (_KEYS if version == 1 else _KEYS | {"head"} if version == 2 else _KEYS | {"head", "rounding"})
    if unknown:
        raise InputError(f"{source}: unknown key {_short(sorted(unknown)[0])}")
    graphs = {}
    for name, lines in _typed(document, "graphs", dict, source).items():
        graphs[name] = _read_graph(lines, f"{source}: graph {_short(name)}")
    stages = []
    written = _typed(document, "stages", list, source)
    if not 1 <= len(written) <= MAX_STAGES:
        raise InputError(f"{source}: expected 1 to {MAX_STAGES} stages, got {len(written)}")
    for number, row in enumerate(written, start=1):
        where = f"{source}: stage {number}"
        if not isinstance(row, dict):
            raise InputError(f"{where}: expected a mapping with width and blocks, got {_kind(row)}")
        width = _integer(row, "width", where, 1, _MAX_WIDTH)
        foreign = set(row) - {"width", "entry", "blocks"} - ({"tokens"} if version > 2 else set())
        if version > 1 and foreign:
            raise InputError(f"{where}: unknown key {_short(sorted(foreign)[0])}")
        listed = _typed(row, "blocks", list, where)
        least = 0 if version > 2 and row.get("entry") is not None else 1
        if not least <= len(listed) <= MAX_BLOCKS:
            raise InputError(f"{where}: expected {least} to {MAX_BLOCKS} blocks, got {len(listed)}")
        blocks = tuple([_read_block(names, graphs, version, f"{where}, block {b}") for b, names in enumerate(listed, start=1)])
        given = row.get("entry") if version > 1 else None
        tokens = _integer(row, "tokens", where, 0, 1) if version > 2 and "tokens" in row else 0
        stages.append(Stage(width, blocks, None if given is None else _graph(given, graphs, f"{where}, transition"), tokens))
    stem: tuple[int, int] | Graph
    if version > 1 and isinstance(document.get("stem"), str):
        stem = _graph(document["stem"], graphs, f"{source}: stem")
    else:
        stem = _pair(document, "stem", source, 1, _MAX_WIDTH)
    head = document.get("head")
    rounding = document.get("rounding", "up")
    if rounding not in ("up", "down"):
        raise InputError(f'{source}: expected "rounding" to be "up" or "down", got {_short(rounding)}')
    architecture = Architecture(
        tuple(stages),
        rounding=rounding,
        head=None if head is None else _graph(head, graphs, f"{source}: head"),
        classes=_integer(document, "classes", source, 1, 1_000_000),
        input_size=_pair(document, "input_size", source, 1, _MAX_WIDTH),
        stem=stem,
        in_channels=_integer(document, "in_channels", source, 1, _MAX_WIDTH),
    )
    check(architecture, source)
    return architecture


def _graph(name: Any, graphs: Mapping[str, Graph], where: str) -> Graph:
    if not isinstance(name, str):
        raise InputError(f"{where}: expected a graph's name, got {_short(name)}")
    if name not in graphs:
        raise InputError(f"{where}: no graph is called {_short(name)}")
    return graphs[name]


def _read_block(row: Any, graphs: Mapping[str, Graph], version: int, where: str) -> Block:
    """A block's row: two graph names, since version 2 any number, or {"plain": names}."""
    residual = not (version > 1 and isinstance(row, dict) and set(row) == {"plain"})
    names = row if residual else row["plain"]
    counts = (2, 2) if version == 1 else (1, MAX_SUBBLOCKS)
    if not (isinstance(names, list) and counts[0] <= len(names) <= counts[1] and all(isinstance(name, str) for name in names)):
        expected = "two graph names" if version == 1 else f"1 to {MAX_SUBBLOCKS} graph names"
        expected += "" if residual else " of a plain block"
        raise InputError(f"{where}: expected {expected}, got {_short(row)}")
    return Block(tuple([None if name == _ABSENT else _graph(name, graphs, where) for name in names]), residual)


def check(architecture: Architecture, source: str) -> None:
    """Raise InputError that names the part and node of the first ill-typed operation, or what is too large."""
    _bound_nodes(architecture, source)
    given: tuple[int, int] = (architecture.in_channels, 0)
    if isinstance(architecture.stem, Graph):
        given = _leads_to(architecture.stem, given, f"{source}: stem")
    else:
        given = (architecture.stem[1], 0)
    for s, stage in enumerate(architecture.stages, start=1):
        if stage.transition is not None:
            made, wanted = (
                _leads_to(stage.transition, given, f"{source}: stage {s}, transition"),
                _described(stage.width, stage.tokens),
            )
            if _described(*made) != wanted:
                raise InputError(f"{source}: stage {s}: expected its transition to lead to {wanted}, got {_described(*made)}")
        elif given[1] or stage.tokens:
            raise InputError(f"{source}: stage {s}: expected a transition, for the template halves no map with class tokens")
        given = (stage.width, stage.tokens)
        for b, block in enumerate(stage.blocks, start=1):
            for k, graph in enumerate(block.subblocks, start=1):
                if graph is not None:
                    _typed_graph(graph.types, given, f"{source}: stage {s}, block {b}, sub-block {k}")
    if architecture.head is not None:
        _leads_to(architecture.head, given, f"{source}: head", pools=True)
    try:
        architecture.flows()
    except IllTyped as error:  # of graphs that are all well typed: the input is too small to be halved so often, rounding down
        raise InputError(f"{source}: {error}") from None


def _bound_nodes(architecture: Architecture, source: str) -> None:
    """Reject what a file of 1 MB can mean by naming one large graph 256,000 times: its digest would take minutes."""
    frame = [architecture.stem, architecture.head, *(stage.transition for stage in architecture.stages)]
    subblocks = [graph for stage in architecture.stages for block in stage.blocks for graph in block.subblocks]
    written = sum(len(graph.nodes) for graph in (*frame, *subblocks) if isinstance(graph, Graph))
    if written > MAX_WRITTEN_NODES:
        raise InputError(
            f"{source}: expected at most {MAX_WRITTEN_NODES} nodes of all graphs together, each graph counted wherever it is "
            f"named, got {written}"
        )


def _described(channels: int, tokens: int) -> str:
    return f"{channels} channels" + (f" and {tokens} class token(s)" if tokens else "")


def _leads_to(graph: Graph, given: tuple[int, int], where: str, *, pools: bool = False) -> tuple[int, int]:
    """Infer the channels and class tokens that a graph of the frame makes of those given; only a head may pool."""
    made = _typed_graph(graph.frame_types, given, where)[graph.output]
    if made.pooled and not pools:
        raise InputError(f"{where}: expected it to return a full feature map, got {made}")
    return made[0], made.tokens


def _typed_graph(infer: Callable[[int, int], tuple[Type, ...]], given: tuple[int, int], where: str) -> tuple[Type, ...]:
    try:
        return infer(*given)
    except IllTyped as error:
        raise InputError(f"{where}, node %{getattr(error, 'node', 0)}: {error}") from None


_LINE = re.compile(r"%([0-9]{1,6}) = ([^%]{1,240}?)((?: %[0-9]{1,6})*)\Z")
_RETURN = re.compile(r"return %([0-9]{1,6})\Z")


def parse_graph(text: str, source: str = "<graph>") -> Graph:
    """Read what `Graph.text` printed. Raises InputError; types are checked where a width is known."""
    return _read_graph(text.split("\n"), source)


def _read_graph(lines: Any, where: str) -> Graph:
    if not isinstance(lines, list) or not lines or not all(isinstance(line, str) for line in lines):
        raise InputError(f"{where}: expected a list of lines, got {_kind(lines)}")
    if len(lines) > MAX_NODES:
        raise InputError(f"{where}: expected at most {MAX_NODES} nodes, got {len(lines)}")
    inputs_left = _MAX_INPUTS
    nodes = [Node(INPUT, ())]
    for number, line in enumerate(lines[:-1], 1):
        match = _LINE.match(line)
        if match is None or int(match[1]) != number:
            raise InputError(f"{where}: expected '%{number} = operation %inputs', got {_short(line)}")
        try:
            operation = parse_op(match[2])
        except InputError as error:
            raise InputError(f"{where}, node %{number}: {error}") from None
        inputs = tuple([int(name) for name in re.findall(r"[0-9]+", match[3])])
        inputs_left -= len(inputs)
        if inputs_left < 0:
            raise InputError(f"{where}: expected at most {_MAX_INPUTS} inputs of all nodes together, got more at %{number}")
        if any(i >= number for i in inputs):
            raise InputError(f"{where}, node %{number} reads itself or a later node: a cycle or wrong order in {_short(line)}")
        nodes.append(Node(operation, inputs))
    match = _RETURN.match(lines[-1])
    if match is None or int(match[1]) >= len(nodes):
        raise InputError(f"{where}: expected a last line 'return %node', got {_short(lines[-1])}")
    return Graph(tuple(nodes), int(match[1]))


def _bounded_int(digits: str) -> int:
    if len(digits) > 18:
        raise ValueError(f"expected numbers of at most 18 digits, got one of {len(digits)}")
    return int(digits)


def _no_constant(name: str) -> float:
    raise ValueError(f"expected finite numbers, got {name}")


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
        raise InputError(f'{where}: expected "{key}" to be {expected}, got {_kind(value)}')
    return value


def _integer(document: Mapping[str, Any], key: str, where: str, low: int, high: int) -> int:
    value = document.get(key)
    if type(value) is not int or not low <= value <= high:
        raise InputError(f'{where}: expected "{key}" to be an integer from {low} to {high}, got {_short(value)}')
    return value


def _pair(document: Mapping[str, Any], key: str, where: str, low: int, high: int) -> tuple[int, int]:
    value = document.get(key)
    if not (isinstance(value, list) and len(value) == 2 and all(type(v) is int and low <= v <= high for v in value)):
        raise InputError(f'{where}: expected "{key}" to be two integers from {low} to {high}, got {_short(value)}')
    return value[0], value[1]
