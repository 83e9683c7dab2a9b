"""Formulas of shapes: the Marchenko-Pastur integral against quadrature and random matrices, entropies by hand."""

from __future__ import annotations

import math
import subprocess
import sys

import numpy as np
import pytest
from scipy.integrate import quad

from proxies.formulas.matrices import WeightMatrix, depth_entropy, spectral_capacity, spectral_integral

SHAPES = [(40, 40, 0.05), (30, 90, 1 / 90), (90, 30, 2 / 120), (7, 500, 0.3), (1, 64, 2 / 64), (64, 1, 1.0)]


def density(x: float, ratio: float) -> float:
    """Of Marchenko and Pastur, for columns / rows = ratio <= 1, entries of variance 1 / rows."""
    low, high = (1 - math.sqrt(ratio)) ** 2, (1 + math.sqrt(ratio)) ** 2
    return math.sqrt(max(0.0, (high - x) * (x - low))) / (2 * math.pi * ratio * x)


@pytest.mark.parametrize(("rows", "columns", "variance"), SHAPES)
def test_the_closed_form_is_the_integral_of_the_law(rows: int, columns: int, variance: float) -> None:
    long, short = max(rows, columns), min(rows, columns)
    ratio, scale = short / long, variance * long
    ends = (1 - math.sqrt(ratio)) ** 2, (1 + math.sqrt(ratio)) ** 2
    expected = short * quad(lambda x: math.log1p(scale * x) * density(x, ratio), *ends, limit=200)[0]
    assert spectral_integral(rows, columns, variance) == pytest.approx(expected, rel=1e-6)
    assert spectral_integral(columns, rows, variance) == spectral_integral(rows, columns, variance)


@pytest.mark.parametrize(("rows", "columns", "variance"), [(120, 120, 1 / 60), (60, 180, 1 / 180), (180, 60, 2 / 240)])
def test_the_law_holds_for_random_matrices(rows: int, columns: int, variance: float) -> None:
    stream = np.random.default_rng(0)
    drawn = [stream.normal(size=(rows, columns)) * math.sqrt(variance) for _ in range(20)]
    mean = np.mean([np.log1p(np.linalg.svd(matrix, compute_uv=False) ** 2).sum() for matrix in drawn])
    assert spectral_integral(rows, columns, variance) == pytest.approx(mean, rel=5e-3)


def test_small_entries_give_the_sum_of_their_squares() -> None:
    assert spectral_integral(20, 50, 1e-9) == pytest.approx(20 * 50 * 1e-9, rel=1e-5)


def test_capacity_adds_groups_and_tells_pointwise_maps_from_others() -> None:
    dense, wide = WeightMatrix(6, 4, 1, True, 60), WeightMatrix(6, 36, 1, False, 60)
    grouped = WeightMatrix(6, 9, 3, False, 60)
    assert spectral_capacity([dense]) == spectral_integral(6, 4, 2 / 10)
    assert spectral_capacity([wide]) == spectral_integral(6, 36, 2 / 36)
    assert spectral_capacity([grouped]) == pytest.approx(3 * spectral_integral(2, 9, 2 / 9))
    assert spectral_capacity([dense, wide, grouped]) == pytest.approx(sum(spectral_capacity([m]) for m in (dense, wide, grouped)))
    assert spectral_capacity([]) == 0.0


def test_the_entropy_of_two_layers_by_hand() -> None:
    first, second = WeightMatrix(8, 27, 1, False, 8 * 16), WeightMatrix(10, 8, 1, True, 10 * 4)
    assert depth_entropy([first, second]) == pytest.approx(math.log(40) * (math.log(27) + math.log(8)))
    pooled = WeightMatrix(12, 10, 1, True, 12)  # behind global pooling: it is no last map
    assert depth_entropy([first, second, pooled]) == pytest.approx(math.log(40) * (math.log(27) + math.log(8) + math.log(10)))
    assert depth_entropy([pooled]) == pytest.approx(math.log(12) * math.log(10))
    assert depth_entropy([]) == 0.0


def test_the_formulas_need_no_torch() -> None:
    program = "import sys, proxies.formulas.matrices\nassert not {'torch', 'numpy'} & set(sys.modules)"
    assert subprocess.run([sys.executable, "-P", "-c", program], check=False).returncode == 0
