"""NDS (Radosavovic et al., arXiv 1905.13214): thousands of networks of each of several design spaces, trained alike.

Its data (facebookresearch/nds, nds_data.zip) is one JSON file for each sweep: DARTS.json, DARTS_fix-w-d.json, DARTS_in.json
(trained on ImageNet), NASNet.json, Amoeba.json, PNAS.json, ENAS.json, ResNet.json, ResNeXt-B.json and so on. A file is a list of
entries, or {"top": [..], "mid": [..]}; an entry has `net`, the network; `test_ep_top1`, the top-1 error in percent after each
epoch; `params` and `flops`, the latter MACs. So read by facebookresearch/nds, notebooks, and microsoft/nni, nas/benchmark/nds.

A network counts 100 less the error after its last epoch, as in later work on zero-cost proxies. `net` of two cells is
{"genotype": {"normal": [[operation, node], ..], "normal_concat": [..], "reduce": .., "reduce_concat": ..}, "width": ..,
"depth": .., "aux": ..}; with `aux` the parameters of the auxiliary head, which ours does not have, are taken off `params`.
The `net` of residual blocks is in `uninas.spaces.trained.nds_residual`; of those, the networks trained on CIFAR-10 are read.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, final

from search.bench.benchmarks.accuracy_table import Population
from search.bench.benchmarks.conduct import Benchmark, Note
from search.bench.benchmarks.of_space import PointsReferee, Trained
from search.bench.benchmarks.records.auxiliary import auxiliary_parameters
from search.bench.benchmarks.records.records import Record, count_of, part, percent, population, read_records
from search.bench.benchmarks.request import BenchRequest
from search.bench.scoring.settings import Settings
from uninas.errors import InputError
from uninas.spaces.cells import SPACES, CellSpace
from uninas.spaces.cells.network import concatenated
from uninas.spaces.choices import ChoiceSpace, check_legal
from uninas.spaces.trained.nds_residual import SPACES as RESIDUAL
from uninas.spaces.trained.nds_residual import text_of_net

_MOST_BYTES = 2 << 30
_IMAGENET = "imagenet"


class NotOfTheSpace(InputError):
    """A network that NDS trained and that our space does not have: it is left out, and counted."""


@dataclass(frozen=True)
class Sweep:
    """A design space of NDS.

    Attributes:
        point: `net` and dataset -> SPACE:TEXT; raises InputError of a `net` that is none, NotOfTheSpace of one that is left out.
        more: `net` and dataset -> parameters of the trained network that ours does not have.
        macs: whether the file's `flops` are taken for MACs, and compared with ours.
    """

    point: Callable[[Mapping[str, Any], str], str]
    more: Callable[[Mapping[str, Any], str], int]
    macs: bool = True


def cell_point(space: CellSpace, net: Mapping[str, Any], dataset: str) -> str:
    """Name the network of two cells. Raises InputError, or NotOfTheSpace where it concatenates other nodes than the space."""
    written = part(net, "genotype", dict, "the two cells")
    genotype: dict[str, Any] = {"stem": "imagenet" if dataset == _IMAGENET else "cifar"}
    for kind in ("normal", "reduce"):
        edges = part(written, kind, list, "a list of [operation, node]")
        if len(edges) % 2 or not all(isinstance(edge, list) and len(edge) == 2 for edge in edges):
            raise InputError(f"{kind}: expected two [operation, node] for each node")
        genotype[kind] = [[*edges[at], *edges[at + 1]] for at in range(0, len(edges), 2)]
    for size in ("width", "depth"):
        genotype[size] = part(net, size, int, "a whole number")
    check_legal(space, genotype)
    for kind in ("normal", "reduce"):
        ours = concatenated(tuple([((a, i), (b, j)) for a, i, b, j in genotype[kind]]), loose=space.loose)
        theirs = part(written, f"{kind}_concat", list, "a list of nodes")
        if sorted(theirs) != list(ours):
            raise NotOfTheSpace(f"{kind}_concat: expected {list(ours)} in {space.name}, got {theirs}")
    return f"{space.name}:{space.text(genotype)}"


def cell_more(net: Mapping[str, Any], dataset: str) -> int:
    """Count the parameters of the auxiliary head, where the network was trained with one."""
    if not net.get("aux"):
        return 0
    nodes = len(net["genotype"]["reduce_concat"])
    return auxiliary_parameters(net["width"], net["depth"], nodes, imagenet=dataset == _IMAGENET)


def _cells(name: str) -> Sweep:
    return Sweep(partial(cell_point, SPACES[name]), cell_more)


def residual_point(space: ChoiceSpace, net: Mapping[str, Any], dataset: str) -> str:
    """Name the network of residual blocks. Raises InputError, or NotOfTheSpace where the space has no such depth or width."""
    text = text_of_net(net)
    try:
        return f"{space.name}:{space.text(space.parse(text))}"
    except InputError as error:
        raise NotOfTheSpace(str(error)) from None


def no_more(net: Mapping[str, Any], dataset: str) -> int:
    """Count nothing: residual networks are trained as they are here."""
    return 0


def _residual(name: str) -> Sweep:
    """Make a sweep whose `flops` count BatchNorm and biases, too: see `uninas.spaces.trained.nds_residual`."""
    return Sweep(partial(residual_point, RESIDUAL[name]), no_more, macs=False)


SWEEPS: dict[str, Sweep] = {
    "DARTS": _cells("nds_darts"),
    "NASNet": _cells("nds_nasnet"),
    "Amoeba": _cells("nds_amoeba"),
    "PNAS": _cells("nds_pnas"),
    "ENAS": _cells("nds_enas"),
    "ResNet": _residual("nds_resnet"),
    "ResNeXt-A": _residual("nds_resnext_a"),
    "ResNeXt-B": _residual("nds_resnext_b"),
}
"""What a file's name begins with, up to the first underscore -> its design space."""


@final
@dataclass(frozen=True, kw_only=True)
class _Nds(PointsReferee):
    """See `PointsReferee`."""

    def folder(self, request: BenchRequest) -> str:
        return f"nds-{request.data.stem}-{request.seed}"

    def population(self, request: BenchRequest, settings: Settings | None, note: Note) -> Population:
        dataset = request.dataset if settings is None else settings.dataset
        return read_sweep(request.data, dataset, self.datasets[dataset])


def read_sweep(path: Path, dataset: str, trained: Trained) -> Population:
    """Read the networks of a file of NDS and their accuracies.

    Raises:
        InputError: of the file's name or content; it names the first entry that is wrong.
    """
    sweep = SWEEPS.get(path.stem.partition("_")[0])
    if sweep is None:
        raise InputError(f"{path}: expected a file of NDS, called {', '.join(f'{name}*.json' for name in SWEEPS)}")
    if path.stem.endswith("_in") != (dataset == _IMAGENET):
        raise InputError(f"{path}: --dataset: expected imagenet for files with _in in their names and cifar10 for others")
    read = read_records(path, "the networks of a sweep of NDS (JSON)", _MOST_BYTES)
    entries = [*read.get("top", ()), *read.get("mid", ())] if isinstance(read, dict) else read
    if not isinstance(entries, list):
        raise InputError(f"{path}: expected a list of trained networks, or one of top and one of mid")
    records, left_out = [], []
    for number, entry in enumerate(entries, 1):
        try:
            records.append(_record(entry, f"entry {number}", sweep, dataset))
        except NotOfTheSpace as error:
            left_out.append(f"entry {number}: {error}")
        except InputError as error:
            raise InputError(f"{path}: entry {number}: {error}") from None
    warnings = [f"{path}: {len(left_out)} of {len(entries)} networks are left out, the first: {left_out[0]}"] if left_out else []
    return population(records, path, trained, warnings)


def _record(entry: Any, where: str, sweep: Sweep, dataset: str) -> Record:
    net = part(entry, "net", dict, "the network")
    errors = part(entry, "test_ep_top1", list, "the error after each epoch")
    if not errors or not isinstance(errors[-1], int | float):
        raise InputError("test_ep_top1: expected the error after each epoch, got no number for the last")
    point = sweep.point(net, dataset)
    counts = {"params": count_of(entry, "params"), "macs": count_of(entry, "flops") if sweep.macs else None}
    if counts["params"] is not None:
        counts["params"] -= sweep.more(net, dataset)
    known = {name: count for name, count in counts.items() if count is not None}
    return Record(where, point, 100 - percent(errors[-1], "test_ep_top1"), known)


BENCHMARK: Benchmark = _Nds(
    name="nds",
    datasets={"cifar10": Trained("test_ep_top1", 10, 32), _IMAGENET: Trained("test_ep_top1", 1000, 224)},
)
