"""Spaces of networks stacked from two cells, each reading the outputs of the two cells before it: DARTS and its relatives."""

from uninas.spaces.cells.published import SPACES
from uninas.spaces.cells.space import CellSpace

__all__ = ["SPACES", "CellSpace"]
