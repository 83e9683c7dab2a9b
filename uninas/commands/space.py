"""`uninas space`: what a categorical space holds, without torch."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import click

from uninas.commands.options import Size
from uninas.runtime.terminal import say


@click.command("space")
@click.argument("space", required=False, metavar="[SPACE]")
@click.option("--samples", type=click.IntRange(1), default=100, show_default=True, help="How many networks to sample.")
@click.option("--size", type=Size(), help="Input size in pixels, height x width. Default: the space's own.")
@click.option("--classes", type=click.IntRange(1), help="Number of classes. Default: the space's own.")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Seed of the samples.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object and nothing else.")
def command(space: str | None, samples: int, size: tuple[int, int] | None, classes: int | None, seed: int, as_json: bool) -> None:
    """Sample networks of SPACE and report what they cost; without SPACE, list the published spaces.

    SPACE is a published space, or a Python file that defines one as SPACE, to try before a search. Such a file runs as code.
    Networks are canonical, as in a search, and no budget applies. Legal samples that cannot be built are counted; a search skips
    them. See docs/guides/spaces.md.

    \b
    uninas space
    uninas space mobilenetv2
    uninas space docs/examples/my_space.py --samples 20
    uninas show "nats_bench_size:8:16:32:48:64"
    """
    from uninas.errors import InputError
    from uninas.spaces import SPACES, own

    if space is None:
        given = click.get_current_context().get_parameter_source
        idle = [
            f"--{name}"
            for name in ("samples", "size", "classes", "seed")
            if given(name) is click.core.ParameterSource.COMMANDLINE
        ]
        if idle:
            raise InputError(
                f"expected a SPACE with {', '.join(idle)}, got none: without a SPACE the published spaces are listed"
            )
        _list(as_json)
        return
    if space not in SPACES and not space.endswith(".py"):
        raise InputError(f"expected a space ({', '.join(SPACES)}) or a Python file that defines SPACE, got {space[:200]!r}")
    chosen = SPACES[space] if space in SPACES else own.load(Path(space))
    height, width = size or chosen.input_size
    outputs = classes or chosen.classes
    found = _sample(chosen, samples, random.Random(seed), (height, width), outputs)
    if as_json:
        say(json.dumps(found))
        return
    say(f"{chosen.name} at {height}x{width}, {outputs} classes: {_count(chosen.size)}")
    say(f"  start            {chosen.text(chosen.start())}")
    say(f"  {found['samples']} samples, {found['distinct']} distinct networks")
    if found["unbuilt"]:
        say(f"  {found['unbuilt']} cannot be built; {found['first_unbuilt']}")
    say(f"  {'':<17}{'least':>18}{'median':>18}{'most':>18}{'start':>18}")
    for name, row in found["cost"].items():
        say(f"  {name:<17}" + "".join(f"{row[column]:>18,}" for column in ("least", "median", "most", "start")))


def _list(as_json: bool) -> None:
    from uninas.spaces import SPACES

    if as_json:
        rows = {
            name: {"size": space.size, "classes": space.classes, "input_size": list(space.input_size)}
            for name, space in SPACES.items()
        }
        say(json.dumps(rows))
        return
    for name, space in SPACES.items():
        height, width = space.input_size
        say(f"{name:<18}{_count(space.size):<22}{height}x{width}, {space.classes} classes")


def _sample(space: Any, samples: int, rng: random.Random, size: tuple[int, int], classes: int) -> dict[str, Any]:
    """Count the costs of the start and of samples, how many networks differ, and how many legal genotypes cannot be built.

    Raises InputError where the start cannot be built, or no sample.
    """
    from uninas.analysis.cost import cost
    from uninas.errors import InputError
    from uninas.spaces.choices import Unbuildable, canonical_network

    def counted(genotype: Any) -> tuple[str, dict[str, int]]:
        network = canonical_network(space, genotype, classes, size)
        return network.digest, cost(network, size).as_dict()

    _, start = counted(space.start())
    sampled, unbuilt = [], []
    for _ in range(samples):
        try:
            sampled.append(counted(space.sample(rng)))
        except Unbuildable as error:
            unbuilt.append(str(error))
    if not sampled:
        raise InputError(f"{space.name}: expected a network among {samples} samples, got none that can be built: {unbuilt[0]}")
    rows = {}
    for name in ("params", "macs", "layers", "attention_tokens"):
        values = sorted(figures[name] for _, figures in sampled)
        rows[name] = {"least": values[0], "median": values[len(values) // 2], "most": values[-1], "start": start[name]}
    distinct = len({digest for digest, _ in sampled})
    found = {"name": space.name, "size": space.size, "samples": samples, "distinct": distinct, "unbuilt": len(unbuilt)}
    return {**found, "first_unbuilt": unbuilt[0] if unbuilt else None, "cost": rows}


def _count(size: int | None) -> str:
    if size is None:
        return "size unknown"
    return f"{size:,} genotypes" if size < 10**13 else f"{size:.3g} genotypes"
