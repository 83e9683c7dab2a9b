"""Presets that fill a budget: within it, filled well, and like themselves."""

from __future__ import annotations

import pytest

from uninas import PRESETS, InputError, cost
from uninas.networks.fitted import fitted

BUDGET = {"params": 600_000, "macs": 13_000_000, "layers": 48}


@pytest.mark.parametrize("name", PRESETS)
def test_both_bounds_are_filled_and_kept(name: str) -> None:
    made = cost(fitted(name, BUDGET, classes=10, input_size=(64, 64))).as_dict()
    assert all(made[key] <= bound for key, bound in BUDGET.items())
    assert made["params"] >= 0.92 * BUDGET["params"]
    assert made["macs"] >= 0.92 * BUDGET["macs"]


def test_no_step_of_one_width_fills_better() -> None:
    found = fitted("resnet", BUDGET, classes=10, input_size=(64, 64))
    widths, depths = [stage.width for stage in found.stages], [len(stage.blocks) for stage in found.stages]

    def filled(widths: list[int]) -> float:
        from uninas import preset

        assert isinstance(found.stem, tuple)
        made = cost(preset("resnet", widths=widths, depths=depths, stem=found.stem, classes=10, input_size=(64, 64))).as_dict()
        within = all(made[key] <= bound for key, bound in BUDGET.items())
        return min(made[key] / BUDGET[key] for key in ("params", "macs")) if within else -1.0

    here = filled(widths)
    for place in range(4):
        for step in (-8, 8):
            near = [width + step * (place == number) for number, width in enumerate(widths)]
            assert filled(near) <= here


def test_a_large_budget_and_a_budget_too_small() -> None:
    made = cost(fitted("efficientnet", {"params": 30_000_000, "macs": 4_500_000_000}, classes=1000, input_size=(224, 224)))
    assert 27_000_000 <= made.params <= 30_000_000
    assert 4_050_000_000 <= made.macs <= 4_500_000_000
    with pytest.raises(InputError, match="expected a budget that its smallest widths are within; got params 1,000, macs 1,000"):
        fitted("vit", {"params": 1000, "macs": 1000}, classes=10, input_size=(64, 64))
    with pytest.raises(InputError, match="expected a preset"):
        fitted("resnet50", BUDGET, classes=10, input_size=(64, 64))
