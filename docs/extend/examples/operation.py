"""A new operation: global response normalisation (ConvNeXt V2, Woo et al., arXiv 2301.00808, section 3).

    python docs/extend/examples/operation.py

Adds the operation to the tables of this process, builds a network with it, and compares its types, cost and output with what is
written down here by hand. In the package, SPEC is an entry of `uninas/ops.py` and the layer stands in `uninas/compile/layers.py`.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from uninas import Architecture, Block, Graph, GraphBuilder, Stage, canonicalise, cost, op, parse, to_text, warnings_of
from uninas.compile import build
from uninas.compile.layers import LAYERS
from uninas.operation import Op, OpSpec
from uninas.ops import TABLE
from uninas.rules import cost as cost_rules
from uninas.rules import inference
from uninas.shapes import Place, Type
from uninas.text import VERSION


def response_norm_fault(operation: Op, given: Type, place: Place) -> str | None:
    """Say why it is degenerate on such an input: with one channel the response divided by its mean is always one."""
    return "response norm of one channel is constant" if given[0] == 1 else None


SPEC = OpSpec(
    "response_norm",
    "normalisation",
    inference.same_full,  # rule of inference: a full feature map, unchanged
    "response norm",  # label in drawings
    since=VERSION,  # in the package: the next version of the file format
    instance=True,  # it has parameters: two equal ones are two
    parameters=cost_rules.norm_parameters,  # rule of cost: a weight and a bias for each channel
    bias_parameters=cost_rules.norm_bias,  # those that still learn when the input is zero
    fault=response_norm_fault,
)


class ResponseNorm(nn.Module):
    """x + weight * x * n(x) + bias; n(x) is the L2 norm of each channel divided by the mean over channels (equations 1 to 3)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(channels))
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, H, W)."""
        response = x.square().sum((2, 3), keepdim=True).sqrt()
        relative = response / (response.mean(1, keepdim=True) + 1e-6)
        return x + self.weight[:, None, None] * x * relative + self.bias[:, None, None]


def layer(operation: Op, given: tuple[Type, ...], made: Type, place: Place) -> nn.Module:
    """Build the layer for an output of type `made`."""
    return ResponseNorm(made[0])


def network() -> Architecture:
    """A network of one stage whose block is an MLP with the operation, as in ConvNeXt V2."""
    builder = GraphBuilder()
    names = [op("conv", kernel=1, ratio=4), op("gelu"), op("response_norm"), op("conv", kernel=1, ratio="1/4")]
    graph: Graph = builder.build(builder.chain(0, *names))
    return Architecture((Stage(8, (Block((graph, None)),)),), classes=10, input_size=(16, 16), stem=(4, 8))


def by_hand(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Compute the operation entry by entry."""
    made = torch.empty_like(x)
    for sample in range(x.shape[0]):
        responses = [x[sample, channel].norm() for channel in range(x.shape[1])]
        mean = sum(responses) / len(responses)
        for channel, response in enumerate(responses):
            scale = 1 + weight[channel] * response / (mean + 1e-6)
            made[sample, channel] = x[sample, channel] * scale + bias[channel]
    return made


def main() -> None:
    """Add the operation, and check it."""
    TABLE[SPEC.name] = SPEC
    LAYERS[SPEC.name] = layer

    plain = network()
    assert canonicalise(parse(to_text(plain))).digest == canonicalise(plain).digest, "print, then parse, is the identity"
    assert warnings_of(plain) == []

    module = build(plain)
    found = cost(plain)
    assert found.params == sum(parameter.numel() for parameter in module.parameters()), "counted and built alike"

    (norm,) = [child for child in module.modules() if isinstance(child, ResponseNorm)]
    with torch.no_grad():
        norm.weight.uniform_(-1, 1, generator=torch.Generator().manual_seed(0))
        norm.bias.uniform_(-1, 1, generator=torch.Generator().manual_seed(1))
        x = torch.randn(2, norm.weight.numel(), 5, 3, generator=torch.Generator().manual_seed(2))
        assert torch.allclose(norm(x), by_hand(x, norm.weight, norm.bias), atol=1e-5), "the layer computes the equation"

        unfused = build(plain, fused=False)
        unfused.load_state_dict(module.state_dict())
        images = torch.randn(2, 3, 16, 16, generator=torch.Generator().manual_seed(3))
        assert torch.allclose(module.eval()(images), unfused.eval()(images), atol=1e-6), "fused and unfused agree"
    print(f"response_norm: {found.params:,} params, {found.macs:,} MACs, digest {canonicalise(plain).digest[:12]}")


if __name__ == "__main__":
    main()
