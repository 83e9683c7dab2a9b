"""`uninas cost`: what an architecture costs, without torch."""

from __future__ import annotations

import json

import click

from uninas.commands.completion import architectures
from uninas.commands.options import Size
from uninas.runtime.terminal import say


@click.command("cost")
@click.argument("arch", shell_complete=architectures)
@click.option("--size", type=Size(), help="Input size in pixels, height x width. Default: the architecture's reference size.")
@click.option(
    "--classes",
    type=click.IntRange(0),
    help="Number of classes; 0 leaves the head out (a backbone). Default: the architecture's.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object and nothing else.")
def command(arch: str, size: tuple[int, int] | None, classes: int | None, as_json: bool) -> None:
    """Print the parameters, MACs, layers and memory of ARCH, exactly and at any input size.

    ARCH is a preset (resnet, efficientnet, vit, coatnet; published networks by timm's names, such as convnext_tiny), an
    architecture file, a run folder, a JSON file of the UniNAS reference implementation, or a point of a published space,
    SPACE:TEXT such as nasbench201:CELL (see `uninas space`). One MAC is one multiply-add of a convolution, linear layer or
    attention product; papers often print 2 x MACs as FLOPs.

    \b
    uninas cost coatnet
    uninas cost coatnet --size 800x1280 --classes 0
    uninas cost runs/demo/best.json --json
    """
    from uninas.analysis.cost import cost
    from uninas.analysis.degenerate import warnings_of
    from uninas.source import load

    architecture = load(arch)
    figures = cost(architecture, size, classes)
    if as_json:
        say(json.dumps({**figures.as_dict(), "trainable_params": figures.trainable_params}))
        return
    height, width = size or architecture.input_size
    outputs = architecture.classes if classes is None else classes
    rows = [
        ("params", f"{figures.params:,}", f"{figures.params / 1e6:.2f} M"),
        ("trainable params", f"{figures.trainable_params:,}", "can receive a gradient"),
        ("MACs", f"{figures.macs:,}", f"{figures.macs / 1e9:.3f} G, 2 x MACs {2 * figures.macs / 1e9:.2f} G"),
        ("layers", f"{figures.layers:,}", "convolutions and linear layers"),
        (
            "activations",
            f"{figures.activation_bytes:,}",
            f"bytes, float32, batch 1 ({figures.activation_bytes / 2**20:.1f} MiB)",
        ),
        ("attention tokens", f"{figures.attention_tokens:,}", "side of the largest attention map"),
    ]
    say(f"{arch} at {height}x{width}, {f'{outputs} classes' if outputs else 'without head'}")
    for name, value, note in rows:
        say(f"  {name:<17}{value:>17}  {note}")
    for warning in warnings_of(architecture):
        say(f"warning: {warning}", err=True)
