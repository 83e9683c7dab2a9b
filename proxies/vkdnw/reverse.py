"""Reverse mode: backward passes, and dot products of one channel instead of gradients of weights."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from proxies.errors import ProxyFailure
from proxies.measuring.state import run
from proxies.vkdnw.survey import Survey
from proxies.vkdnw.weights import ChosenWeight, Derivative, weight_derivative

__all__ = ["Tape"]


@dataclass
class _Rows:
    """Where the hooks write: one row for each backward pass, ``(samples, chosen weights)`` in float64."""

    current: Tensor = field(default_factory=lambda: torch.empty(0))


class Tape:
    """One micro-batch's forward pass, kept for as many backward passes as wanted.

    The parameters are frozen, so only gradients of activations flow. A hook on each chosen layer keeps the derivative of its
    output by its weight (a slice of its input), a hook on the output contracts the arriving gradient with it, sample by
    sample. A module that is called several times has several such hooks that add up.

    The first dimension of every chosen layer's output must be the sample. Where a network folds something else into it
    (windows of attention), or calls a layer once for all samples (a convolution that encodes positions), the tape takes one
    sample at a time; see ``Survey.folded``, and the failure ``folded_batch``. Made by :meth:`record`.

    Attributes:
        logits: shape ``(samples, C)``, float64.
    """

    def __init__(self, module: nn.Module, weights: Sequence[ChosenWeight], survey: Survey, inputs: Tensor) -> None:
        self._module, self._weights, self._survey, self._inputs = module, weights, survey, inputs
        self._leaves: list[Tensor] = []
        self._rows = _Rows()
        self._features: Tensor | None = None
        self._outputs = inputs.new_empty(0)
        self.logits = inputs.new_empty(0)

    @classmethod
    def record(cls, module: nn.Module, weights: Sequence[ChosenWeight], survey: Survey, inputs: Tensor) -> Tape:
        """Run a micro-batch once, and keep what the backward passes need.

        Args:
            module: the network, held in evaluation mode with frozen parameters.
            weights: the chosen weights.
            survey: of the network.
            inputs: shape ``(samples, ...)``.

        Raises:
            ProxyFailure: ``output_shape``, ``folded_batch``.
        """
        tape = cls(module, weights, survey, inputs)
        tape._outputs = tape._forward()
        tape.logits = tape._outputs.detach().to(torch.float64)
        return tape

    def _forward(self) -> Tensor:
        handles = []
        try:
            for place, weight in enumerate(self._weights):
                for layer in weight.modules:
                    handles.append(layer.register_forward_hook(self._on_layer(place, weight)))
            if self._survey.head is not None:
                handles.append(self._survey.head.register_forward_hook(self._on_head))
            with torch.enable_grad():
                return run(self._module, self._inputs)
        finally:
            for handle in handles:
                handle.remove()

    def _on_head(self, layer: nn.Module, arguments: tuple[Tensor, ...], output: Tensor) -> None:
        self._features = arguments[0]

    def _on_layer(self, place: int, weight: ChosenWeight):  # type: ignore[no-untyped-def]
        def hook(layer: nn.Module, arguments: tuple[Tensor, ...], output: Tensor) -> Tensor:
            samples = self._inputs.shape[0]
            if samples > 1 and output.shape[0] != samples:
                raise ProxyFailure("folded_batch", f"a layer returns {tuple(output.shape)} for {samples} samples")
            derivative = weight_derivative(layer, weight.index, arguments[0].detach(), output, weight.parameter)
            if not output.requires_grad:
                # Gradients start here. The leaf is cloned because work in place on a leaf is forbidden.
                leaf = output.detach().requires_grad_(True)
                self._leaves.append(leaf)
                output = leaf.clone()
            output.register_hook(self._contraction(place, derivative))  # type: ignore[no-untyped-call]
            return output

        return hook

    def _contraction(self, place: int, derivative: Derivative):  # type: ignore[no-untyped-def]
        rows, samples = self._rows, self._inputs.shape[0]

        def hook(gradient: Tensor) -> None:
            if derivative.axis is not None:
                gradient = gradient.select(derivative.axis, derivative.channel)
            product = (gradient * derivative.value).reshape(samples, -1)  # one sample may be many windows
            rows.current[:, place] += product.sum(1, dtype=torch.float64)

        return hook

    def rows(self, cotangents: Tensor, *, features: bool = False) -> Tensor:
        """Products of cotangents with the Jacobian, sample by sample.

        Args:
            cotangents: shape ``(R, C)``, the same for all samples, or ``(R, samples, C)``; with ``features`` D stands for C.
            features: start at the input of the last linear layer; its own weight then gets zeros.

        Returns:
            Shape ``(samples, R, chosen weights)``, float64.
        """
        source = self._features if features else self._outputs
        assert source is not None
        samples, device = self._inputs.shape[0], self._inputs.device
        result = torch.zeros(samples, len(cotangents), len(self._weights), dtype=torch.float64, device=device)
        if not source.requires_grad:
            return result  # no chosen layer before it
        for row, cotangent in enumerate(cotangents):
            self._rows.current = result[:, row]
            torch.autograd.grad(
                source,
                self._leaves,
                cotangent.to(source).expand_as(source),
                retain_graph=row + 1 < len(cotangents),
                allow_unused=True,
            )
        return result

    def logit_differences(self) -> Tensor:
        """Jacobian of the logits up to one common row, from C - 1 backward passes.

        Row c is d(psi_c - psi_last) / d theta; the last row is zero. The softmax does not feel the difference.

        Returns:
            Shape ``(samples, C, chosen weights)``, float64.
        """
        classes = self.logits.shape[1]
        cotangents = torch.eye(classes, device=self.logits.device)[: classes - 1]
        cotangents[:, -1] = -1.0
        return torch.nn.functional.pad(self.rows(cotangents), (0, 0, 0, 1))

    def through_features(self) -> Tensor:
        """Jacobian of the logits by way of the features: D backward passes and one product with the last weight.

        Returns:
            Shape ``(samples, C, chosen weights)``, float64.
        """
        head = self._survey.head
        assert head is not None
        assert self._features is not None
        inner = self.rows(torch.eye(head.in_features, device=self.logits.device), features=True)
        jacobian = head.weight.detach().to(torch.float64) @ inner
        for place, weight in enumerate(self._weights):
            if head in weight.modules and weight.parameter == "bias":
                jacobian[:, weight.index, place] += 1.0
            elif head in weight.modules:  # psi_row = W[row] . features: its derivative is the feature itself
                row, column = divmod(weight.index, head.in_features)
                jacobian[:, row, place] += self._features.detach()[:, column].to(torch.float64)
        return jacobian
