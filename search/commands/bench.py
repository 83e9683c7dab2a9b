"""`uninas bench`: judge zero-cost proxies on networks whose trained accuracies are known."""

from __future__ import annotations

import functools
import importlib
import inspect
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from search.bench.benchmarks.table import BENCHMARKS, FIXED, Entry, Option
from search.commands.asked import pool_of, reject_given
from uninas.commands.groups import Subcommands
from uninas.commands.options import Number
from uninas.errors import InputError
from uninas.runtime.terminal import console as make_console
from uninas.runtime.terminal import say

_FOLDER = click.Path(path_type=Path)

Decorator = Callable[[Any], Any]


class _Bench(Subcommands):
    """The commands below, and one for each of `BENCHMARKS`."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted([*super().list_commands(ctx), *BENCHMARKS])

    def invoke(self, ctx: click.Context) -> Any:
        from search.workers.interrupts import as_ctrl_c

        with as_ctrl_c():
            return super().invoke(ctx)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        entry = BENCHMARKS.get(cmd_name)
        return super().get_command(ctx, cmd_name) if entry is None else benchmark_command(cmd_name, entry)


@click.group("bench", cls=_Bench)
def command() -> None:
    """Judge zero-cost (training-free) proxies on networks whose trained accuracies are known.

    \b
    uninas bench nasbench201 --data DIR --dataset cifar10 --sample 1500
    uninas bench nasbench201 --resume RUN --data DIR --sample 3000
    uninas bench nasbench_macro --data DIR --sample 600
    uninas bench timm --data results-imagenet.csv --max-macs 2e9
    uninas bench table trained.csv
    uninas bench ablation fim_size --data DIR --sample 500
    uninas bench costs RUN
    uninas bench choose RUN... --timm RUN
    """


def dataset_option(datasets: tuple[str, ...], default: str) -> Decorator:
    """Make --dataset."""
    help = "Whose accuracies judge; also decides input size and number of classes."
    return click.option("--dataset", type=click.Choice(datasets), default=default, show_default=True, help=help)


def batch_option(default: int, help: str) -> Decorator:
    """Make --batch."""
    return click.option("--batch", type=click.IntRange(1), default=default, show_default=True, help=help)


seed_option: Decorator = click.option(
    "--seed", type=click.IntRange(0), default=0, show_default=True, help="Decides the sample, inputs and initial weights."
)
probes_option: Decorator = click.option(
    "--probes", type=click.IntRange(1), help="Random probes per sample for vkdnw, instead of the exact Fisher matrix."
)
sample_option: Decorator = click.option(
    "--sample", type=click.IntRange(2), help="Number of networks, drawn by the seed. Default: all."
)
images_option: Decorator = click.option(
    "--images", type=_FOLDER, help="Folder of images, one folder per class: a real batch for proxies that have a loss."
)
reliability_option: Decorator = click.option(
    "--reliability",
    type=click.IntRange(3),  # fewer have no correlation
    metavar="N",
    help="Score the first N networks of the sample under a second seed too, and say how far each score can be trusted.",
)
_SHARED = {"sample": sample_option, "images": images_option}
_KINDS: dict[str, Any] = {"text": click.STRING, "count": click.IntRange(1), "number": Number(0, min_open=True)}


def _own(option: Option) -> Decorator:
    """Make an option that one benchmark alone has."""
    flag = f"--{option.name.replace('_', '-')}"
    if option.kind == "flag":
        return click.option(flag, option.name, is_flag=True, default=option.default, help=option.help)
    shown = option.default is not None
    return click.option(flag, option.name, type=_KINDS[option.kind], default=option.default, show_default=shown, help=option.help)


def benchmark_command(name: str, entry: Entry) -> click.Command:
    """Make `uninas bench NAME`, which runs a benchmark or resumes a run of it."""

    def callback(context: click.Context, /, data: Path, resume: Path | None, as_json: bool, **options: Any) -> None:
        from search.bench.benchmarks.conduct import conduct
        from search.bench.benchmarks.request import request_for

        if resume is not None:
            reject_given(context, (*FIXED, *(option.name for option in entry.own)))
        request = request_for(name, data, resume, pool=pool_of(options), **options)
        finish(*conduct(importlib.import_module(entry.module).BENCHMARK, request, view=view()), as_json)

    folder = f"runs/{name}-<dataset>-<seed>" if len(entry.datasets) > 1 else f"runs/{name}-<seed>"
    if entry.argument:
        folder = f"runs/{name}-<{entry.argument.lower()}>-<seed>"
        options: list[Any] = [click.argument("data", type=_FOLDER, metavar=entry.argument)]
    else:
        options = [click.option("--data", type=_FOLDER, required=True, help=entry.data)]
    if len(entry.datasets) > 1:
        options.append(dataset_option(entry.datasets, entry.datasets[0]))
    options += [
        click.option("--proxies", help="Names, separated by commas: vkdnw,jacov,flops. Default: all that this benchmark scores."),
        *(_SHARED[option] for option in entry.options),
        *(_own(option) for option in entry.own),
        seed_option,
        batch_option(entry.batch, "Samples that a score is computed on."),
        click.option("--repeats", type=click.IntRange(1), default=1, show_default=True, help="Initialisations to average over."),
        probes_option,
        reliability_option,
        click.option("--out", type=_FOLDER, help=f"Run folder to create. Default: {folder}."),
        resume_options,
        pool_options,
        judge_options,
    ]
    callback = click.pass_context(own_proxies_option(callback))
    for option in reversed(options):
        callback = option(callback)
    return click.command(name, help=inspect.cleandoc(entry.help))(callback)


def pool_options(function: Any) -> Any:
    """Add --workers, --pool and --deadline."""
    for option in (
        click.option(
            "--deadline", type=Number(0, min_open=True), help="Seconds that scoring a network may take; beyond, it has failed."
        ),
        click.option(
            "--pool",
            type=click.Choice(["ray", "serial"]),
            default="ray",
            show_default=True,
            help="Score with Ray workers, or in this process.",
        ),
        click.option("--workers", type=click.IntRange(1), help="Workers of the Ray pool. Default: one per processor core."),
    ):
        function = option(function)
    return function


def own_proxies_option(function: Any) -> Any:
    """Add --proxies-file, and run that file, or the copy of the resumed run, before anything else."""

    @functools.wraps(function)
    def prepared(context: click.Context, /, *arguments: Any, proxies_file: Path | None, **options: Any) -> Any:
        from search.bench.scoring import own_files

        own_files.prepare(proxies_file, options.get("resume"))
        return function(context, *arguments, **options)

    return click.option(
        "--proxies-file",
        type=_FOLDER,
        metavar="FILE.py",
        help="Python file that registers proxies of your own with @proxies.register. It runs as code; the run keeps a copy.",
    )(prepared)


def resume_options(function: Any) -> Any:
    """Add --resume, --again, --accept-changes, --retry-failed and --as-is."""
    for option in (
        click.option(
            "--as-is", is_flag=True, help="With --resume: score nothing and judge the existing scores, also of a run in progress."
        ),
        click.option(
            "--accept-changes", is_flag=True, help="With --resume: score the rest although the scoring code has changed since."
        ),
        click.option("--again", metavar="A,B", help="With --resume: compute these scores again, after their definition changed."),
        click.option("--retry-failed", "retry", is_flag=True, help="With --resume: score again what failed."),
        click.option(
            "--resume", "resume", type=_FOLDER, metavar="RUN", help="Run folder to resume: missing scores are computed."
        ),
    ):
        function = option(function)
    return function


def judge_options(function: Any) -> Any:
    """Add --top, --resamples and --json."""
    for option in (
        click.option("--json", "as_json", is_flag=True, help="Print only the results, as one JSON object."),
        click.option("--resamples", type=click.IntRange(10), help="Bootstrap resamples of every interval. Default: 300."),
        click.option(
            "--top", type=click.IntRange(1), help="P of nDCG. Default: 1,000 for 9,445 networks, in proportion for fewer."
        ),
    ):
        function = option(function)
    return function


@command.command("ablation")
@click.argument("name", type=click.Choice(["fim_size", "weights", "batch_input", "subsets", "aleph", "ssnr_log"]))
@click.argument("run", type=_FOLDER, required=False)
@click.option("--data", "data", type=_FOLDER, help="Folder with nb201_accuracies.csv, for the ablations that score.")
@dataset_option(BENCHMARKS["nasbench201"].datasets, "imagenet16_120")
@sample_option
@seed_option
@images_option
@batch_option(BENCHMARKS["nasbench201"].batch, "Samples that a score is computed on; batch_input varies it.")
@probes_option
@click.option("--out", type=_FOLDER, help="Folder to create. Default: runs/ablation-<name>-<dataset>-<seed>, or <run>-<name>.")
@click.option("--resume", "resume", type=_FOLDER, help="Run folder to resume; --sample may then be larger.")
@pool_options
@judge_options
@click.pass_context
def ablation(context: click.Context, /, name: str, run: Path | None, as_json: bool, **options: Any) -> None:
    """Repeat an ablation of the papers on NAS-Bench-201.

    \b
    fim_size     how many layers give a weight to the Fisher matrix (VKDNW, Table VII)
    weights      which weights of a layer, and how many (Table VIII)
    batch_input  batch size, random or real input (Table V)
    subsets      all 31 subsets of VKDNW_agg's components (Table IX); of RUN's scores
    aleph        correlation with the number of layers (Table IV); of RUN's scores
    ssnr_log     the logarithm in SSNR (T-CET, Table A.1); of RUN's scores

    The first three score networks and need --data. The last three judge the scores of RUN, made by `uninas bench nasbench201`.

    \b
    uninas bench ablation fim_size --data DIR --sample 500
    uninas bench ablation subsets runs/nasbench201-imagenet16_120-0
    """
    from search.bench.benchmarks import ablation as ablations

    data = options.pop("data")
    if name in ablations.FROM_RUN:
        if run is None:
            raise InputError(f"ablation {name}: expected the folder of a run of nasbench201 behind it; got none")
        reject_given(context, ("data", "dataset", "sample", "seed", "images", "batch", "probes", "resume"), f"with {name}")
        judged = {key: options[key] for key in ("out", "resamples", "top")}
        finish(*ablations.from_run(name, run, **judged), as_json)
        return
    if run is not None or data is None:
        raise InputError(f"ablation {name}: expected --data DIR and no run: it scores networks")
    if options["resume"] is not None:
        reject_given(context, ("dataset", "seed", "images", "batch", "probes", "out"))
    if name == "batch_input":
        reject_given(context, ("batch",), "with batch_input, which varies it")
    finish(*ablations.bench(name, data, view=view(), pool=pool_of(options), **options), as_json)


@command.command("choose")
@click.argument("runs", type=_FOLDER, nargs=-1, required=True)
@click.option(
    "--timm", "timm_run", type=_FOLDER, metavar="RUN", help="Folder of a run of timm, on which the chosen set is also reported."
)
@click.option("--components", metavar="A,B", help="Proxies to choose from. Default: all that every run has scored.")
@click.option("--largest", type=click.IntRange(1, 6), default=5, show_default=True, help="Largest number of components in a set.")
@click.option(
    "--cost",
    type=Number(0, min_open=True),
    metavar="SECONDS",
    help="CPU-seconds of a network that a set may take where it is dearest, by the runs' own clocks. Default: any.",
)
@click.option(
    "--at-budget",
    is_flag=True,
    help="Choose by the correlation at equal parameters and MACs, instead of Kendall, Spearman and nDCG.",
)
@click.option("--reference", default="vkdnw_agg", show_default=True, help="Objective, or score, that gains are over.")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Decides the halves and all random draws.")
@click.option(
    "--resamples", type=click.IntRange(10), default=1000, show_default=True, help="Bootstrap resamples of every interval."
)
@click.option(
    "--splits", type=click.IntRange(0), default=5, show_default=True, help="Further splits, which show how stable the choice is."
)
@click.option("--out", type=_FOLDER, help="Folder to create. Default: runs/aggregate-<seed>.")
@click.option("--json", "as_json", is_flag=True, help="Print only the results, as one JSON object.")
def choose(runs: tuple[Path, ...], timm_run: Path | None, as_json: bool, **options: Any) -> None:
    """Choose the product of ranks with the largest gain over VKDNW_agg on half of the networks, and report it on the others.

    RUNS are judged runs of any benchmark but timm. Runs of the same networks, such as NAS-Bench-201's three data sets, are one
    set: the same half of its networks chooses on all of them, and it counts once. Sets count by how much they tell. The scores
    are read; nothing is scored. Every set of components is tried.

    \b
    uninas bench choose runs/c10 runs/c100 runs/in16 runs/macro runs/pit --timm runs/timm --out runs/aggregate
    uninas bench choose runs/c10 runs/macro --cost 0.2 --at-budget          cheap, and for a search at one budget
    uninas bench choose runs/in16 --components jacov,synflow,flops --largest 2 --splits 0
    uninas search demo 'objective={file: runs/aggregate/choose.json}'       searches by what was chosen
    """
    from search.bench.choosing import choose as choosing
    from search.bench.scoring import own_files

    for run in runs:  # proxies of one's own are components too, once their names are known
        own_files.prepare(None, run)
    progress = view()
    try:
        folder, found = choosing.choose(runs, timm=timm_run, view=progress, **options)
    finally:
        progress.close()
    if as_json:
        say(json.dumps(found.as_dict(), allow_nan=False))
    else:
        choosing.show(found, make_console(width=None if sys.stdout.isatty() else 130).print)
    say(f"{folder / choosing.FILE}", err=as_json)


@command.command("costs")
@click.argument("run", type=_FOLDER)
@click.option("--data", type=_FOLDER, help="The table of the run, where its networks are files or models of timm.")
def costs(run: Path, data: Path | None) -> None:
    """Measure the time and peak memory of each proxy of RUN by itself, on its heaviest network.

    Each proxy is scored in a process of its own, then all together. The figures are kept in RUN/costs.json, for its pages.

    \b
    uninas bench costs runs/nasbench201-cifar10-0
    uninas bench costs runs/table-trained-0 --data trained.csv
    """
    from search.bench.benchmarks.heaviest import heaviest
    from search.bench.scoring import costs as costs_of
    from search.bench.scoring import own_files

    own_files.prepare(None, run)
    progress = view()
    found = costs_of.measure(run, *heaviest(run, data, progress.note), note=progress.note)
    names, ratio = costs_of.slowest(found)
    for row in sorted(found["rows"], key=lambda row: -(row["seconds"] or 0)):
        memory = "" if row["memory"] is None else f"{row['memory'] / 1e6:8.0f} MB"
        say(f"{row['proxy']:20s} {'failed' if row['seconds'] is None else format(row['seconds'], '7.2f') + ' s'} {memory}")
    if ratio is not None:
        say(f"all together {found['together']['seconds']:.2f} s: {ratio:.2f} times {', '.join(names)} alone")


@command.command("results")
@click.argument("runs", type=_FOLDER, nargs=-1, required=True)
@click.option("--out", type=_FOLDER, default=Path("docs/results"), show_default=True, help="Folder of the pages.")
@click.pass_context
def results(context: click.Context, runs: tuple[Path, ...], out: Path) -> None:
    """Deprecated: write this repository's result pages; python -m benchmarks.results does, in a checkout.

    \b
    uninas bench results runs/c10 runs/c100 runs/in16 runs/timm runs/ablation-fim_size --out docs/results
    """
    import subprocess

    root = Path(__file__).resolve().parents[2]
    if not (root / "benchmarks" / "results" / "__main__.py").is_file():
        raise InputError("uninas bench results: expected a checkout, which has benchmarks/results; got an installed package")
    say("warning: uninas bench results has moved; from a checkout, run python -m benchmarks.results", err=True)
    paths = os.pathsep.join(filter(None, (str(root), os.environ.get("PYTHONPATH"))))
    words = [sys.executable, "-m", "benchmarks.results", *map(str, runs), "--out", str(out)]
    context.exit(subprocess.run(words, env={**os.environ, "PYTHONPATH": paths}, check=False).returncode)


def view() -> Any:
    """Make the progress display, on stderr."""
    from search.monitor.progress import view_for

    return view_for(make_console(stderr=True))


def finish(folder: Path, results: dict[str, Any], as_json: bool) -> None:
    """Print results as one JSON object, or as a table for people; then make the page: one that fails hides no result."""
    from search.bench.judging.finish import show
    from search.bench.page import write_page

    if as_json:
        say(json.dumps(results, allow_nan=False))
    else:
        show(results, make_console(width=None if sys.stdout.isatty() else 160).print)
    say(f"{write_page(folder)}", err=as_json)
