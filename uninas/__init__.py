"""The universal graph space of vision networks: graphs, exact cost, edits, text form. No torch here.

    load, preset, parse, to_text        architectures from files and names, and back
    canonicalise, Architecture.digest   one form and one name for equal networks
    cost, warnings_of                   what a network costs; what in it has no meaning
    mutate, propose, apply              neighbours as plain data, or a typed rejection

`uninas.compile.build` turns an architecture into a torch module. `uninas.spaces` writes the networks of published spaces,
`uninas.networks.zoo` published networks.
"""

from uninas.analysis.cost import Cost, cost
from uninas.analysis.degenerate import warnings_of
from uninas.canonical import canonical_text, canonicalise
from uninas.edits import Edit, Limits, Rejection, apply, mutate, propose
from uninas.errors import InputError
from uninas.graph import IDENTITY, Architecture, Block, Graph, GraphBuilder, GraphError, Node, Stage
from uninas.networks.catalogue import preset
from uninas.networks.presets import PRESETS
from uninas.networks.zoo import ZOO
from uninas.ops import AttentionMap, FeatureMap, Op, op, parse_op
from uninas.runtime import moved
from uninas.source import load
from uninas.text import parse, parse_graph, to_text

moved.install()

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
    "Rejection",
    "Stage",
    "apply",
    "canonical_text",
    "canonicalise",
    "cost",
    "load",
    "mutate",
    "op",
    "parse",
    "parse_graph",
    "parse_op",
    "preset",
    "propose",
    "to_text",
    "warnings_of",
]
