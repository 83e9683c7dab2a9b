"""NAS-Bench-301 (Siems et al., arXiv 2008.09777): about 60,000 networks of DARTS' space, trained on CIFAR-10.

Its training data (automl/nasbench301, nb_301.zip) is a folder of JSON files called results_N.json, one for each training, as its
surrogate_models/utils.py reads them: `optimized_hyperparamater_config` (so spelt) has ConfigSpace's names,
NetworkSelectorDatasetInfo:darts:edge_normal_0 for an operation and inputs_node_normal_3 for the two nodes that node 3 reads,
init_channels and layers; `test_accuracy` and `val_accuracy` are percent; `model_parameters` counts the auxiliary head, which is
taken off before parameters are compared.

The edges of a cell are numbered target by target: 0 and 1 lead to node 2, 2 to 4 to node 3, 5 to 8 to node 4, 9 to 13 to node 5.
Accuracies of other widths, depths or lengths of training cannot be compared: networks of the most frequent setting count.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
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
from uninas.spaces.cells import SPACES
from uninas.spaces.choices import check_legal

CONFIG = "optimized_hyperparamater_config"
"""The authors' spelling."""

_PREFIX = "NetworkSelectorDatasetInfo:darts:"
_MOST_BYTES = 16 << 20
_SPACE = SPACES["darts"]


def network_text(config: Mapping[str, Any]) -> str:
    """Name the network of a configuration of ConfigSpace as a point of the space `darts`. Raises InputError."""
    genotype: dict[str, Any] = {"stem": "cifar", "normal": [], "reduce": []}
    for kind in ("normal", "reduce"):
        first = 0
        for node in range(2, 2 + _SPACE.nodes):
            sources = [source for source in range(node) if config.get(f"{_PREFIX}edge_{kind}_{first + source}") is not None]
            if len(sources) != 2:
                raise InputError(f"edge_{kind}_{first} to {first + node - 1}: expected two operations, got {len(sources)}")
            said = config.get(f"{_PREFIX}inputs_node_{kind}_{node}", f"{sources[0]}_{sources[1]}")
            if said != f"{sources[0]}_{sources[1]}":
                raise InputError(
                    f"inputs_node_{kind}_{node}: expected {sources[0]}_{sources[1]}, which its edges say; got {said}"
                )
            names = [config[f"{_PREFIX}edge_{kind}_{first + source}"] for source in sources]
            genotype[kind].append([names[0], sources[0], names[1], sources[1]])
            first += node
    for key, name in (("width", "init_channels"), ("depth", "layers")):
        genotype[key] = part(config, _PREFIX + name, int, "a whole number")
    check_legal(_SPACE, genotype)
    return f"{_SPACE.name}:{_SPACE.text(genotype)}"


@final
@dataclass(frozen=True, kw_only=True)
class _NasBench301(PointsReferee):
    """See `PointsReferee`."""

    def population(self, request: BenchRequest, settings: Settings | None, note: Note) -> Population:
        dataset = request.dataset if settings is None else settings.dataset
        return read_results(request.data, self.datasets[dataset])


def read_results(folder: Path, trained: Trained) -> Population:
    """Read the networks of a folder of results and their accuracies.

    Raises:
        InputError: of the first file that is wrong; or there is none.
    """
    paths = sorted(folder.rglob("results_*.json")) if folder.is_dir() else []
    if not paths:
        raise InputError(
            f"{folder}: expected the folder of NAS-Bench-301's results, with files results_0.json and so on; got none"
        )
    found: list[tuple[tuple[int, int, float], Record]] = []
    for path in paths:
        try:
            found.append(_record(read_records(path, "a result of NAS-Bench-301 (JSON)", _MOST_BYTES), path, trained))
        except InputError as error:
            said = str(error)
            raise InputError(said if said.startswith(str(path)) else f"{path}: {said}") from None
    settings = Counter(setting for setting, _ in found)
    usual = max(settings, key=lambda setting: (settings[setting], setting))
    records = [record for setting, record in found if setting == usual]
    warnings = []
    if len(records) < len(found):
        width, depth, epochs = usual
        warnings.append(
            f"{folder}: {len(found) - len(records)} of {len(found)} trainings are left out: {len(records)} have {width} "
            f"channels, {depth} cells and a budget of {epochs:g}, and others cannot be compared with them"
        )
    return population(records, folder, trained, warnings)


def _record(result: Any, path: Path, trained: Trained) -> tuple[tuple[int, int, float], Record]:
    """The setting (width, depth, budget) of a training, and its record."""
    config = part(result, CONFIG, dict, "the configuration")
    infos = part(result, "info", list, "a list of one mapping")
    info = infos[0] if infos and isinstance(infos[0], dict) else {}
    accuracy = part(info if trained.column in info else result, trained.column, (int, float), "an accuracy in percent")
    network = network_text(config)
    width, depth = config[f"{_PREFIX}init_channels"], config[f"{_PREFIX}layers"]
    counts = {}
    parameters = count_of(info, "model_parameters")
    if parameters is not None:
        head = auxiliary_parameters(width, depth, _SPACE.nodes) if str(config.get(f"{_PREFIX}auxiliary")) == "True" else 0
        counts["params"] = parameters - head
    budget = result.get("budget", 0)
    record = Record(path.name, network, percent(accuracy, trained.column), counts)
    return (width, depth, float(budget) if isinstance(budget, int | float) else 0.0), record


BENCHMARK: Benchmark = _NasBench301(
    name="nasbench301",
    datasets={"cifar10": Trained("test_accuracy", 10, 32), "cifar10_valid": Trained("val_accuracy", 10, 32)},
)
