"""The five spaces of two cells that NDS compares (Radosavovic et al., arXiv 1905.13214), and DARTS' own.

They are one kind of network and differ in their operations, their number of nodes and in what a cell's output concatenates. In
thousand millions, there are 71,465,842 cells of NASNet, 556,628 of AmoebaNet and of PNAS, 5,063 of ENAS and 242 of DARTS. All
networks are stacked as DARTS stacks its cells, so a NASNet here is not the one of NASNet's authors, whose stem for
ImageNet is two reduction cells and whose cells also concatenate their own input.

DARTS' own space (arXiv 1806.09055), whose networks NAS-Bench-301 (arXiv 2008.09777) also trains, has no `none`, and the two edges
of a node read different nodes: 1.08e18 pairs of cells.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from uninas.spaces.cells.space import CellSpace

DARTS_OPERATIONS = (
    "max_pool_3x3",
    "avg_pool_3x3",
    "skip_connect",
    "sep_conv_3x3",
    "sep_conv_5x5",
    "dil_conv_3x3",
    "dil_conv_5x5",
)

_DARTS_V1 = (
    "sep_conv_3x3~1+sep_conv_3x3~0,skip_connect~0+sep_conv_3x3~1,skip_connect~0+sep_conv_3x3~1,sep_conv_3x3~0+skip_connect~2|"
    "max_pool_3x3~0+max_pool_3x3~1,skip_connect~2+max_pool_3x3~0,max_pool_3x3~0+skip_connect~2,skip_connect~2+avg_pool_3x3~0"
)
_DARTS_V2 = (
    "sep_conv_3x3~0+sep_conv_3x3~1,sep_conv_3x3~0+sep_conv_3x3~1,sep_conv_3x3~1+skip_connect~0,skip_connect~0+dil_conv_3x3~2|"
    "max_pool_3x3~0+max_pool_3x3~1,skip_connect~2+max_pool_3x3~1,max_pool_3x3~0+skip_connect~2,skip_connect~2+max_pool_3x3~1"
)
_NASNET_A = (
    "sep_conv_5x5~1+sep_conv_3x3~0,sep_conv_5x5~0+sep_conv_3x3~0,avg_pool_3x3~1+skip_connect~0,avg_pool_3x3~0+avg_pool_3x3~0,"
    "sep_conv_3x3~1+skip_connect~1|"
    "sep_conv_5x5~1+sep_conv_7x7~0,max_pool_3x3~1+sep_conv_7x7~0,avg_pool_3x3~1+sep_conv_5x5~0,skip_connect~3+avg_pool_3x3~2,"
    "sep_conv_3x3~2+max_pool_3x3~1"
)
_AMOEBANET_A = (
    "avg_pool_3x3~0+max_pool_3x3~1,sep_conv_3x3~0+sep_conv_5x5~2,sep_conv_3x3~0+avg_pool_3x3~3,sep_conv_3x3~1+skip_connect~1,"
    "skip_connect~0+avg_pool_3x3~1|"
    "avg_pool_3x3~0+sep_conv_3x3~1,max_pool_3x3~0+sep_conv_7x7~2,sep_conv_7x7~0+avg_pool_3x3~1,max_pool_3x3~0+max_pool_3x3~1,"
    "conv_7x1_1x7~0+sep_conv_3x3~5"
)
_PNASNET_CELL = (
    "sep_conv_5x5~0+max_pool_3x3~0,sep_conv_7x7~1+max_pool_3x3~1,sep_conv_5x5~1+sep_conv_3x3~1,sep_conv_3x3~4+max_pool_3x3~1,"
    "sep_conv_3x3~0+skip_connect~1"
)
_SEPARABLE = ",".join(["sep_conv_3x3~0+sep_conv_3x3~1"] * 5)

_NDS_WIDTHS, _NDS_DEPTHS = (16, 24, 32), (4, 8, 12, 16, 20)


def _nds(
    name: str, operations: tuple[str, ...], published: Mapping[str, str], *, nodes: int = 5, loose: bool = True
) -> CellSpace:
    return CellSpace(
        name=name,
        operations=operations,
        nodes=nodes,
        loose=loose,
        widths=_NDS_WIDTHS,
        depths=_NDS_DEPTHS,
        published=published,
        usual=(16, 20),
    )


DARTS = CellSpace(
    name="darts",
    operations=DARTS_OPERATIONS,
    nodes=4,
    loose=False,
    distinct=True,
    widths=(36,),
    depths=(20,),
    published={"darts_v2": _DARTS_V2, "darts_v1": _DARTS_V1},
    usual=(36, 20),
)
"""DARTS' own space, at the size in which its cells are trained on CIFAR-10."""

DARTS_IMAGENET = replace(
    DARTS,
    name="darts_imagenet",
    widths=(48,),
    depths=(14,),
    stem="imagenet",
    usual=(48, 14),
    classes=1000,
    input_size=(224, 224),
)
"""The same cells, in the network that is trained on ImageNet."""

_POOLS = ("avg_pool_3x3", "max_pool_3x3")
_SEPARABLES = ("sep_conv_3x3", "sep_conv_5x5", "sep_conv_7x7")

NDS_DARTS = _nds("nds_darts", ("none", *DARTS_OPERATIONS), DARTS.published, nodes=4, loose=False)

NDS_NASNET = _nds(
    "nds_nasnet",
    (
        "skip_connect",
        "conv_3x1_1x3",
        "conv_7x1_1x7",
        "dil_conv_3x3",
        *_POOLS,
        "max_pool_5x5",
        "max_pool_7x7",
        "conv_1x1",
        "conv_3x3",
        *_SEPARABLES,
    ),
    {"nasnet_a": _NASNET_A},
)

NDS_ENAS = _nds(
    "nds_enas", ("skip_connect", "sep_conv_3x3", "sep_conv_5x5", *_POOLS), {"separable": f"{_SEPARABLE}|{_SEPARABLE}"}
)

NDS_AMOEBA = _nds(
    "nds_amoeba",
    ("skip_connect", *_SEPARABLES, *_POOLS, "dil_sep_conv_3x3", "conv_7x1_1x7"),
    {"amoebanet_a": _AMOEBANET_A},
)

NDS_PNAS = _nds(
    "nds_pnas",
    (*_SEPARABLES, "conv_7x1_1x7", "skip_connect", *_POOLS, "dil_conv_3x3"),
    {"pnasnet_5": f"{_PNASNET_CELL}|{_PNASNET_CELL}"},
    loose=False,
)

SPACES = {space.name: space for space in (DARTS, DARTS_IMAGENET, NDS_DARTS, NDS_NASNET, NDS_ENAS, NDS_AMOEBA, NDS_PNAS)}
"""All of them, by name."""
