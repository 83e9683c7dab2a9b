"""Cells of NASNet-A and PNASNet-5 beside timm's, one by one: parameters, MACs, and with timm's weights the output.

Whole networks differ by rule: timm's begin with two reduction cells, concatenate a cell's own input, too (NASNet's normal cell)
or node 3 (its reduction cell), and let the cell behind a reduction read further back. timm pads strided windows as TensorFlow
does, which on maps of odd sides is what is done here.
"""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

import downstream  # noqa: F401 mends torchvision, which timm imports
from tests.uninas.running import MacCounter, distance, noise, scramble
from uninas.analysis.graph_cost import frame_cost
from uninas.compile.module import GraphModule
from uninas.graph import Flow, GraphBuilder
from uninas.ops import Place, op
from uninas.spaces.cells import SPACES
from uninas.spaces.cells.network import Maps, Placed, add_cell, concatenated

timm = pytest.importorskip("timm")

SIDE = 9


class Theirs(nn.Module):
    """A cell of timm that reads the concatenated maps; `order` is that of its arguments."""

    def __init__(self, cell: nn.Module, before: int, swapped: bool) -> None:
        super().__init__()
        self.cell, self.before, self.swapped = cell, before, swapped

    def forward(self, x: Tensor) -> Tensor:
        maps = x[:, : self.before], x[:, self.before :]
        made: Tensor = self.cell(*(reversed(maps) if self.swapped else maps))
        return made


def cells(name: str) -> tuple[Any, str, str, bool]:
    """timm's cell of 8 channels that reads twice 48, our space and kind of cell, and whether it reduces."""
    from timm.models.nasnet import NormalCell, ReductionCell0
    from timm.models.pnasnet import Cell

    sides = {"in_chs_left": 48, "out_chs_left": 8, "in_chs_right": 48, "out_chs_right": 8, "pad_type": "same"}
    return {
        "nasnet normal": lambda: (Theirs(NormalCell(**sides), 48, True), "nds_nasnet", "normal", False),
        "nasnet reduction": lambda: (Theirs(ReductionCell0(**sides), 48, True), "nds_nasnet", "reduce", True),
        "pnasnet normal": lambda: (Theirs(Cell(**sides), 48, False), "nds_pnas", "normal", False),
    }[name]()


@pytest.mark.parametrize("name", ["nasnet normal", "nasnet reduction", "pnasnet normal"])
def test_a_cell_is_timms(name: str) -> None:
    theirs, space, kind, reduces = cells(name)
    genotype = SPACES[space].start()
    cell = tuple([((one, i), (other, j)) for one, i, other, j in genotype[kind]])
    out = concatenated(cell, loose=SPACES[space].loose)
    builder = GraphBuilder()
    before, last = (builder.add(op("slice", index=index, count=2), 0) for index in range(2))
    made = add_cell(builder, Placed(cell, out, 8, reduces), before, last, Maps(48, 48, finer=False))
    graph, flow = builder.build(made), Flow(96, Place(SIDE, SIDE, SIDE, SIDE))
    params, macs, *_ = frame_cost(graph, flow)
    assert params == sum(p.numel() for p in theirs.parameters())
    x = noise(2, 96, SIDE, SIDE, dtype=torch.float64)
    scramble(theirs.double().eval(), 0)
    for norm in theirs.modules():
        if isinstance(norm, nn.BatchNorm2d):
            norm.eps = 1e-5
    ours = GraphModule(graph, flow, fused=True, frame=True).double().eval()
    kinds = nn.Conv2d | nn.BatchNorm2d
    for one, other in zip(*([m for m in net.modules() if isinstance(m, kinds)] for net in (theirs, ours)), strict=True):
        other.load_state_dict(one.state_dict())
    with MacCounter() as counter, torch.no_grad():
        expected = theirs(x)
    assert 2 * macs == counter.macs
    inner = slice(1, -1) if reduces else slice(None)  # strided means of timm count the zeros around a map
    last_nodes = expected[:, -8 * len(out) :, inner, inner]  # timm concatenates more before them
    assert distance(ours(x)[:, :, inner, inner], last_nodes) < 1e-12


def test_a_reduction_cell_of_pnasnet_has_timms_parameters() -> None:
    """Where an input skips to half the resolution timm has a 1x1 convolution of stride 2, NDS a factorised reduction."""
    from timm.models.pnasnet import Cell

    theirs = Cell(in_chs_left=48, out_chs_left=8, in_chs_right=48, out_chs_right=8, pad_type="same", is_reduction=True)
    genotype = SPACES["nds_pnas"].start()
    cell = tuple([((one, i), (other, j)) for one, i, other, j in genotype["reduce"]])
    builder = GraphBuilder()
    before, last = (builder.add(op("slice", index=index, count=2), 0) for index in range(2))
    made = add_cell(builder, Placed(cell, concatenated(cell, loose=False), 8, True), before, last, Maps(48, 48, finer=False))
    params, *_ = frame_cost(builder.build(made), Flow(96, Place(8, 8, 8, 8)))
    assert params == sum(p.numel() for p in theirs.parameters())
