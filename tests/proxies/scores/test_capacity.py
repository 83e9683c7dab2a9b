"""NSC and DeepMAD's entropy of modules: by hand, whichever way a layer is written, and their failures."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn

from proxies import PROXIES, ProxyFailure
from proxies.formulas.matrices import WeightMatrix, spectral_integral
from proxies.scores.capacity import weight_matrices
from tests.proxies.networks import Shared, batch, make


class Chain(nn.Module):
    """A convolution, a grouped one, a pointwise one in either writing, a classifier."""

    def __init__(self, *, linear: bool = False) -> None:
        super().__init__()
        self.linear = linear
        self.stem = nn.Conv2d(3, 8, 3, stride=2, padding=1)
        self.grouped = nn.Conv2d(8, 8, 3, padding=1, groups=4)
        self.mix = nn.Linear(8, 12) if linear else nn.Conv2d(8, 12, 1)
        self.head = nn.Linear(12, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu(self.grouped(torch.relu(self.stem(x))))
        x = self.mix(x.movedim(1, -1)).movedim(-1, 1) if self.linear else self.mix(x)
        return self.head(x.mean((2, 3)))


@pytest.mark.parametrize("linear", [False, True])
def test_a_chain_by_hand(linear: bool) -> None:
    network, inputs = Chain(linear=linear), torch.zeros(4, 3, 10, 10)
    assert weight_matrices(network, inputs) == (
        WeightMatrix(8, 27, 1, False, 200),
        WeightMatrix(8, 18, 4, False, 200),
        WeightMatrix(12, 8, 1, True, 300),
    )
    capacity = spectral_integral(8, 27, 2 / 27) + 4 * spectral_integral(2, 18, 2 / 18) + spectral_integral(12, 8, 2 / 20)
    assert PROXIES["nsc"](network, inputs) == pytest.approx(capacity)
    assert PROXIES["entropy"](network, inputs) == pytest.approx(math.log(300) * math.log(27 * 18 * 8))


def test_no_value_of_the_network_and_no_sample_shows() -> None:
    network = make("attention")
    found = PROXIES["nsc"](network, batch(4)), PROXIES["entropy"](network, batch(4))
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.mul_(3.0)
    assert (PROXIES["nsc"](network, batch(2, seed=1)), PROXIES["entropy"](network, batch(2, seed=1))) == found


def test_a_weight_that_layers_share_counts_once() -> None:
    network, inputs = Shared(), torch.zeros(2, 3, 9, 9)
    shapes = [tuple(weight.shape) for weight in {id(w): w for w in network.parameters() if w.dim() > 1}.values()]
    assert len(weight_matrices(network, inputs)) == len(shapes) - 1  # all but the classifier


def test_what_has_no_layers_or_no_logits_fails() -> None:
    for name in ("nsc", "entropy"):
        with pytest.raises(ProxyFailure, match="no_layers"):
            PROXIES[name](nn.Flatten(), torch.zeros(2, 3, 4, 4))
        with pytest.raises(ProxyFailure, match="output_shape"):
            PROXIES[name](nn.Conv2d(3, 2, 1), torch.zeros(2, 3, 4, 4))
