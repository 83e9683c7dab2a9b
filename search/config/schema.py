"""The keys of a search configuration, their types and their defaults: plain dataclasses, one home for each default."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from search.training.recipe import Recipe
from uninas.networks.presets import PRESETS

START, RANDOM = "start", "random"
CONTROLS = (START, RANDOM, *PRESETS)
"""With what finalists can be compared: where the search started, the best of the random search, presets fitted to the budget."""


@dataclass
class SpaceConfig:
    """Where the search starts and how far a graph may grow."""

    preset: str | None = None  # resnet | efficientnet | vit | coatnet; one of preset, architecture, name and file, or fitted
    fitted: list[str] = field(default_factory=list)  # presets to start from too, at widths and depths that fill the budget
    architecture: str | None = None  # path of an architecture file to start from
    name: str | None = None  # a published categorical space, see uninas.spaces: mobilenetv2, nasbench101, ..
    file: str | None = None  # path of a Python file that defines such a space, SPACE; it runs as code
    start: str | None = None  # beside name or file: the genotype to start from, as its space writes it; default: the space's own
    widths: list[int] | None = None  # channels of each stage; default: the preset's
    depths: list[int] | None = None  # blocks of each stage; default: the preset's
    stem: list[int] = field(default_factory=lambda: [32, 64])  # channels of the stem's two convolutions
    nodes_per_subblock: int = 64  # largest number of nodes an edit may leave in one residual sub-block
    random_edits: int = 32  # a random sample has at most so many edits, see sampler
    sampler: str = "walk"  # a random sample begins with: walk: a start, at least one edit follows; grammar: a network drawn whole
    vocabulary: list[str] = field(default_factory=lambda: ["universal"])  # what edits insert: universal | uninas, or fragments
    prior: dict[str, float] = field(default_factory=dict)  # weights of kinds of edit, where not PRIOR's of uninas.edits; 0: never
    regularisers: bool = False  # whether edits may insert dropout and drop_path, which only a trained accuracy can see


@dataclass
class BudgetConfig:
    """Upper bounds, each inclusive; null bounds nothing. Counted exactly, at `size` and with `classes`."""

    params: int | None = None
    macs: int | None = None  # multiply-accumulates of convolutions, linear layers and attention products, one image
    layers: int | None = None  # convolution and linear nodes
    attention_tokens: int | None = None  # side of the largest attention map
    latency_ms: float | None = None  # milliseconds of one inference, measured by the worker on its own device, see LatencyConfig


@dataclass
class PoolConfig:
    """Who scores. Nothing here changes a score, except that a candidate may miss the wall-clock deadline."""

    kind: str = "ray"  # serial: in this process; ray: actors
    workers: int = 1  # actors
    min_workers: int | None = (
        None  # begin with room for so many (0: wait for it) and grow with the cluster; null: all or an error
    )
    gpus_per_worker: float = 0.0  # 0: a CPU slot each; 1, 2, ..: whole GPUs; a fraction: several actors on one GPU
    deadline_s: float | None = None  # a candidate that takes longer is recorded as failed
    batch: int | None = None  # candidates a worker gets at a time; null: one, or up to 16 where they take less than 0.25 s
    dashboard: bool = False  # Ray's dashboard on loopback, for a Ray that is started here
    address: str | None = None  # null: an own Ray on this machine, loopback only; else the cluster to join ("auto")


@dataclass
class ProxyConfig:
    """Options handed to the proxies that know them."""

    smoothing: float = 0.05  # alpha of VKDNW: p <- (1 - alpha) p + alpha / classes
    micro_batch: int | None = None  # images per backward pass; bounds memory, changes no score beyond rounding
    probes: int | None = None  # random probes a sample instead of the exact Fisher matrix
    file: str | None = None  # path of a Python file that registers proxies of your own; it runs as code
    options: dict[str, Any] = field(default_factory=dict)  # by proxy: more options of its function, name: value


@dataclass
class TrainingConfig:
    """A candidate's short training, where the objective is {train: ..}: its score is top-1 on the held-out images, in percent."""

    images: str | None = None  # folder with train/ and val/ (or test/), each with one folder of images for each class
    held_out: int | None = None  # images of a class, taken from train/, that judge; null: those of val/ or test/
    pixels: int = 32  # side of an image in memory; a batch is resized to `size`
    per_class: int | None = None  # training images of a class; null: all
    recipe: Recipe = field(default_factory=lambda: Recipe(epochs=1, batch=64))


@dataclass
class LatencyConfig:
    """How latency is measured where it is an objective or has a budget: the median of `runs` passes, in evaluation mode."""

    batch: int = 1  # images at a time
    runs: int = 10  # timed passes
    warmup: int = 3  # passes before them
    precision: str = "float32"  # float32 (TF32 off, as for scores), or bfloat16 or float16 by autocast


@dataclass
class RungConfig:
    """A cheap score before the objective: who is not among the best of it so far is not scored any further."""

    score: str | None = None  # a raw proxy; or else, of an objective that trains:
    per_class: int | None = None  # a shorter training, on so many images of a class
    keep: float = 0.5  # share of those that come to this rung that goes on


@dataclass
class FinalistsConfig:
    """The best of the search are scored again on seeds that the search has not seen, beside controls, and ranked anew."""

    count: int = 8
    by_model: int | None = None  # of them, chosen by what the algorithm's model expects; null: half of them where it has one
    seeds: int = 4
    controls: list[str] = field(default_factory=lambda: list(CONTROLS))  # start | random | presets fitted to the budget
    per_class: int | None = None  # where a training is the objective: their training images of a class; null: as the candidates'
    epochs: int | None = None  # and epochs of their trainings; null: as the candidates'
    reliability: int = 0  # others of the best quarter that are scored on the first of these seeds: how far do two seeds agree?

    @property
    def longer(self) -> bool:
        """Whether they are trained longer than candidates."""
        return self.per_class is not None or self.epochs is not None


@dataclass
class SearchConfig:
    """A whole search. `load` of search.config.loading fills it from YAML."""

    space: SpaceConfig = field(default_factory=SpaceConfig)
    seed: int = 0
    algorithm: str = "walk"  # its name; algorithm: {file: my_search.py, name: mine} is one of your own
    algorithm_file: str | None = None  # path of the Python file that registers it; it runs as code
    algorithm_options: dict[str, Any] = field(default_factory=dict)  # see ALGORITHMS: what each one knows
    objective: str = "vkdnw_agg"  # a name, or {product: [..]}, {mean: [..]}, {weighted: {..}}, {file: choose.json}, {train: ..}
    ladder: list[RungConfig] = field(default_factory=list)  # before the objective, the cheapest first
    objectives: list[str] | None = None  # of pareto: "score" (the objective above) and COSTS of search.ranking.objective
    evaluations: int = 1000  # candidates scored by the algorithm
    ties: str = "cheaper"  # of equal candidates the better finalist: cheaper: fewer parameters, then MACs; older: asked before
    window: int | None = None  # ask k sees the tells 0 .. k - window; default: the algorithm's
    order: str = "ask"  # ask: reproducible with any workers; completion: no waiting for stragglers, order is logged
    size: list[int] = field(default_factory=lambda: [224, 224])  # H, W in pixels
    classes: int = 1000
    batch: int = 64  # images a score is computed on
    repeats: int = 1  # initialisations a raw score is averaged over
    images: str | None = None  # folder of images, one folder per class, for the proxies that take real ones; null: noise for all
    budget: BudgetConfig = field(default_factory=BudgetConfig)
    pool: PoolConfig = field(default_factory=PoolConfig)
    proxies: ProxyConfig = field(default_factory=ProxyConfig)
    training: TrainingConfig = field(default_factory=TrainingConfig)
    latency: LatencyConfig = field(default_factory=LatencyConfig)
    finalists: FinalistsConfig = field(default_factory=FinalistsConfig)
    baseline: bool = False  # a random search of equal budget, run after the search and shown beside it
