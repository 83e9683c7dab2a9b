"""How the pages write names, numbers and comparisons, so that HTML and Markdown say the same."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from search.bench.choosing.criterion import ALL
from search.bench.judging.judge import AT_BUDGET, RELIABILITY
from search.bench.page.data import Bench, Row
from search.ranking.correlation import Estimate
from search.ranking.reliability import NOISE, is_noise

DATASET_NAMES: dict[str, str] = {
    "cifar10": "CIFAR-10",
    "cifar100": "CIFAR-100",
    "imagenet16_120": "ImageNet16-120",
    "c100_kd": "CIFAR-100, distilled",
    "c100_base": "CIFAR-100",
    "flower_kd": "Flowers, distilled",
    "flower_base": "Flowers",
    "chaoyang_kd": "Chaoyang, distilled",
    "chaoyang_base": "Chaoyang",
    "imagenet_super": "ImageNet, in a supernet",
    "class_scene": "scenes",
    "class_object": "objects",
    "jigsaw": "jigsaw",
    "room_layout": "room layout",
    "segmentsemantic": "semantic segmentation",
    "normal": "surface normals",
    "autoencoder": "autoencoding",
}
METRIC_NAMES: dict[str, str] = {
    "kendall": "Kendall’s τ",
    "spearman": "Spearman’s ρ",
    "ndcg": "nDCG",
    AT_BUDGET: "ρ at equal budget",
    RELIABILITY: "reliability",
}
BUDGET_NOTE = (
    "ρ at equal budget: the rank correlation with parameters and MACs taken out, for a search compares networks of one budget;"
    " of a score that orders by size and noise nothing is left. Undefined: for what is taken out."
)
RELIABILITY_NOTE = (
    "Reliability: Spearman’s ρ between the scores of two seeds on the same networks, a part of the sample; weights, noise and"
    f" draws differ, real images do not. Noise: its whole interval lies below {NOISE:g}. The luck of the seed then decides more"
    " than the networks do, whatever the correlation with accuracy, and a search cannot go by the score of one seed."
)
POPULATION_NAMES: dict[str, str] = {
    "reachable": "the 9,445 cells in which every edge reaches the output",
    "all_forms": "all 15,625 cells as stored, dead edges included",
    "nasbench_macro": "the 6,561 networks of NAS-Bench-Macro",
    "nds": "networks of a design space of NDS",
    "nasbench301": "the networks that NAS-Bench-301 trained",
    "autoformer": "AutoFormer’s tiny space",
    "pit": "the PiT space",
    "transnas_micro": "the 4,096 cells of TransNAS-Bench-101",
    "transnas_macro": "the 3,256 skeletons of TransNAS-Bench-101",
    "blox": "the 91,125 networks of BLOX",
}
SUBJECTS: dict[str, str] = {
    "nasbench201": "NAS-Bench-201",
    "nasbench_macro": "NAS-Bench-Macro",
    "nds": "NDS networks",
    "nasbench301": "NAS-Bench-301",
    "autoformer": "AutoFormer networks",
    "pit": "PiT networks",
    "transnas_micro": "TransNAS-Bench-101, cells",
    "transnas_macro": "TransNAS-Bench-101, skeletons",
    "blox": "BLOX",
    "timm": "ImageNet networks of timm",
    "table": "Trained networks",
}
"""What a page calls a benchmark."""
ALL_SETS = "mean of the sets of networks"
"""What a page calls the mean of a choice over them."""


def referee(key: str) -> str:
    """Name a referee of a choice, or one of its sets of networks, by its key: see `search.bench.choosing.referees`."""
    if key == ALL:
        return ALL_SETS
    benchmark, _, dataset = key.partition("/")
    subject = SUBJECTS.get(benchmark, benchmark)
    return f"{subject}, {DATASET_NAMES.get(dataset, dataset)}" if dataset else subject


FAMILIES: dict[str, str] = {
    "timm": "Networks of one family were trained by one recipe, so that accuracy differs by architecture alone.",
    "table": "Families are those that the table names; ranks of a population are ranks within the family.",
}
"""What the families of a benchmark are."""
MISSING = "–"
TIMES = "×"
"""Behind the name of a proxy: how many initialisations its score is the mean of."""


def plain(name: str) -> str:
    """A proxy's name without how many initialisations were averaged."""
    return name.partition(f" {TIMES}")[0]


def number(value: float | None, digits: int = 3) -> str:
    """A correlation, or a dash."""
    if value is None or not math.isfinite(value):
        return MISSING
    return f"{round(value, digits) + 0.0:.{digits}f}".replace("-", "−")  # + 0.0: no negative zero


def estimate(one: Estimate | None) -> str:
    """Value and interval: 0.743 [0.731, 0.755]."""
    if one is None or not math.isfinite(one.value):
        return MISSING
    if not (math.isfinite(one.low) and math.isfinite(one.high)):
        return number(one.value)
    return f"{number(one.value)} [{number(one.low)}, {number(one.high)}]"


def figure(metric: str, one: Estimate | None) -> str:
    """Value and interval of a metric; a score that is noise is said to be so."""
    noise = metric == RELIABILITY and one is not None and is_noise(one)
    return f"{estimate(one)} **noise**" if noise else estimate(one)


def count(value: int | None) -> str:
    """A count with separators, or a dash."""
    return MISSING if value is None else f"{value:,}"


def seconds(value: float | None) -> str:
    """Seconds to three digits; what is under a tenth of a millisecond says so."""
    if value is None or not math.isfinite(value):
        return MISSING
    if value < 1e-4:
        return "< 0.0001"
    return f"{value:,.{max(0, 2 - math.floor(math.log10(value)))}f}"


def memory(value: float | None) -> str:
    """Bytes as megabytes."""
    return MISSING if value is None else f"{value / 1e6:,.0f} MB"


def probability(value: float | None) -> str:
    """A p-value."""
    return MISSING if value is None or not math.isfinite(value) else f"{value:.4f}" if value < 0.1 else f"{value:.2f}"


def failures(row: Row) -> str:
    """How many networks a proxy failed on, and why."""
    return "; ".join(f"{number_failed:,} × {reason}" for reason, number_failed in row.failed.items())


def places(rows: Iterable[Row], metrics: Iterable[str]) -> Counter[str]:
    """How many of our intervals lie inside, above and below the papers' figures."""
    wanted = list(metrics)
    return Counter(place for row in rows for metric in wanted if (place := row.place(metric)))


def tally(found: Mapping[str, int]) -> str:
    """Such counts in words."""
    total = sum(found.values())
    if not total:
        return "The papers print no figure for these rows."
    return (
        f"Of {total} figures of the papers, {found.get('inside', 0)} lie inside our interval; our interval lies above"
        f" {found.get('above', 0)} and below {found.get('below', 0)}."
    )


def networks(bench: Bench) -> str:
    """Which networks were scored."""
    drawn = f"{bench.sample:,} networks" if bench.sample is not None else "networks"
    if bench.benchmark == "timm":
        return f"{drawn} of timm"
    if bench.benchmark == "table":
        return f"{drawn} of a table"
    return f"{drawn} of {POPULATION_NAMES.get(bench.population, bench.population or 'an unnamed population')}"


def flat(data: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Nested settings as rows of a name and a value."""
    for key, value in data.items():
        name = f"{prefix}{key}".replace("_", " ")
        if isinstance(value, Mapping):
            yield from flat(value, f"{name} · ")
        elif isinstance(value, list | tuple):
            yield name, ", ".join(map(str, value)) or "none"
        else:
            yield name, MISSING if value is None else str(value)
