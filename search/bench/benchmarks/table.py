"""Which benchmarks there are, and what `uninas bench NAME` asks of a person for each: read without importing any of them.

To add one: a module that holds a `BENCHMARK` (see `search.bench.benchmarks.conduct.Benchmark`), and an entry in `BENCHMARKS`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal


@dataclass(frozen=True)
class Option:
    """An option that one benchmark alone has.

    Attributes:
        name: as a Python name; on the command line --max-macs for max_macs.
        kind: a flag, a text, a whole number from 1, or a number above 0.
        default: what is asked where the option is not given.
        help: for a person.
    """

    name: str
    kind: Literal["flag", "text", "count", "number"]
    default: Any
    help: str


@dataclass(frozen=True)
class Entry:
    """A benchmark as the command line sees it.

    Attributes:
        module: holds `BENCHMARK`.
        help: of the command: a sentence, then what else there is to know, with examples.
        data: help of --data.
        datasets: whose accuracies can judge, the first by default; a benchmark of one data set has no option for it.
        batch: samples that a score is computed on, by default.
        options: which of --sample and --images it has.
        own: options that it alone has.
        argument: what the help calls the data where they stand behind the command's name, not behind --data.
    """

    module: str
    help: str
    data: str
    datasets: tuple[str, ...]
    batch: int = 64
    options: tuple[Literal["sample", "images"], ...] = ()
    own: tuple[Option, ...] = ()
    argument: str = ""


_VIT_DATASETS = ("c100_kd", "flower_kd", "chaoyang_kd", "c100_base", "flower_base", "chaoyang_base")
_TASKS = ("class_scene", "class_object", "jigsaw", "room_layout", "segmentsemantic", "normal", "autoencoder")
_PIXELS = Option("size", "count", None, "Pixels of every input. Default: what the networks were trained at.")

BENCHMARKS: dict[str, Entry] = {
    "nasbench201": Entry(
        module="search.bench.benchmarks.nasbench201",
        help="""Rank the cells of NAS-Bench-201 by every proxy, and compare the rankings with trained accuracies.

        DIR/nb201_accuracies.csv has the columns index, arch_str, cifar10, cifar100, imagenet16_120 (percent). If
        DIR/nb201_zero_cost_scores_9445.csv exists, our scores are also compared with the published ones that it holds.

        \b
        uninas bench nasbench201 --data DIR --sample 1500 --out runs/c10
        uninas bench nasbench201 --data DIR --dataset imagenet16_120 --proxies vkdnw_agg,az_nas --sample 1500
        uninas bench nasbench201 --data DIR --resume runs/c10 --sample 3000 --proxies zico

        The run folder holds settings.json, journal.jsonl (every score), scores.csv, results.json and report.html. Ctrl-C stops
        a run cleanly. A run can be resumed after that, and after a crash.""",
        data="Folder with nb201_accuracies.csv.",
        datasets=("cifar10", "cifar100", "imagenet16_120"),
        options=("sample", "images"),
        own=(
            Option("all_forms", "flag", False, "Score all 15,625 cells as stored, dead edges included, not the 9,445 reachable."),
        ),
    ),
    "nasbench_macro": Entry(
        module="search.bench.benchmarks.published_spaces.nasbench_macro",
        help="""Rank the networks of NAS-Bench-Macro by every proxy, and compare the rankings with trained accuracies.

        The CSV has the columns architecture (eight digits) and mean_acc (percent), as the authors' table has; a folder holds it
        as nasbench_macro_cifar10.csv. All 6,561 networks are scored, or a sample.

        \b
        uninas bench nasbench_macro --data DIR --proxies params,flops,aleph
        uninas bench nasbench_macro --data DIR --sample 600 --images PICTURES --out runs/macro""",
        data="CSV with the columns architecture and mean_acc, or its folder.",
        datasets=("cifar10",),
        options=("sample", "images"),
    ),
    "nds": Entry(
        module="search.bench.benchmarks.records.nds",
        help="""Rank the networks of a design space of NDS by every proxy, and compare the rankings with trained accuracies.

        The data are a file of NDS under its own name: DARTS.json, DARTS_fix-w-d.json, NASNet.json, Amoeba.json, PNAS.json,
        ENAS.json, ResNet.json, ResNeXt-A.json, ResNeXt-B.json and their like; names that end in _in are of networks trained on
        ImageNet. A network's accuracy is 100 less its error after the last epoch. Counts that differ from ours are reported.

        \b
        uninas bench nds --data nds_data/DARTS.json --sample 1000
        uninas bench nds --data nds_data/PNAS_in.json --dataset imagenet --sample 100 --out runs/pnas""",
        data="File of NDS's data.",
        datasets=("cifar10", "imagenet"),
        options=("sample", "images"),
        own=(_PIXELS,),
    ),
    "nasbench301": Entry(
        module="search.bench.benchmarks.records.nasbench301",
        help="""Rank the networks that NAS-Bench-301 trained by every proxy, and compare the rankings with their accuracies.

        DIR holds its training data, files called results_N.json in any folders. Networks of the most frequent width, depth and
        length of training count; the others are left out. Accuracies on test images judge, or those on validation images.

        \b
        uninas bench nasbench301 --data nb_301 --sample 1000
        uninas bench nasbench301 --data nb_301 --dataset cifar10_valid --proxies vkdnw_agg --out runs/nb301""",
        data="Folder of its training data.",
        datasets=("cifar10", "cifar10_valid"),
        options=("sample", "images"),
        own=(_PIXELS,),
    ),
    "autoformer": Entry(
        module="search.bench.benchmarks.published_spaces.autoformer",
        help="""Rank 200 vision transformers of AutoFormer's tiny space by every proxy, and compare the rankings with accuracies.

        The CSV, in a folder vit_bench_autoformer.csv, has the columns hidden_dim, mlp_ratio, depth, num_heads, c100_kd_acc and so
        on (percent), published with Auto-Prox. A network without that accuracy is left out. The plain accuracies (base) span two
        points; those with distillation (kd) tell networks apart.

        \b
        uninas bench autoformer --data DIR --proxies params,flops,naswot
        uninas bench autoformer --data DIR --dataset flower_kd --sample 50 --out runs/flowers""",
        data="CSV of the networks and their accuracies, or its folder.",
        datasets=(*_VIT_DATASETS, "imagenet_super"),
        batch=8,
        options=("sample",),
        own=(_PIXELS,),
    ),
    "pit": Entry(
        module="search.bench.benchmarks.published_spaces.pit",
        help="""Rank 100 pooling-based vision transformers (PiT) by every proxy, and compare the rankings with accuracies.

        The CSV, in a folder vit_bench_pit.csv, has the columns base_dim, mlp_ratio, depth, num_heads, c100_kd_acc and so on
        (percent), published with Auto-Prox. A network without that accuracy is left out.

        \b
        uninas bench pit --data DIR --proxies params,flops,naswot
        uninas bench pit --data DIR --dataset chaoyang_kd --out runs/chaoyang""",
        data="CSV of the networks and their accuracies, or its folder.",
        datasets=_VIT_DATASETS,
        batch=8,
        options=("sample",),
        own=(_PIXELS,),
    ),
    "transnas_micro": Entry(
        module="search.bench.benchmarks.published_spaces.transnas_micro",
        help="""Rank the 4,096 cells of TransNAS-Bench-101 by every proxy, and compare the rankings with results on a task.

        The CSV, in a folder transnas_micro.csv, has the columns architecture (64-41414-1_02_333) and the task's, more being
        better; docs/guides/bench.md has a script that makes it. Scores are those of the encoder with a linear layer.

        \b
        uninas bench transnas_micro --data DIR --sample 500 --size 64
        uninas bench transnas_micro --data DIR --dataset jigsaw --sample 500 --images PICTURES --out runs/jigsaw""",
        data="CSV of the networks and their results, or its folder.",
        datasets=_TASKS,
        batch=16,
        options=("sample", "images"),
        own=(_PIXELS,),
    ),
    "transnas_macro": Entry(
        module="search.bench.benchmarks.published_spaces.transnas_macro",
        help="""Rank the 3,256 skeletons of TransNAS-Bench-101 by every proxy, and compare the rankings with results on a task.

        The CSV, in a folder transnas_macro.csv, has the columns architecture (64-1234-basic) and the task's, more being better;
        docs/guides/bench.md has a script that makes it. Scores are those of the encoder with a linear layer.

        \b
        uninas bench transnas_macro --data DIR --sample 500 --size 64
        uninas bench transnas_macro --data DIR --dataset room_layout --proxies params,flops,naswot""",
        data="CSV of the networks and their results, or its folder.",
        datasets=_TASKS,
        batch=16,
        options=("sample", "images"),
        own=(_PIXELS,),
    ),
    "blox": Entry(
        module="search.bench.benchmarks.published_spaces.blox",
        help="""Rank the networks of BLOX by every proxy, and compare the rankings with trained accuracies on CIFAR-100.

        The CSV, in a folder blox_cifar100.csv, has the columns arch_vec and test_top1 (percent); docs/guides/bench.md has a
        script that makes it of the authors' CSV files.

        \b
        uninas bench blox --data DIR --proxies params,flops,aleph
        uninas bench blox --data DIR --sample 1000 --images PICTURES --out runs/blox""",
        data="CSV with the columns arch_vec and test_top1, or its folder.",
        datasets=("cifar100",),
        options=("sample", "images"),
    ),
    "timm": Entry(
        module="search.bench.benchmarks.timm_models",
        help="""Rank ImageNet networks of timm by every proxy, within families trained by one recipe.

        A family is a module of timm and a tag, such as regnet.pycls_in1k, with ten or more members. Networks are built without
        weights, and nothing is downloaded. The CSV is timm's results-imagenet.csv, or one like it.

        \b
        uninas bench timm --data results-imagenet.csv --families ^regnet.pycls --proxies vkdnw_agg,synflow --probes 8
        uninas bench timm --data results-imagenet.csv --max-macs 2e9 --out runs/timm
        uninas bench timm --data results-imagenet.csv --resume runs/timm --proxies zico""",
        data="CSV with the columns model, img_size, top1.",
        datasets=("imagenet",),
        batch=8,
        own=(
            Option(
                "families", "text", None, "Regular expression that a family's name must match: ^regnet, fb_in1k. Default: all."
            ),
            Option("max_macs", "number", 8e9, "Largest number of MACs of one sample; costlier networks are left out."),
            Option("size", "count", None, "Pixels of every input. Default: the size that each network was trained at."),
        ),
    ),
    "table": Entry(
        module="search.bench.benchmarks.own_networks",
        help="""Rank the networks of FILE, a table of your own, by every proxy, and compare the rankings with their accuracies.

        FILE is a CSV. A column architecture (or network, model, file) names each network: an architecture file, by its path from
        the table, a run folder, a preset, a published network, SPACE:TEXT such as nasbench201:CELL, or timm:MODEL. A column
        accuracy has percent. Where the table has them, the columns size (pixels), classes, seed (several trainings of a network:
        means count) and family (rankings within each family, too) are read. Networks are scored in canonical form.

        \b
        uninas bench table trained.csv
        uninas bench table trained.csv --accuracy top1_val --family kind --proxies vkdnw,naswot,flops,params --repeats 6
        uninas bench table trained.csv --resume runs/table-trained-0 --proxies zico""",
        data="",
        argument="FILE",
        datasets=("own",),
        batch=16,
        options=("sample", "images"),
        own=(
            Option("accuracy", "text", None, "Column of accuracies. Default: accuracy, or the only one like it: top1_val."),
            Option("family", "text", None, "Column of families. Default: family, where there is one."),
            Option("classes", "count", None, "Outputs of every network. Default: as the files say; 1,000 where none does."),
            Option("size", "count", None, "Pixels of every input. Default: each network's own."),
        ),
    ),
}
"""Name -> entry; `uninas bench NAME` runs it."""

FIXED = ("dataset", "batch", "seed", "images", "repeats", "probes", "out")
"""What a resumed run keeps as it was, beside the benchmark's own options."""
