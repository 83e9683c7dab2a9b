"""Files that nobody should send: damaged, absurd, and valid ones that are hard to work with. Each follows from (seed, number).

Kinds are functions of a random generator; they draw operations and their attributes from the table of operations, so that what is
added there is attacked, too.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from copy import deepcopy
from functools import cache
from typing import Any

from benchmarks.hostile.graphs import LARGEST, VALUES, drawn, large, symmetric
from uninas import PRESETS, ZOO, InputError, Rejection, canonicalise, mutate, preset, to_text
from uninas.ops import TABLE
from uninas.reference import to_reference
from uninas.spaces import nasbench201

_CELL = "|nor_conv_3x3~0|+|none~0|skip_connect~1|+|skip_connect~0|avg_pool_3x3~1|nor_conv_1x1~2|"
_JUNK = ("", "-1", "1e9", "nan", "1/0", "٣", "TRUE", "0x10", "((", "=", "%1", "999999999999", " ", "\x00", "1_0", "+1", "1." * 90)
_SCALARS: tuple[Any, ...] = (
    None,
    True,
    False,
    0,
    -1,
    1,
    2,
    3,
    32,
    10**6,
    10**17,
    -(10**17),
    0.5,
    -0.0,
    1e308,
    [],
    {},
    "",
    "g1",
    "absent",
    "R",
    "T",
    "é",
    "\ud800",
    "%0",
    "return %0",
    [1, 2],
    [[]],
    {"plain": ["g1"]},
    {"class": "Zero"},
    "x" * 5000,
)
_RAW = (
    "NaN",
    "Infinity",
    "-Infinity",
    "1e999",
    "9" * 17,
    "9" * 40,
    "1" * 5000 + ".5",
    "-0",
    '"' + "\\u0000" * 9 + '"',
    "[" * 2000,
    '{"a":' * 2000,
    "]" * 9,
    "null",
    "\\",
    "\x00",
    "\ufeff",
    "conv(kernel=3)",
    "1E400000",
    "0." + "3" * 20000,
)


def file_of(seed: int, number: int) -> tuple[str, bytes]:
    """(kind, content) of one file."""
    rng = random.Random(f"{seed}/{number}")
    kind = rng.choices(list(KINDS), weights=[often for often, _ in KINDS.values()])[0]
    return kind, KINDS[kind][1](rng)[: 2 * LARGEST]


# --- valid files to damage ------------------------------------------------------------------------------------------------------


@cache
def sources() -> tuple[str, ...]:
    """Texts of valid files, of both formats."""
    found = [to_text(preset(name, input_size=(64, 64))) for name in PRESETS]
    found += [to_text(ZOO[name]()) for name in ("convnext_tiny", "mobilenetv3_large_100")]
    found.append(to_text(nasbench201.architecture(_CELL)))
    for seed in range(8):
        rng = random.Random(seed)
        network = canonicalise(preset("coatnet", widths=(96, 96, 96, 192), depths=(1, 1, 1, 1), input_size=(64, 64)))
        for _ in range(25):
            made = mutate(network, rng)
            network = network if isinstance(made, Rejection) else made[0]
        found.append(to_text(network, {"seed": seed}))
        try:
            found.append(json.dumps(to_reference(network)))
        except InputError:
            found.append(json.dumps(to_reference(preset("coatnet"))))
    return tuple(found)


def _source(rng: random.Random) -> str:
    return rng.choice(sources())


# --- damage ---------------------------------------------------------------------------------------------------------------------


def flipped(rng: random.Random) -> bytes:
    """Bytes changed, cut, doubled."""
    content = bytearray(_source(rng).encode())
    for _ in range(rng.choice([1, 1, 2, 5, 30])):
        at = rng.randrange(len(content) or 1)
        how = rng.randrange(4)
        if how == 0:
            content[at : at + 1] = bytes([rng.randrange(256)])
        elif how == 1:
            del content[at : at + rng.choice([1, 3, 50])]
        elif how == 2:
            content[at:at] = content[at : at + rng.choice([1, 9, 200])]
        else:
            content[at : at + 1] = bytes([(content[at] if at < len(content) else 0) ^ (1 << rng.randrange(8))])
    return bytes(content)


def snippets(rng: random.Random) -> bytes:
    """Pieces of other texts put in anywhere."""
    text = _source(rng)
    for _ in range(rng.randrange(1, 4)):
        at = rng.randrange(len(text))
        text = text[:at] + rng.choice((*_RAW, *VALUES, *_JUNK)) + text[at + rng.choice([0, 1, 4]) :]
    return text.encode("utf-8", "surrogatepass")


def restructured(rng: random.Random) -> bytes:
    """Values swapped, dropped, doubled, replaced, anywhere in the parsed file; also inside `model_str`."""
    document = json.loads(_source(rng))
    inside = "model_str" in document and rng.random() < 0.8
    value = json.loads(document["model_str"]) if inside else document
    for _ in range(rng.choice([1, 1, 2, 4])):
        _change(value, rng)
    text = json.dumps(value)
    if rng.random() < 0.2:  # a key twice
        key = rng.choice(list(document))
        text = text.replace(f'"{key}":', f'"{key}": {rng.choice(("1", "[]", "null", json.dumps(_source(rng))))}, "{key}":', 1)
    return (json.dumps({**document, "model_str": text}) if inside else text).encode("utf-8", "surrogatepass")


def _change(value: Any, rng: random.Random) -> None:
    places = _places(value)
    if not places:
        return
    box, key = rng.choice(places)
    how = rng.randrange(5)
    if how == 0:
        box[key] = deepcopy(rng.choice(_SCALARS))
    elif how == 1:
        del box[key]
    elif how == 2:
        other, at = rng.choice(places)
        box[key], other[at] = deepcopy(other[at]), deepcopy(box[key])  # copies: nothing comes to hold itself
    elif how == 3 and isinstance(box, list):
        box += [box[key]] * rng.choice([1, 3, 400])
    elif isinstance(box[key], int | float):
        box[key] = rng.choice([-1, 0, 1, 2, 10**6, 10**17, 1.5, float("nan"), float("inf"), box[key] * 2, box[key] + 1])
    else:
        box[key] = [box[key]] * rng.choice([0, 1, 2])


def _places(value: Any) -> list[tuple[Any, Any]]:
    """(container, key) of every value inside; each container once."""
    found: list[tuple[Any, Any]] = []
    waiting, met = [value], set()
    while waiting:
        box = waiting.pop()
        if not isinstance(box, dict | list) or id(box) in met:
            continue
        met.add(id(box))
        for key in list(box) if isinstance(box, dict) else range(len(box)):
            found.append((box, key))
            waiting.append(box[key])
    return found


def rewired(rng: random.Random) -> bytes:
    """Graphs with other edges, operations and attributes; lines moved."""
    document = json.loads(_source(rng))
    if "graphs" not in document:
        return restructured(rng)
    graphs = document["graphs"]
    for _ in range(rng.choice([1, 1, 2, 6])):
        lines = graphs[rng.choice(list(graphs))]
        at = rng.randrange(len(lines))
        words = lines[at].split(" ")
        how = rng.randrange(5)
        if how == 0:
            words[-1] = f"%{rng.randrange(len(lines) + 2)}"
        elif how == 1:
            words += [f"%{rng.randrange(at + 1)}"] * rng.choice([1, 2, 2000])
        elif how == 2 and len(words) > 2:
            words[2:3] = [_op_text(rng, rng.choice(list(TABLE)))]
        elif how == 3:
            lines.insert(at, rng.choice(lines))
        else:
            other = rng.randrange(len(lines))
            lines[at], lines[other] = lines[other], lines[at]
            continue
        lines[at] = " ".join(words)
    return json.dumps(document).encode()


def _op_text(rng: random.Random, name: str) -> str:
    """An operation with attributes that it may not have and values that it may not take."""
    attributes = [a.name for a in TABLE[name].attributes if rng.random() < 0.8]
    if rng.random() < 0.1:
        attributes.append(rng.choice(["kernel", "colour", attributes[0] if attributes else "p", "x" * 300]))
    written = [f"{attribute}={rng.choice(VALUES if rng.random() < 0.9 else _JUNK)}" for attribute in attributes]
    return f"{name}({', '.join(written)})" if written or rng.random() < 0.1 else name


# --- no architectures at all ----------------------------------------------------------------------------------------------------


def garbage(rng: random.Random) -> bytes:
    """Random bytes, random characters, random JSON."""
    how = rng.randrange(3)
    if how == 0:
        return rng.randbytes(rng.choice([0, 1, 10, 1000, 50_000]))
    if how == 1:
        return "".join(rng.choices('{}[]",:0123456789.eE-+ntf\\u \n%()=', k=rng.choice([5, 100, 20_000]))).encode()
    return json.dumps(_random_json(rng, 5)).encode("utf-8", "surrogatepass")


def _random_json(rng: random.Random, depth: int) -> Any:
    if depth == 0 or rng.random() < 0.2:
        return deepcopy(rng.choice(_SCALARS))
    if rng.random() < 0.5:
        return [_random_json(rng, depth - 1) for _ in range(rng.randrange(5))]
    keys = (
        "format",
        "version",
        "graphs",
        "stages",
        "model_str",
        "embed_dim",
        "class",
        "params",
        "modules",
        "g1",
        "width",
        "blocks",
    )
    return {rng.choice(keys): _random_json(rng, depth - 1) for _ in range(rng.randrange(6))}


def nested(rng: random.Random) -> bytes:
    """Depth without end, in any place."""
    depth = rng.choice([50, 300, 900, 1000, 3000, 16_000])
    how = rng.randrange(5)
    if how == 0:
        opening, closing = rng.choice([("[", "]"), ('{"a":', "}"), ('{"graphs":', "}"), ('[{"class":', "}]")])
        return (opening * depth + "1" + closing * depth).encode()
    document = json.loads(_source(rng))
    if how == 1:
        text = json.dumps({**document, rng.choice(list(document)): "HERE"})
        return text.replace('"HERE"', "[" * depth + "]" * depth, 1).encode()
    kinds = (
        '{"class": "SequentialModule", "params": {"modules": [%s]}}',
        '{"class": "AvgAndUpsample", "params": {"sequential": %s}}',
        '{"class": "ExpandAndReduce", "params": {"factor": 1, "sequential": %s}}',
        '{"class": "ExpandAndReduce", "params": {"factor": 2, "sequential": %s}}',
        '{"class": "ForkMerge", "params": {"fork_merge_tuple": ["copy", "add"], "branches": [%s]}}',
        '{"class": "ForkMerge", "params": {"fork_merge_tuple": ["copy", "multiply"], "branches": [{"class": "GELU"}, %s]}}',
    )
    node = '{"class": "GELU"}'
    for _ in range(min(depth, 1200)):
        node = rng.choice(kinds) % node if how == 2 else kinds[how] % node
    model = f'[[{{"subblock1": {node}, "subblock2": {{"class": "Zero"}}}}]]'
    return json.dumps(
        {"img_size": 32, "num_classes": 3, "embed_dim": [32], "depths": [1], "stem_width": [8, 8], "model_str": model}
    ).encode()


KINDS: dict[str, tuple[float, Callable[[random.Random], bytes]]] = {
    "bytes flipped": (25, flipped),
    "foreign pieces": (15, snippets),
    "values changed": (25, restructured),
    "graphs rewired": (17, rewired),
    "garbage": (5, garbage),
    "deep nesting": (4, nested),
    "random valid graphs": (7, drawn),
    "symmetric graphs": (1, symmetric),
    "as large as fits": (1, large),
}
"""Kind -> (how often of 100, what makes a file of it)."""
