"""`uninas score`: zero-cost (training-free) scores of one architecture."""

from __future__ import annotations

import difflib
import json
from pathlib import Path
from typing import Any

import click

from uninas.commands.completion import architectures
from uninas.commands.options import Size
from uninas.errors import InputError
from uninas.runtime.terminal import say


@click.command("score")
@click.argument("arch", shell_complete=architectures)
@click.option("--proxies", "names", required=True, help="Names of proxies, separated by commas: vkdnw,jacov,flops; or all.")
@click.option(
    "--proxies-file",
    type=click.Path(path_type=Path),
    metavar="FILE.py",
    help="Python file that registers proxies of your own with @proxies.register. It runs as code.",
)
@click.option("--size", type=Size(), help="Input size in pixels, height x width. Default: the architecture's reference size.")
@click.option("--batch", type=click.IntRange(1), default=64, show_default=True, help="Images a score is computed on.")
@click.option("--classes", type=click.IntRange(1), help="Outputs of the network. Default: the architecture's.")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Decides input and initial weights.")
@click.option("--repeats", type=click.IntRange(1), default=1, show_default=True, help="Initialisations to average over.")
@click.option("--device", default="cpu", show_default=True, help="A torch device, such as cpu or cuda:0.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object and nothing else.")
def command(
    arch: str,
    names: str,
    proxies_file: Path | None,
    size: tuple[int, int] | None,
    batch: int,
    classes: int | None,
    seed: int,
    repeats: int,
    device: str,
    as_json: bool,
) -> None:
    """Score ARCH without training: freshly initialised weights, random input, no labels.

    ARCH is a preset (resnet, efficientnet, vit, coatnet; published networks by timm's names, such as convnext_tiny), an
    architecture file, a run folder, the reference's JSON, or a point of a published space, SPACE:TEXT such as nasbench201:CELL
    (see `uninas space`). vkdnw_single is printed as aleph + VKDNW / ln 9.

    \b
    uninas score coatnet --proxies vkdnw,flops --batch 8
    uninas score runs/demo-0/best.json --proxies vkdnw,jacov,expressivity --repeats 4 --json
    uninas score coatnet --proxies mine,flops --proxies-file my_scores.py
    """
    import uninas
    from search.workers.job import Job

    if proxies_file is not None:
        from search.workers import own_proxies

        own_proxies.load(proxies_file)
    architecture = uninas.canonicalise(uninas.load(arch))
    wanted = _wanted(names)
    _check(wanted, device)
    outcome = _evaluate(
        Job(
            digest=architecture.digest,
            architecture=uninas.to_text(architecture),
            size=size or architecture.input_size,
            classes=architecture.classes if classes is None else classes,
            batch=batch,
            repeats=repeats,
            seed=seed,
            proxies=wanted,
        ),
        device,
    )
    if outcome.reason is not None and not outcome.scores:
        scores: dict[str, Any] = {name: {"failed": outcome.reason} for name in wanted}
    else:
        scores = dict(outcome.scores)
    if as_json:
        say(json.dumps({"digest": architecture.digest, "seed": seed, "scores": scores}, allow_nan=False))
        return
    say(f"{arch}  digest {architecture.digest[:12]}  seed {seed}")
    width = max(len(name) for name in wanted)
    for name, value in scores.items():
        say(f"  {name:<{width}}  {value['failed'] if isinstance(value, dict) else format(value, '.6g')}")


def _wanted(names: str) -> tuple[str, ...]:
    if names.strip() == "all":
        from proxies import PROXIES

        return tuple(PROXIES)
    return tuple(dict.fromkeys(name.strip() for name in names.split(",") if name.strip()))


def _check(wanted: tuple[str, ...], device: str) -> None:
    """Refuse unknown proxies and devices before any work."""
    from proxies import PROXIES
    from uninas.runtime.device import device_of

    if not wanted:
        raise InputError("--proxies: expected at least one name; got none")
    for name in wanted:
        if name not in PROXIES:
            near = difflib.get_close_matches(name, PROXIES, 1, cutoff=0.4)
            hint = f", nearest is '{near[0]}'" if near else ""
            raise InputError(f"--proxies: expected some of {', '.join(PROXIES)}; got '{name}'{hint}")
    device_of(device)


def _evaluate(job: Any, device: str) -> Any:
    from search.workers import evaluate

    evaluate.prepare(device)
    return evaluate.evaluate(job, device)
