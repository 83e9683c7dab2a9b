"""Scores on the device beside the CPU's, and beside themselves: a handful of networks, every proxy of the table."""

from __future__ import annotations

import multiprocessing
from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor

import torch

import proxies
import uninas
from benchmarks.gpu.networks import various
from benchmarks.gpu.steps import Bench
from proxies.table import TABLE
from search.workers import evaluate

__all__ = ["ROUNDING", "agree", "apart", "determinism", "scores"]

EXACT = 1e-6  # relative, in float64: the same computation, summed in another order
ROUGH = 1e-2  # in float32
ROUNDING = 4  # .. or so many times what float32 itself differs from float64 on the CPU

Value = float | proxies.ProxyFailure


def scored(architecture: uninas.Architecture, *, device: str, toy: bool, double: bool = False) -> dict[str, Value]:
    """Score a network by every proxy of the table."""
    return proxies.score(
        uninas.build(architecture),
        list(TABLE),
        input_shape=(architecture.in_channels, *architecture.input_size),
        batch=4 if toy else 8,
        device=device,
        dtype=torch.float64 if double else torch.float32,
    )


def scores(bench: Bench) -> None:
    """Score each network four times: on the CPU and on the device, in float64 and in float32; a row for each proxy."""
    evaluate.prepare(bench.device)
    for name, architecture in various(bench.toy).items():
        with bench.part(name):
            found = {
                (place, double): scored(architecture, device=place, toy=bench.toy, double=double)
                for double in (True, False)
                for place in dict.fromkeys(("cpu", bench.device))
            }
            for proxy in TABLE:
                values = {key: some[proxy] for key, some in found.items()}
                exact, expected = values["cpu", True], values["cpu", False]
                got, rough = values[bench.device, True], values[bench.device, False]
                bench.row(
                    f"{name}, {proxy}",
                    ok=agree(exact, expected, got, rough),
                    proxy=proxy,
                    network=name,
                    float64=apart(exact, got),
                    float32=apart(expected, rough),
                    cpu_rounding=apart(exact, expected),
                    values={
                        f"{place} {'float64' if double else 'float32'}": told(one) for (place, double), one in values.items()
                    },
                )


def agree(exact: Value, expected: Value, got: Value, rough: Value) -> bool:
    """Whether a device's values in float64 and float32 (`got`, `rough`) are the CPU's (`exact`, `expected`) within tolerance."""
    return apart(exact, got) <= EXACT and apart(expected, rough) <= max(ROUGH, ROUNDING * apart(exact, expected))


def apart(one: Value, other: Value) -> float:
    """Give the relative difference of two values; 0 for two failures of one reason, infinity for a failure and a number."""
    if isinstance(one, proxies.ProxyFailure) or isinstance(other, proxies.ProxyFailure):
        return 0.0 if getattr(one, "reason", "a number") == getattr(other, "reason", "a number") else float("inf")
    return 0.0 if one == other else abs(one - other) / max(abs(one), abs(other))


def told(value: Value) -> float | str:
    """Give a value as JSON-able data."""
    return str(value) if isinstance(value, proxies.ProxyFailure) else value


def determinism(bench: Bench) -> None:
    """Score each network twice in this process, and once in a fresh one, which works meanwhile."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        fresh = {name: pool.submit(_all, name, bench.device, bench.toy) for name in various(bench.toy)}
        for name, other in fresh.items():
            with bench.part(name):
                rounds = [_all(name, bench.device, bench.toy) for _ in range(2)]
                rounds.append(other.result(max(1.0, bench.left())))
                differ = unequal(rounds)
                bench.row(name, ok=not differ, differ=differ, proxies=len(TABLE))


def unequal(rounds: list[dict[str, float | str]]) -> Mapping[str, list[float | str]]:
    """Give the values of the proxies that are not the same in all rounds: twice in one process, then in another."""
    return {name: [one[name] for one in rounds] for name in rounds[0] if len({one[name] for one in rounds}) > 1}


def _all(name: str, device: str, toy: bool) -> dict[str, float | str]:
    evaluate.prepare(device)
    return {proxy: told(value) for proxy, value in scored(various(toy)[name], device=device, toy=toy).items()}
