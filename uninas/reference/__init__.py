"""Interchange with the UniNAS reference implementation (arXiv 2510.06035 and its public files): its JSON and names of weights.

    from_reference, read_reference      a network, and which of our layers each of the reference's is
    to_reference, to_reference_text     the JSON of a network, or an error where it has no such network
    reference_layers                    the names of that JSON's layers
    inexact                             where the reference would compute something else

Weights themselves are converted in `downstream.weights.reference`.
"""

from uninas.reference.names import Layer
from uninas.reference.reading import from_reference, import_reference, read_reference
from uninas.reference.writing import inexact, reference_layers, to_reference, to_reference_text

__all__ = [
    "Layer",
    "from_reference",
    "import_reference",
    "inexact",
    "read_reference",
    "reference_layers",
    "to_reference",
    "to_reference_text",
]
