"""UniNAS on Ray: a universal graph space of vision networks.

    import uninas

    net = uninas.load("coatnet")            # a preset, a published network, a file, a run folder, or SPACE:TEXT
    uninas.cost(net)                        # parameters, MACs, layers and memory as exact integers, at any input size
    uninas.draw(net, "coatnet.svg")         # an SVG picture; also returned as text, and shown in a notebook by `net` alone
    module = uninas.build(net)              # a torch.nn.Module

    load, preset, PRESETS, ZOO              architectures from names and files
    parse, to_text, to_document             the architecture file, read and written
    canonicalise, canonical_text            the canonical form; `Architecture.digest` is its name
    cost, Cost, warnings_of                 what a network costs, and which of its operations are degenerate
    mutate, propose, apply                  neighbours as plain data (`Edit`), or a typed `Rejection` with its `Reason`
    Architecture, Stage, Block, Graph       the graph itself, frozen; `GraphBuilder`, `op` and `parse_op` make one
    draw, build                             a picture; a torch module

    uninas.edits                            kinds of edit, their prior, vocabularies, crossover
    uninas.spaces                           published search spaces (`SPACES`), and `Product` for your own
    uninas.reference                        files and weights of the UniNAS reference implementation

Importing `uninas` takes milliseconds: each name is imported when it is first used, and only `build` imports torch.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from uninas.runtime import foreign, moved

if TYPE_CHECKING:
    from uninas import edits as edits
    from uninas import reference as reference
    from uninas import spaces as spaces
    from uninas.analysis.cost import Cost, cost
    from uninas.analysis.degenerate import warnings_of
    from uninas.canonical import canonical_text, canonicalise
    from uninas.compile import build
    from uninas.drawing.display import draw
    from uninas.edits import Edit, Limits, Rejection, apply, mutate, propose
    from uninas.errors import InputError
    from uninas.graph import IDENTITY, Architecture, Block, Graph, GraphBuilder, GraphError, Node, Stage
    from uninas.networks.catalogue import preset
    from uninas.networks.presets import PRESETS
    from uninas.networks.zoo import ZOO
    from uninas.ops import AttentionMap, FeatureMap, Op, op, parse_op
    from uninas.rejections import Reason
    from uninas.source import load
    from uninas.text import parse, parse_graph, to_document, to_text

    __version__: str

__all__ = [
    "IDENTITY",
    "PRESETS",
    "ZOO",
    "Architecture",
    "AttentionMap",
    "Block",
    "Cost",
    "Edit",
    "FeatureMap",
    "Graph",
    "GraphBuilder",
    "GraphError",
    "InputError",
    "Limits",
    "Node",
    "Op",
    "Reason",
    "Rejection",
    "Stage",
    "apply",
    "build",
    "canonical_text",
    "canonicalise",
    "cost",
    "draw",
    "load",
    "mutate",
    "op",
    "parse",
    "parse_graph",
    "parse_op",
    "preset",
    "propose",
    "to_document",
    "to_text",
    "warnings_of",
]

_HOMES = {
    "uninas.analysis.cost": ("Cost", "cost"),
    "uninas.analysis.degenerate": ("warnings_of",),
    "uninas.canonical": ("canonical_text", "canonicalise"),
    "uninas.compile": ("build",),
    "uninas.drawing.display": ("draw",),
    "uninas.edits": ("Edit", "Limits", "Rejection", "apply", "mutate", "propose"),
    "uninas.errors": ("InputError",),
    "uninas.graph": ("IDENTITY", "Architecture", "Block", "Graph", "GraphBuilder", "GraphError", "Node", "Stage"),
    "uninas.networks.catalogue": ("preset",),
    "uninas.networks.presets": ("PRESETS",),
    "uninas.networks.zoo": ("ZOO",),
    "uninas.ops": ("AttentionMap", "FeatureMap", "Op", "op", "parse_op"),
    "uninas.rejections": ("Reason",),
    "uninas.source": ("load",),
    "uninas.text": ("parse", "parse_graph", "to_document", "to_text"),
}
"""Module -> the public names that are imported from it on first use. The imports above tell type checkers the same."""

_MODULE_OF = {name: module for module, names in _HOMES.items() for name in names}

_SUBMODULES = frozenset(
    {
        "analysis",
        "attributes",
        "canonical",
        "compile",
        "diff",
        "drawing",
        "edits",
        "errors",
        "grammar",
        "graph",
        "labelling",
        "networks",
        "operation",
        "ops",
        "reference",
        "rejections",
        "rules",
        "shapes",
        "source",
        "spaces",
        "text",
    }
)
"""What is also an attribute after `import uninas` alone."""

moved.install()
foreign.warn()

if not TYPE_CHECKING:  # a type checker that saw this would accept any name

    def __getattr__(name: str) -> Any:
        if name in _MODULE_OF:
            value = getattr(importlib.import_module(_MODULE_OF[name]), name)
        elif name == "__version__":
            from uninas.runtime.version import version

            value = version()
        elif name in _SUBMODULES:
            return importlib.import_module(f"uninas.{name}")
        else:
            raise AttributeError(f"module 'uninas' has no attribute '{name}'")
        globals()[name] = value
        return value


def __dir__() -> list[str]:
    return sorted({*__all__, *_SUBMODULES})
