"""What a user writes: checked by mypy --strict against the installed wheel, and run."""

from pathlib import Path

from torch import Tensor, nn

import proxies
import search
import uninas


@proxies.register("mine", meaning="how large its weights are")
def mine(network: nn.Module, batch: Tensor) -> float:
    """Sum the weights' sizes."""
    return float(sum(weight.detach().abs().sum() for weight in network.parameters()))


def main() -> None:
    """Cost, draw, build, score; then search, and report."""
    net: uninas.Architecture = uninas.load("mobilenetv2_100")
    figures: uninas.Cost = uninas.cost(net, size=(64, 64))
    macs: int = figures.macs
    drawing: str = uninas.draw(net, "net.svg")
    module: nn.Module = uninas.build(net, classes=10)
    scores = proxies.score(module, ["mine", "flops"], input_shape=(3, 64, 64), batch=2, seed=0)
    failed: list[str] = [name for name, value in scores.items() if isinstance(value, proxies.ProxyFailure)]
    overrides = ["evaluations=4", "window=2", "pool={kind: serial}", "baseline=false", "finalists.count=1", "finalists.seeds=1"]
    run: search.Run = search.run("demo", overrides, out=Path("run"))
    best: uninas.Architecture = run.best
    rows: int = len(run.table())
    page: Path = run.report()
    print(macs, len(drawing) > 1000, failed, best.digest[:12], rows, page.name)


if __name__ == "__main__":
    main()
