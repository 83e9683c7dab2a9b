"""What a configuration says to no effect is told; what the shipped ones say has one."""

from __future__ import annotations

import random

import pytest

import uninas
from search.algorithms import ALGORITHMS
from search.config import loading
from search.config.plan import SearchPlan
from search.config.schema import PoolConfig
from search.config.warnings import cores_warnings, warnings
from search.spaces.from_config import from_config
from tests.search.conftest import ROOT
from uninas.errors import InputError

SHIPPED = sorted((ROOT / "configs" / "search").glob("*.yaml"))


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (
            ["space.sampler=grammar", "space.random_edits=4"],
            "no effect of space.sampler and space.random_edits: evolution without",
        ),
        (
            ["pool.kind=serial", "pool.workers=4", "pool.address=auto"],
            "no effect of pool.workers and pool.address: pool.kind serial",
        ),
        (["pool.kind=serial", "pool.workers=1", "pool.deadline_s=9"], None),
        (["space.sampler=grammar", "baseline=true"], None),
        (["space.sampler=grammar", "algorithm=aging_evolution", "algorithm_options={tournament: 3}"], None),
        (["space.sampler=grammar", "algorithm=random", "algorithm_options={}"], None),
        (["space.prior={crossover: 9, insert: 2}"], "no effect of space.prior.crossover: algorithm_options.crossover is 0"),
        (["space.prior={crossover: 9}", "algorithm_options.crossover=0.2"], None),
        (["space.prior={crossover: 0}"], None),
        (
            ["objective=t_cet_snip", "proxies.smoothing=0.3"],
            "no effect of proxies.smoothing: t_cet_snip has no score of a Fisher",
        ),
        (["objective=vkdnw", "proxies.smoothing=0.3"], None),
    ],
)
def test_what_has_no_effect_is_told(given: list[str], said: str | None) -> None:
    found = SearchPlan.resolve(loading.load(ROOT / "configs" / "search" / "demo.yaml", ["baseline=false", *given])).warnings
    assert (
        [warning for warning in found if "no effect" in warning] == []
        if said is None
        else [warning for warning in found if said in warning]
    )
    assert said is None or any(said in warning for warning in found)


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_all_that_the_shipped_configurations_say_has_an_effect(path: object) -> None:
    assert [warning for warning in SearchPlan.resolve(loading.load(path)).warnings if "no effect" in warning] == []  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (
            "classes: 10\nbatch: 2",
            "a batch of 2 with 10 classes gives no vkdnw to networks of more than 90 layers: 3 images are enough",
        ),
        ("classes: 10\nbatch: 3", None),
        ("classes: 10\nbatch: 2\nbudget: {layers: 90}", None),
        ("classes: 10\nbatch: 2\nobjective: jacov", None),
        ("classes: 10\nbatch: 2\nproxies: {options: {vkdnw: {weights: 64}}}", None),
        (
            "classes: 10\nbatch: 8\nproxies: {probes: 2}",
            "a batch of 8 with 10 classes gives no vkdnw to networks of more than 80",
        ),
        ("classes: 1\nobjective: naswot", None),
    ],
)
def test_what_large_networks_cannot_have_is_told(given: str, said: str | None) -> None:
    found = [line for line in warnings(loading.parse(f"space: vit\n{given}"), timed=False) if "gives no" in line]
    assert found == [] if said is None else said in found[0]


def test_the_papers_search_keeps_what_the_papers_space_holds_fixed() -> None:
    """Frame, depths, widths, kernels, inner ratios, groups and head sizes, after as many edits as one likes."""
    settings = loading.load(ROOT / "configs" / "search" / "uninas_30m.yaml")
    space, rng = from_config(settings), random.Random(0)
    current = start = space.starts()[0]
    for _ in range(400):
        child = space.mutate(current, rng)
        current = current if not hasattr(child, "body") else child  # type: ignore[assignment]
    assert current.digest != start.digest
    one, other = start.body, current.body
    assert (other.stem, other.head) == (one.stem, one.head)
    for here, there in zip(one.stages, other.stages, strict=True):
        assert (there.width, len(there.blocks), there.transition) == (here.width, len(here.blocks), here.transition)
    made = {
        node.op.text
        for stage in other.stages
        for block in stage.blocks
        for graph in block.subblocks
        if graph is not None
        for node in graph.nodes
        if node.op.name in ("conv", "matmul_qk")
    }
    known = {
        "conv(kernel=1)",
        "conv(kernel=3)",
        "conv(kernel=3, groups=depthwise, bias=false)",
        "conv(kernel=5, groups=depthwise, bias=false)",
        "matmul_qk(head_dim=32)",
    }
    ratios = {uninas.parse_op(text).values.get("ratio") for text in made - known}
    assert all(uninas.parse_op(text).values["kernel"] in (1, 3, 5) for text in made - known)
    assert {str(ratio) for ratio in ratios} <= {"3", "4", "1/4", "2", "1/2"}


def test_a_former_name_of_an_option_works_and_is_said() -> None:
    """The stored configuration keeps the name that was written, so that a run of before is resumed."""
    text = "space: vit\nalgorithm: evolution\nalgorithm_options: {niche: 2}\n"
    config = loading.parse(text)
    assert config.algorithm_options == {"niche": 2}
    assert any("algorithm_options.niche is called max_per_niche now" in line for line in warnings(config, timed=False))
    assert ALGORITHMS["evolution"].current(config.algorithm_options) == {"max_per_niche": 2}
    with pytest.raises(InputError, match="evolution knows population, crossover, max_per_niche, largest_stride; got 'niche'"):
        loading.parse(text.replace("{niche: 2}", "{niche: 2, max_per_niche: 2}"))


@pytest.mark.parametrize(
    ("pool", "warned"),
    [
        (PoolConfig(workers=64), True),
        (PoolConfig(workers=2), False),
        (PoolConfig(workers=64, gpus_per_worker=0.5), False),  # each waits for its GPU
        (PoolConfig(workers=64, address="auto"), False),  # of a cluster, whose cores this process does not know
        (PoolConfig(workers=64, kind="serial"), False),  # another warning says that workers have no effect there
    ],
)
def test_more_workers_than_cores_are_told_where_ray_is_started_here(pool: PoolConfig, warned: bool) -> None:
    found = cores_warnings(pool, cores=2)
    assert len(found) == warned
    assert all(said.startswith("warning: pool.workers is 64, and this process may use 2 processor cores") for said in found)
