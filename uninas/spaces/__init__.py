"""Published search spaces as generators of the one graph's architectures; each is a file of its own. No torch here.

    SPACES["nasbench101"].sample(rng)       a genotype: plain JSON data
    SPACES["nasbench101"].build(genotype, classes, input_size)

A space of one's own is a `Product` of named positions, or anything with the methods of `ChoiceSpace`; see docs/guides/spaces.md.
An installed package offers one as an entry point of the group `uninas.spaces`, whose name is the space's.
"""

from uninas.runtime.own_code import Catalogue
from uninas.spaces import (
    autoformer,
    cells,
    mobilenetv2,
    nasbench1shot1,
    nasbench101,
    nasbench201,
    nasbench_macro,
    nats_bench_size,
    own,
    pit,
    zennas,
)
from uninas.spaces.choices import ChoiceSpace, Genotype, Product, SpaceError, architecture_of
from uninas.spaces.trained import blox, nds_residual, transnasbench101

__all__ = ["SPACES", "ChoiceSpace", "Genotype", "Product", "SpaceError", "architecture_of", "nasbench201"]

_SPACES: tuple[ChoiceSpace, ...] = (
    mobilenetv2.SPACE,
    zennas.SPACE,
    nasbench101.SPACE,
    *nasbench1shot1.SPACES.values(),
    nasbench201.SPACE,
    nats_bench_size.SPACE,
    nasbench_macro.SPACE,
    *cells.SPACES.values(),
    autoformer.SPACE,
    pit.SPACE,
    *nds_residual.SPACES.values(),
    *transnasbench101.SPACES.values(),
    blox.SPACE,
)

SPACES: Catalogue[ChoiceSpace] = Catalogue("space", "uninas.spaces", {space.name: space for space in _SPACES}, own.installed)
"""Every published space, and those of installed packages, by the name that a configuration and the command line give it."""
