"""`uninas bench`: judge proxies on networks whose accuracies are known."""

from __future__ import annotations

import functools
import json
import sys
from pathlib import Path
from typing import Any

import click

from uninas.commands.options import Number
from uninas.errors import InputError

_FOLDER = click.Path(path_type=Path)
_FIXED = ("dataset", "all_forms", "seed", "images", "batch", "repeats", "probes", "out")  # a resume keeps these as they were


@click.group("bench")
def command() -> None:
    """Judge training-free proxies on networks whose accuracies are known.

    \b
    uninas bench nasbench201 --data DIR --dataset cifar10 --sample 1500
    uninas bench nasbench201 --resume RUN --data DIR --sample 3000
    uninas bench timm --data results-imagenet.csv --max-macs 2e9
    uninas bench ablation fim_size --data DIR --sample 500
    uninas bench costs RUN
    uninas bench choose RUN... --timm RUN
    uninas bench results RUN... --out docs/results
    """


def pool_options(function: Any) -> Any:
    """Add --workers, --pool and --deadline."""
    for option in (
        click.option("--deadline", type=Number(0, min_open=True), help="Seconds that a network may take, else it failed."),
        click.option("--pool", type=click.Choice(["ray", "serial"]), default="ray", show_default=True, help="Who scores."),
        click.option("--workers", type=click.IntRange(1), help="Workers of the Ray pool. Default: the processor cores."),
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
    """Add --resume, --again, --retry-failed and --as-is."""
    for option in (
        click.option("--as-is", is_flag=True, help="With --resume: score nothing, judge what there is, also while RUN goes on."),
        click.option("--again", metavar="A,B", help="With --resume: compute these scores anew, after their definition changed."),
        click.option("--retry-failed", "retry", is_flag=True, help="With --resume: score again what failed."),
        click.option("--resume", "resume", type=_FOLDER, metavar="RUN", help="Run folder to take up: what is missing is scored."),
    ):
        function = option(function)
    return function


def judge_options(function: Any) -> Any:
    """Add --top, --resamples and --json."""
    for option in (
        click.option("--json", "as_json", is_flag=True, help="Print the results as one JSON object and nothing else."),
        click.option("--resamples", type=click.IntRange(10), help="Bootstrap resamples of every interval. Default: 300."),
        click.option("--top", type=click.IntRange(1), help="P of nDCG. Default: 1000 of 9,445 networks, that share of fewer."),
    ):
        function = option(function)
    return function


@command.command("nasbench201")
@click.option("--data", "data", type=_FOLDER, required=True, help="Folder with nb201_accuracies.csv.")
@click.option(
    "--dataset",
    type=click.Choice(["cifar10", "cifar100", "imagenet16_120"]),
    default="cifar10",
    show_default=True,
    help="Whose accuracies judge; decides size and classes of the networks, too.",
)
@click.option("--proxies", help="Names, separated by commas: vkdnw,jacov,flops. Default: all.")
@click.option("--sample", type=click.IntRange(2), help="So many networks, drawn by the seed. Default: all.")
@click.option("--all-forms", is_flag=True, help="All 15,625 cells as stored, dead edges included, not the 9,445 reachable ones.")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Decides sample, inputs and initial weights.")
@click.option("--images", type=_FOLDER, help="Folder with one folder of pictures a class: a real batch for proxies with a loss.")
@click.option("--batch", type=click.IntRange(1), default=64, show_default=True, help="Samples a score is computed on.")
@click.option("--repeats", type=click.IntRange(1), default=1, show_default=True, help="Initialisations to average over.")
@click.option("--probes", type=click.IntRange(1), help="Random probes a sample for vkdnw, instead of the exact Fisher matrix.")
@click.option("--out", type=_FOLDER, help="Run folder to create. Default: runs/nasbench201-<dataset>-<seed>.")
@resume_options
@pool_options
@judge_options
@click.pass_context
@own_proxies_option
def nasbench201(context: click.Context, /, data: Path, resume: Path | None, as_json: bool, **options: Any) -> None:
    """Rank the networks of NAS-Bench-201 by every proxy, and hold the rankings against real accuracies.

    DIR/nb201_accuracies.csv has the columns index, arch_str, cifar10, cifar100, imagenet16_120 (percent). Where
    DIR/nb201_zero_cost_scores_9445.csv lies beside it, our scores are compared with those published ones, too.

    \b
    uninas bench nasbench201 --data DIR --sample 1500 --out runs/c10
    uninas bench nasbench201 --data DIR --dataset imagenet16_120 --proxies vkdnw_agg,az_nas --sample 1500
    uninas bench nasbench201 --data DIR --resume runs/c10 --sample 3000 --proxies zico

    The run folder holds settings.json, journal.jsonl (every score), scores.csv, results.json and report.html. Ctrl-C stops in
    good order, and the run can be resumed; so can it after a crash.
    """
    from search.bench.benchmarks import nasbench201 as bench

    if resume is not None:
        refuse_given(context, _FIXED)
    finish(*bench.bench(data, resume, view=view(), pool=pool_of(options), **options), as_json)


@command.command("timm")
@click.option("--data", "data", type=_FOLDER, required=True, help="CSV with columns model, img_size, top1.")
@click.option("--proxies", help="Names, separated by commas. Default: all but linear_regions.")
@click.option("--families", help="Regular expression that a family's name must hold: ^regnet, fb_in1k. Default: all families.")
@click.option("--max-macs", type=Number(0, min_open=True), default=8e9, show_default=True, help="Of one sample.")
@click.option("--batch", type=click.IntRange(1), default=8, show_default=True, help="Samples a score is computed on.")
@click.option("--size", type=click.IntRange(1), help="Pixels of every input. Default: what each network was trained at.")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Decides inputs and initial weights.")
@click.option("--repeats", type=click.IntRange(1), default=1, show_default=True, help="Initialisations to average over.")
@click.option("--probes", type=click.IntRange(1), help="Random probes a sample for vkdnw, instead of the exact Fisher matrix.")
@click.option("--out", type=_FOLDER, help="Run folder to create. Default: runs/timm-<seed>.")
@resume_options
@pool_options
@judge_options
@click.pass_context
@own_proxies_option
def timm(context: click.Context, /, data: Path, resume: Path | None, as_json: bool, **options: Any) -> None:
    """Rank real ImageNet networks by every proxy, within families that one recipe trained.

    A family is a module of timm and a tag, such as regnet.pycls_in1k, with ten or more members. Networks are built without
    weights, and nothing is downloaded. The CSV is timm's results-imagenet.csv, or one like it.

    \b
    uninas bench timm --data results-imagenet.csv --families ^regnet.pycls --proxies vkdnw_agg,synflow --probes 8
    uninas bench timm --data results-imagenet.csv --max-macs 2e9 --out runs/timm
    uninas bench timm --data results-imagenet.csv --resume runs/timm --proxies zico
    """
    from search.bench.benchmarks import timm_models

    if resume is not None:
        refuse_given(context, ("families", "max_macs", "batch", "size", "seed", "repeats", "probes", "out"))
    if options.pop("top") is not None:
        raise InputError("--top: expected not to be given: families have different sizes, each has its own P")
    finish(*timm_models.bench(data, resume, view=view(), pool=pool_of(options), **options), as_json)


@command.command("ablation")
@click.argument("name", type=click.Choice(["fim_size", "weights", "batch_input", "subsets", "aleph", "ssnr_log"]))
@click.argument("run", type=_FOLDER, required=False)
@click.option("--data", "data", type=_FOLDER, help="Folder with nb201_accuracies.csv; for the ablations that score.")
@click.option(
    "--dataset",
    type=click.Choice(["cifar10", "cifar100", "imagenet16_120"]),
    default="imagenet16_120",
    show_default=True,
    help="Whose accuracies judge.",
)
@click.option("--sample", type=click.IntRange(2), help="So many networks, drawn by the seed. Default: all.")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Decides sample, inputs and initial weights.")
@click.option("--images", type=_FOLDER, help="Folder with one folder of pictures a class: the real input of batch_input.")
@click.option("--batch", type=click.IntRange(1), default=64, show_default=True, help="Samples; batch_input has its own.")
@click.option("--probes", type=click.IntRange(1), help="Random probes a sample, instead of the exact Fisher matrix.")
@click.option("--out", type=_FOLDER, help="Folder to create. Default: runs/ablation-<name>-<dataset>-<seed>, or <run>-<name>.")
@click.option("--resume", "resume", type=_FOLDER, help="Run folder to take up; --sample may then ask for more.")
@pool_options
@judge_options
@click.pass_context
def ablation(context: click.Context, /, name: str, run: Path | None, as_json: bool, **options: Any) -> None:
    """Repeat an ablation of the papers on NAS-Bench-201.

    \b
    fim_size     how many layers give a weight to the Fisher matrix (VKDNW, Table VII)
    weights      which weights of a layer, and how many (Table VIII)
    batch_input  batch size, random against real input (Table V)
    subsets      all 31 subsets of VKDNW_agg's components (Table IX); of RUN's scores
    aleph        correlation with the number of layers (Table IV); of RUN's scores
    ssnr_log     the logarithm in SSNR (T-CET, Table A.1); of RUN's scores

    The first three score networks: give --data. The last three judge what RUN, a folder of `uninas bench nasbench201`, holds.

    \b
    uninas bench ablation fim_size --data DIR --sample 500
    uninas bench ablation subsets runs/nasbench201-imagenet16_120-0
    """
    from search.bench.benchmarks import ablation as ablations

    data = options.pop("data")
    if name in ablations.FROM_RUN:
        if run is None:
            raise InputError(f"ablation {name}: expected the folder of a run of nasbench201 behind it; got none")
        refuse_given(context, ("data", "dataset", "sample", "seed", "images", "batch", "probes", "resume"), f"with {name}")
        judged = {key: options[key] for key in ("out", "resamples", "top")}
        finish(*ablations.from_run(name, run, **judged), as_json)
        return
    if run is not None or data is None:
        raise InputError(f"ablation {name}: expected --data DIR and no run: it scores networks")
    if options["resume"] is not None:
        refuse_given(context, ("dataset", "seed", "images", "batch", "probes", "out"))
    if name == "batch_input":
        refuse_given(context, ("batch",), "with batch_input, which varies it")
    finish(*ablations.bench(name, data, view=view(), pool=pool_of(options), **options), as_json)


@command.command("choose")
@click.argument("runs", type=_FOLDER, nargs=-1, required=True)
@click.option("--timm", "timm_run", type=_FOLDER, metavar="RUN", help="Folder of a run of timm: the chosen set is shown on it.")
@click.option("--components", metavar="A,B", help="Proxies to choose from. Default: all that every run has scored.")
@click.option("--largest", type=click.IntRange(1, 6), default=5, show_default=True, help="Components of a set, at most.")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Decides the halves and all draws.")
@click.option(
    "--resamples", type=click.IntRange(10), default=1000, show_default=True, help="Bootstrap resamples of every interval."
)
@click.option(
    "--splits", type=click.IntRange(0), default=5, show_default=True, help="Further splits: how far the choice is stable."
)
@click.option("--out", type=_FOLDER, help="Folder to create. Default: runs/aggregate-<seed>.")
@click.option("--json", "as_json", is_flag=True, help="Print the results as one JSON object and nothing else.")
def choose(runs: tuple[Path, ...], timm_run: Path | None, as_json: bool, **options: Any) -> None:
    """Choose the product of ranks that beats VKDNW_agg most surely, on one half of the networks, and report it on the other.

    RUNS are judged runs of nasbench201, one a dataset, of the same networks, whose scores are read; nothing is scored. Every set
    of components is tried. `uninas bench results` makes a page of the folder.

    \b
    uninas bench choose runs/c10 runs/c100 runs/in16 --timm runs/timm --out runs/aggregate
    uninas bench choose runs/in16 --components jacov,synflow,flops --largest 2 --splits 0
    """
    from rich.console import Console

    from search.bench.choosing import choose as choosing

    folder, found = choosing.choose(runs, timm=timm_run, note=view().note, **options)
    if as_json:
        click.echo(json.dumps(found.as_dict(), allow_nan=False))
    else:
        choosing.show(found, Console(width=None if sys.stdout.isatty() else 130, markup=False, highlight=False).print)
    click.echo(f"{folder / choosing.FILE}", err=as_json)


@command.command("costs")
@click.argument("run", type=_FOLDER)
def costs(run: Path) -> None:
    """Measure what each proxy of RUN costs by itself, on the heaviest cell of NAS-Bench-201: time, and memory at the peak.

    Each proxy is scored in a fresh process, then all together; RUN keeps the figures in costs.json, for its pages.

    \b
    uninas bench costs runs/nasbench201-cifar10-0
    """
    from search.bench.benchmarks import nasbench201 as bench
    from search.bench.scoring import costs as costs_of
    from search.bench.scoring import own_files

    own_files.prepare(None, run)
    data = costs_of.measure(run, *bench.heaviest(run), note=view().note)
    names, ratio = costs_of.slowest(data)
    for row in sorted(data["rows"], key=lambda row: -(row["seconds"] or 0)):
        memory = "" if row["memory"] is None else f"{row['memory'] / 1e6:8.0f} MB"
        click.echo(f"{row['proxy']:20s} {'failed' if row['seconds'] is None else format(row['seconds'], '7.2f') + ' s'} {memory}")
    if ratio is not None:
        click.echo(f"all together {data['together']['seconds']:.2f} s: {ratio:.2f} times {', '.join(names)} alone")


@command.command("results")
@click.argument("runs", type=_FOLDER, nargs=-1, required=True)
@click.option("--out", type=_FOLDER, default=Path("docs/results"), show_default=True, help="Folder of the pages.")
def results(runs: tuple[Path, ...], out: Path) -> None:
    """Write the results pages: our figures beside the papers', from the folders of finished RUNS.

    \b
    uninas bench results runs/c10 runs/c100 runs/in16 runs/timm runs/ablation-fim_size --out docs/results
    """
    from search.bench.page import results_pages

    for path in results_pages(runs, out):
        click.echo(f"{path}")


def refuse_given(context: click.Context, names: tuple[str, ...], where: str = "with --resume") -> None:
    """Refuse options that have no effect: a resumed run keeps what it began with, or there is nothing that they decide."""
    for name in names:
        if context.get_parameter_source(name) is click.core.ParameterSource.COMMANDLINE:
            flag = f"--{name.replace('_', '-')}"
            why = ": the run keeps what it began with" if where == "with --resume" else ", where it has no effect"
            raise InputError(f"{flag}: expected not to be given {where}{why}")


def pool_of(options: dict[str, Any]) -> Any:
    """Take the pool's options out of `options` and make its configuration."""
    import os

    from search.config.schema import PoolConfig

    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    workers, kind, deadline = options.pop("workers"), options.pop("pool"), options.pop("deadline")
    if kind == "serial" and workers not in (None, 1):
        raise InputError(f"--workers: expected 1 with --pool serial; got {workers}")
    return PoolConfig(kind=kind, workers=workers or cores, deadline_s=deadline)


def view() -> Any:
    """Make the progress display, on stderr."""
    from rich.console import Console

    from search.monitor.progress import view_for

    return view_for(Console(stderr=True))


def finish(folder: Path, results: dict[str, Any], as_json: bool) -> None:
    """Print results as one JSON object, or as a table for people; then make the page: one that fails hides no result."""
    from rich.console import Console

    from search.bench.judging.finish import show
    from search.bench.page import write_page

    if as_json:
        click.echo(json.dumps(results, allow_nan=False))
    else:
        show(results, Console(width=None if sys.stdout.isatty() else 130).print)
    click.echo(f"{write_page(folder)}", err=as_json)
