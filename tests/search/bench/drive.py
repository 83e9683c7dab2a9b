"""A bench in a process of its own, to be killed by tests: python -m tests.search.bench.drive DATA begin|resume RUN [SAMPLE]."""

from pathlib import Path

from search.bench.benchmarks import nasbench201
from search.config.schema import PoolConfig
from search.monitor.progress import PlainView
from tests.search.bench.fakes import fake_pool
from tests.search.drive import misbehave, run_main


def main(data: str, action: str, run: str, die_writing: str = "0") -> None:
    if int(die_writing):
        misbehave({"die_writing": int(die_writing)})
    view = PlainView(lambda text: print(text, flush=True), clock=lambda: 0.0)
    pool = PoolConfig(kind="serial")
    if action == "begin":
        nasbench201.bench(
            Path(data), pool=pool, view=view, proxies="flops,zico", sample=30, resamples=20, out=Path(run), pool_maker=fake_pool
        )
    else:
        nasbench201.bench(Path(data), Path(run), pool=pool, view=view, pool_maker=fake_pool)


if __name__ == "__main__":
    run_main(main)
