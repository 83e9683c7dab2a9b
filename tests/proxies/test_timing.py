"""The timed loop: how often it runs, under what conditions, and that it leaves nothing behind. No test asserts a duration."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from proxies import PRECISIONS, inference_seconds, pass_seconds


class _Seen:
    def __init__(self) -> None:
        self.passes: list[tuple[Any, ...]] = []


class Witness(nn.Module):
    """Notes the conditions of each pass."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Conv2d(3, 4, 3)
        self.norm = nn.BatchNorm2d(4)
        self.drop = nn.Dropout(0.5)
        self.seen = _Seen()  # an attribute that is a plain list is put back

    def forward(self, x: Tensor) -> Tensor:
        y = self.layer(x)
        self.seen.passes.append((self.training, self.drop.training, torch.is_inference_mode_enabled(), tuple(x.shape), y.dtype))
        return self.drop(self.norm(y))


@pytest.mark.parametrize("precision", PRECISIONS)
def test_passes_are_counted_and_run_as_inference(precision: str) -> None:
    module = Witness()
    module.drop.eval()
    before = {name: value.clone() for name, value in module.state_dict().items()}
    stream = torch.random.get_rng_state()
    seconds = inference_seconds(module, input_shape=(3, 8, 6), batch=2, runs=4, warmup=3, precision=precision)
    assert len(seconds) == 4
    assert all(value > 0 for value in seconds)
    assert module.seen.passes == [(False, False, True, (2, 3, 8, 6), getattr(torch, precision))] * 7
    assert (module.training, module.norm.training, module.drop.training) == (True, True, False)
    assert all(torch.equal(value, before[name]) for name, value in module.state_dict().items())
    assert torch.equal(torch.random.get_rng_state(), stream)
    module(torch.zeros(1, 3, 8, 6)).sum().backward()  # nothing made in inference mode is left in it


def test_whoever_asks_says_when_it_is_enough() -> None:
    asked: list[int] = []

    def enough(seconds: Any) -> bool:
        asked.append(len(seconds))
        return len(seconds) == 3

    assert len(pass_seconds(nn.Identity(), torch.zeros(1), enough=enough, warmup=0)) == 3
    assert asked == [1, 2, 3], "asked with one time at least"
