"""A training step of our compiled CoAtNet beside the same network written by hand from timm's blocks, on one CPU thread.

    python -m benchmarks.training_step
    python -m benchmarks.training_step --batch 4 --rounds 20 --optimiser

The hand-written network is made of timm's LayerNorm2d, BatchNormAct2d, squeeze-and-excitation, Downsample2d, RelPosBias and its
attention with fused qkv and scaled_dot_product_attention. It has our parameters, one for one; the weights are copied, and the
outputs and gradients compared before anything is timed. Then both take training steps in turns (A B B A ...) in one process.
The time is CPU time of the process; the ratio is the median over rounds of ours / theirs.
"""

from __future__ import annotations

import argparse
import statistics
import time
from functools import partial

import torch
from torch import Tensor, nn

from benchmarks.page import command, publish, setting, table
from proxies.torchvision_repair import repair
from uninas import Architecture, canonicalise, cost, preset
from uninas.compile import build

repair()

import timm  # noqa: E402
from timm.layers import BatchNormAct2d, LayerNorm2d, RelPosBias, SEModule  # noqa: E402
from timm.models.maxxvit import Attention2d, Downsample2d  # noqa: E402

AIM = 1.05


class MBConv(nn.Module):
    """x = shortcut(x) + MBConv(norm(x)), expansion 4, depthwise 5x5, squeeze-and-excitation."""

    def __init__(self, channels: int, width: int, *, first: bool) -> None:
        super().__init__()
        middle, norm = 4 * width, partial(BatchNormAct2d, act_layer=nn.GELU)
        self.shortcut = Downsample2d(channels, width) if first else nn.Identity()
        self.norm = LayerNorm2d(channels)
        self.down = Downsample2d(channels, width) if first else nn.Identity()
        self.expand = nn.Conv2d(width, middle, 1)
        self.norm1 = norm(middle)
        self.depthwise = nn.Conv2d(middle, middle, 5, padding=2, groups=middle, bias=False)
        self.norm2 = norm(middle)
        self.gate = SEModule(middle, rd_channels=width, act_layer=nn.GELU)
        self.reduce = nn.Conv2d(middle, width, 1)
        self.norm3 = nn.BatchNorm2d(width)

    def forward(self, x: Tensor) -> Tensor:
        shortcut = self.shortcut(x)
        x = self.norm1(self.expand(self.down(self.norm(x))))
        x = self.gate(self.norm2(self.depthwise(x)))
        return shortcut + self.norm3(self.reduce(x))


class Mlp(nn.Module):
    """Expansion, LayerNorm, GELU, reduction."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.fc1, self.norm = nn.Conv2d(width, 4 * width, 1), LayerNorm2d(4 * width)
        self.act, self.fc2 = nn.GELU(), nn.Conv2d(4 * width, width, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc2(self.act(self.norm(self.fc1(x))))


class Transformer(nn.Module):
    """x = shortcut(x) + attention(norm1(x)); x = x + mlp(norm2(x))."""

    def __init__(self, channels: int, width: int, side: int, *, first: bool) -> None:
        super().__init__()
        self.shortcut = Downsample2d(channels, width) if first else nn.Identity()
        self.norm1 = LayerNorm2d(channels)
        self.down = Downsample2d(channels, width) if first else nn.Identity()
        table = partial(RelPosBias, window_size=(side, side))
        self.attention = Attention2d(width, dim_head=32, head_first=False, rel_pos_cls=table)
        self.norm2, self.mlp = LayerNorm2d(width), Mlp(width)

    def forward(self, x: Tensor) -> Tensor:
        x = self.shortcut(x) + self.attention(self.down(self.norm1(x)))
        return x + self.mlp(self.norm2(x))


class CoAtNet(nn.Module):
    """The preset, by hand."""

    def __init__(self, widths: tuple[int, ...], depths: tuple[int, ...], classes: int, size: int) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(3, 32, 3, stride=2, padding=1, bias=False), BatchNormAct2d(32, act_layer=nn.GELU),
            nn.Conv2d(32, 64, 3, padding=1, bias=False),
        )  # fmt: skip
        blocks: list[nn.Module] = []
        channels, side = 64, size // 2
        for stage, (width, depth) in enumerate(zip(widths, depths, strict=True)):
            side //= 2
            for number in range(depth):
                first = number == 0
                if stage < 2:
                    blocks.append(MBConv(channels, width, first=first))
                else:
                    blocks.append(Transformer(channels, width, side, first=first))
                channels = width
        self.blocks = nn.Sequential(*blocks)
        self.norm, self.head = LayerNorm2d(channels), nn.Linear(channels, classes)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.norm(self.blocks(self.stem(x))).mean((2, 3)))


def pairs(ours: nn.Module, theirs: nn.Module) -> list[tuple[Tensor, Tensor]]:
    """The parameters of both, one beside the other, by where they are; tables in our shape.

    Within a residual block ours lists the two sub-blocks after their norms, timm's attention the table after qkv: both go from
    input to output, so the order of modules is the same up to the projection of the first norm.
    """
    mine = [p for _, p in ours.named_parameters()]
    other: list[Tensor] = []
    for _, module in theirs.named_modules():
        if isinstance(module, RelPosBias):
            heads, (height, width) = module.relative_position_bias_table.shape[1], module.window_size
            other.append(module.relative_position_bias_table.detach().T.view(heads, 2 * height - 1, 2 * width - 1))
        else:
            other += list(module.parameters(recurse=False))
    if [p.shape for p in mine] != [p.shape for p in other]:
        raise SystemExit("the two networks do not have the same parameters: the comparison would be unfair")
    return list(zip(mine, other, strict=True))


def difference(one: Tensor, other: Tensor) -> float:
    return float((one - other).abs().max() / other.abs().max())


def compare(architecture: Architecture, theirs: CoAtNet, size: int) -> tuple[float, float]:
    """Largest relative differences of the logits and of the input's gradient, in float64, with the weights copied."""
    ours, theirs = build(architecture).double(), theirs.double()
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for mine, other in pairs(ours, theirs):
            mine.copy_(other)
            if mine.dim() == 3:  # tables start at about zero, where they would prove nothing
                mine.add_(torch.randn(mine.shape, generator=generator, dtype=torch.float64))
                other.copy_(mine)
    images = torch.randn(2, 3, size, size, generator=generator, dtype=torch.float64)
    made, gradients = [], []
    for module in (ours, theirs):
        x = images.clone().requires_grad_()
        logits = module(x)
        logits.square().sum().backward()
        assert x.grad is not None
        made.append(logits.detach())
        gradients.append(x.grad)
    theirs.zero_grad(set_to_none=True)
    theirs.float()
    return difference(*made), difference(*gradients)


class Trainer:
    """A network with its optimiser, if any."""

    def __init__(self, module: nn.Module, *, optimiser: bool) -> None:
        self.module = module.train()
        self.optimiser = torch.optim.SGD(module.parameters(), lr=1e-4, momentum=0.9) if optimiser else None
        self.seconds: list[float] = []

    def step(self, images: Tensor, labels: Tensor) -> None:
        """One timed step: forward, loss, backward, and the optimiser's."""
        self.module.zero_grad(set_to_none=True)
        started = time.process_time()
        nn.functional.cross_entropy(self.module(images), labels).backward()
        if self.optimiser is not None:
            self.optimiser.step()
        self.seconds.append(time.process_time() - started)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batch", type=int, default=2, help="images a step (default 2)")
    parser.add_argument("--size", type=int, default=224, help="side of the images in pixels, a multiple of 32 (default 224)")
    parser.add_argument("--rounds", type=int, default=15, help="timed steps of each network (default 15)")
    parser.add_argument("--optimiser", action="store_true", help="include a step of SGD with momentum")
    parser.add_argument("--profile", action="store_true", help="also print where ours spends its time, by operator")
    parser.add_argument("--write", action="store_true", help="keep the page as docs/benchmarks/training_step.md")
    options = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)

    architecture = canonicalise(preset("coatnet", input_size=(options.size, options.size)))
    theirs = CoAtNet(tuple(s.width for s in architecture.stages), (2, 3, 5, 2), 1000, options.size)
    logits_apart, gradients_apart = compare(architecture, theirs, options.size)
    ours = build(architecture)
    with torch.no_grad():
        for mine, other in pairs(ours, theirs):
            mine.copy_(other)
    params = sum(p.numel() for p in theirs.parameters())
    assert params == sum(p.numel() for p in ours.parameters()) == cost(architecture).params
    if max(logits_apart, gradients_apart) > 1e-8:
        raise SystemExit(f"the two networks differ: logits by {logits_apart:.1e}, gradients by {gradients_apart:.1e}")

    networks = {"ours, compiled": ours, "timm's blocks": theirs}
    trainers = {name: Trainer(module, optimiser=options.optimiser) for name, module in networks.items()}
    images, labels = torch.randn(options.batch, 3, options.size, options.size), torch.randint(1000, (options.batch,))
    for number in range(options.rounds + 2):
        order = list(trainers.values())
        for trainer in order if number % 2 else reversed(order):
            trainer.step(images, labels)
    rows = []
    for name, trainer in trainers.items():
        del trainer.seconds[:2]  # the first steps find out about memory and kernels
        ordered = sorted(trainer.seconds)
        quarter = len(ordered) // 4
        middle = f"{1e3 * ordered[quarter]:,.0f} to {1e3 * ordered[-1 - quarter]:,.0f}"
        rows.append([name, f"{1e3 * statistics.median(ordered):,.0f}", middle])
    both = [trainer.seconds for trainer in trainers.values()]
    ratio = statistics.median(a / b for a, b in zip(*both, strict=True))
    quickest = min(both[0]) / min(both[1])
    what = "Forward, loss, backward" + (", SGD" if options.optimiser else "")
    lines = [
        "# A training step on one CPU thread",
        "",
        f"CoAtNet (widths 96, 192, 384, 768; depths 2, 3, 5, 2; {params:,} parameters) at {options.size} pixels, batch",
        f"{options.batch}, float32. {what}; {options.rounds} steps each, in turns. With equal weights, in float64, the logits",
        f"differ by {logits_apart:.0e} and the input's gradients by {gradients_apart:.0e} of the largest.",
        "",
        table(["network", "median ms of CPU", "middle half"], rows),
        "",
        f"Ours / timm's: {ratio:.3f} (median of rounds), {quickest:.3f} (quickest steps); the aim is at most {AIM}.",
        "",
        setting(torch=torch.__version__, timm=timm.__version__),
        "",
        f"    {command()}",
    ]
    text = "\n".join(lines)
    publish(text, "training_step", write=options.write)
    if options.profile:
        for name, trainer in trainers.items():
            with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as profiler:
                trainer.step(images, labels)
            print(name)
            print(profiler.key_averages().table(sort_by="self_cpu_time_total", row_limit=20, max_name_column_width=40))


if __name__ == "__main__":
    main()
