"""The Fisher spectrum of a network: the whole of VKDNW from module to result."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import Tensor, nn

from proxies.errors import ProxyFailure, ProxyUsageError, out_of_memory
from proxies.formulas.rank import MINIMUM_WEIGHTS, WEIGHTS, batch_needed, rows_needed, rows_of
from proxies.measuring.layers import layers_and_norms, scoring_layers
from proxies.measuring.seeds import generator, signs
from proxies.measuring.shared import shared
from proxies.measuring.state import placed, scoring
from proxies.vkdnw.forward import jacobian_forward
from proxies.vkdnw.modes import ModePlan, plan_mode
from proxies.vkdnw.reverse import Tape
from proxies.vkdnw.spectrum import FactorStack, decile_entropy, deciles, factor_rows, fisher_factor, probabilities
from proxies.vkdnw.survey import Survey, survey
from proxies.vkdnw.weights import ChosenWeight, choose_weights

__all__ = ["MINIMUM_WEIGHTS", "FisherSpectrum", "fisher_jacobian", "fisher_spectrum"]

Result = TypeVar("Result")


@dataclass(frozen=True)
class FisherSpectrum:
    """What VKDNW sees of a network.

    Attributes:
        eigenvalues: of the Fisher matrix of the chosen weights, ascending.
        deciles: their quantiles 0.1 .. 0.9.
        entropy: VKDNW, in [0, ln 9] nats.
        aleph: number of convolution and linear layers, chosen or not.
        mode: of differentiation, ``reverse`` or ``forward``.
        passes: backward passes, or chunks of forward mode, per micro-batch.
        rounding: where asked for, the largest difference of an eigenvalue from its float64 twin, divided by the largest
            eigenvalue; else None.
    """

    eigenvalues: tuple[float, ...]
    deciles: tuple[float, ...]
    entropy: float
    aleph: int
    mode: str
    passes: int
    rounding: float | None = None

    @property
    def road(self) -> str:
        """The former name of `mode`."""
        warnings.warn("FisherSpectrum.road is called mode now", DeprecationWarning, stacklevel=2)
        return self.mode


@shared
def fisher_spectrum(
    module: nn.Module,
    inputs: Tensor,
    *,
    seed: int = 0,
    smoothing: float = 0.05,
    weights: int = WEIGHTS,
    index: int | float | str = 0,
    per_layer: int = 1,
    micro_batch: int = 16,
    mode: str = "auto",
    memory: int = 2**29,
    probes: int | None = None,
    rounding: bool = False,
    tensors: str = "weights",
    road: str | None = None,
) -> FisherSpectrum:
    """Spectrum of the Fisher information of one weight per layer, at the module's present weights, in evaluation mode.

    F = mean_n J_n^T (diag(p_n) - p_n p_n^T) J_n (VKDNW, eq. 9), J_n = d logits / d theta, theta = one weight of each of the
    first layers. The network runs in its own floating type, everything after it in float64.

    Args:
        module: any network with logits of shape ``(batch, C)``; left as it was found.
        inputs: the batch, shape ``(batch, ...)``, on the module's device and of its floating type.
        seed: decides the probes and weights that are drawn; the exact spectrum of fixed weights does not depend on it.
        smoothing: alpha in [0, 1), see :func:`proxies.vkdnw.spectrum.probabilities`.
        weights: how many layers, from the first on, give a weight; below 10, deciles repeat each other.
        index: which weight of a layer, as an index into its flat weight, a fraction of its length, or ``random``.
        per_layer: how many weights of a layer; see :func:`proxies.vkdnw.weights.choose_weights`.
        micro_batch: samples at a time; bounds the memory of both modes.
        mode: of differentiation: ``auto`` counts and takes the cheaper; ``reverse``; ``forward``.
        memory: bytes for the tangents of forward mode; see :mod:`proxies.vkdnw.modes`.
        probes: None for the exact matrix; k for an unbiased estimate from k random sign combinations of each A_n's rows.
        rounding: compute once more in float64 and report the difference.
        tensors: ``weights``: theta are weights of convolution and linear layers, as the paper has it; ``all``: entries of all
            their parameters and of those of norms, as its published code has it; ``weights`` and ``per_layer`` then count for
            tensors.
        road: the former name of ``mode``.

    Raises:
        ProxyFailure: ``too_few_weights`` (fewer than 10, or than asked for), ``too_few_rows`` (of samples x (classes - 1), see
            :mod:`proxies.formulas.rank`), ``zero_spectrum``, ``non_finite``, ``output_shape``, ``no_weight`` or
            ``layer_bypassed``.
        ProxyUsageError: an option out of range.
    """
    if road is not None:
        warnings.warn("the option road of fisher_spectrum is called mode now", DeprecationWarning, stacklevel=3)
        mode = road
    counts = {"weights": weights, "per_layer": per_layer, "micro_batch": micro_batch, "memory": memory, "probes": probes}
    if any(count is not None and count < 1 for count in counts.values()):
        raise ProxyUsageError(f"expected counts of at least 1, got {counts}")
    if tensors not in ("weights", "all"):
        raise ProxyUsageError(f"tensors: expected 'weights' or 'all', got {tensors!r}")
    layers = scoring_layers(module, inputs)
    holders = layers if tensors == "weights" else layers_and_norms(module, inputs)
    chosen = choose_weights(holders, weights, index, per_layer=per_layer, seed=seed, tensors=tensors)
    needed = min(MINIMUM_WEIGHTS, max(2, weights * per_layer))  # fewer where fewer are asked for, but two: one has no spread
    if len(chosen) < needed:
        raise ProxyFailure("too_few_weights", f"nine deciles need {needed} weights, the network has {len(chosen)}")

    def eigenvalues(batch: Tensor) -> tuple[Tensor, ModePlan]:
        def computed(mode: str) -> tuple[Tensor, ModePlan]:
            return _unfolded(
                lambda step: _eigenvalues(module, chosen, batch, seed, smoothing, step, mode, memory, probes), micro_batch
            )

        with scoring(module, train=False, seed=seed):
            try:
                return computed(mode)
            except RuntimeError as error:
                if mode != "auto" or out_of_memory(error):
                    raise
                return computed("reverse")  # an operation of the network may know no forward-mode rule

    values, plan = eigenvalues(inputs)
    error = None
    if rounding:
        with placed(module, dtype=torch.float64):
            exact, _ = eigenvalues(inputs.double())
        error = float((values - exact).abs().max() / exact.max()) if exact.max() > 0 else 0.0
    nine = deciles(values)
    return FisherSpectrum(
        eigenvalues=tuple(values.tolist()),
        deciles=tuple(nine.tolist()),
        entropy=decile_entropy(nine),
        aleph=len(layers),
        mode=plan.mode,
        passes=plan.rows if plan.mode == "reverse" else len(plan.chunks),
        rounding=error,
    )


def _unfolded(compute: Callable[[int], Result], micro_batch: int) -> Result:
    """``compute(micro_batch)``, or one sample at a time where a layer turns out to be called once for all samples.

    In the survey of one sample such a layer looks like any other; only the tape of a larger batch finds it.
    """
    try:
        return compute(micro_batch)
    except ProxyFailure as failure:
        if failure.reason != "folded_batch":
            raise
    return compute(1)


def _eigenvalues(
    module: nn.Module,
    chosen: list[ChosenWeight],
    inputs: Tensor,
    seed: int,
    smoothing: float,
    micro_batch: int,
    mode: str,
    memory: int,
    probes: int | None,
) -> tuple[Tensor, ModePlan]:
    seen = survey(module, chosen, inputs)
    _check_rows(len(chosen), len(inputs), seen.classes, probes)
    plan = plan_mode(
        seen,
        mode,
        element_bytes=inputs.element_size(),
        samples=min(micro_batch, len(inputs)),
        memory=memory,
        probes=probes,
    )
    stack = FactorStack(len(chosen))
    stream = generator(seed, "probes")
    if seen.folded and plan.mode == "reverse":
        micro_batch = 1  # which entry belongs to which sample is only certain when there is one
    for batch in torch.split(inputs, micro_batch):
        if probes is None:
            logits, jacobian = _micro_jacobian(module, chosen, seen, plan, batch)
            stack.add(fisher_factor(probabilities(logits, smoothing), jacobian))
        else:
            tape = Tape.record(module, chosen, seen, batch)
            probability = probabilities(tape.logits, smoothing)
            # Drawn sample by sample, so that the size of the micro-batch does not show in the result.
            combination = torch.stack([signs((probes, seen.classes), stream) for _ in batch], dim=1).to(probability)
            stack.add(tape.rows(factor_rows(probability, combination)) / probes**0.5)
    return stack.eigenvalues(), plan


def _check_rows(weights: int, samples: int, classes: int, probes: int | None) -> None:
    """Eigenvalues above the rank that a batch can give are rounding: where the deciles are made of those there is no score."""
    if classes < 2:
        raise ProxyFailure("too_few_rows", "one class has probability 1 whatever the weights: expected at least 2 classes, got 1")
    rows, needed = rows_of(samples, classes, probes), rows_needed(weights)
    if rows < needed:
        raise ProxyFailure(
            "too_few_rows",
            f"the deciles of {weights} weights need a Fisher matrix of rank {needed}, {samples} samples of {classes} classes "
            f"give {rows} at most: expected a batch of at least {batch_needed(weights, classes, probes)}",
        )


def _micro_jacobian(
    module: nn.Module, chosen: list[ChosenWeight], seen: Survey, plan: ModePlan, batch: Tensor
) -> tuple[Tensor, Tensor]:
    if plan.mode == "forward":
        return jacobian_forward(module, chosen, plan.chunks, batch)
    tape = Tape.record(module, chosen, seen, batch)
    return tape.logits, tape.through_features() if plan.from_features else tape.logit_differences()


def fisher_jacobian(
    module: nn.Module, inputs: Tensor, chosen: list[ChosenWeight] | None = None, *, mode: str, memory: int = 2**29
) -> tuple[Tensor, Tensor]:
    """Logits and Jacobian in one mode, for checks: the rows of reverse mode may all be shifted by one common row.

    ``chosen`` are the weights; None for the first of each of the first 128 layers.

    Returns:
        The logits, ``(batch, C)``, and the Jacobian, ``(batch, C, chosen weights)``, float64.
    """
    chosen = choose_weights(scoring_layers(module, inputs), 128) if chosen is None else chosen
    with scoring(module, train=False):
        seen = survey(module, chosen, inputs)
        size = inputs.element_size()
        plan = plan_mode(seen, mode, element_bytes=size, samples=len(inputs), memory=memory, probes=None)
        parts = _unfolded(
            lambda step: [_micro_jacobian(module, chosen, seen, plan, batch) for batch in torch.split(inputs, step)],
            1 if seen.folded and plan.mode == "reverse" else len(inputs),
        )
        return torch.cat([logits for logits, _ in parts]), torch.cat([jacobian for _, jacobian in parts])
