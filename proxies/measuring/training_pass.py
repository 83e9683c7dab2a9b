"""One forward pass in training mode and what its graph gives to several proxies.

Jacov, expressivity, progressivity, trainability, NASWOT, GradNorm, SNIP, GraSP, ZiCo, NEAR, InTrain, SWAP and L-SWAG all begin
with the same forward pass of the same weights and batch. Each asks for its *part* here; inside
:func:`proxies.measuring.shared.sharing` the parts that all asked proxies need are measured in one pass, alone a proxy measures
its own part only. A part's value is the same either way, bit for bit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.attention import SDPBackend, sdpa_kernel

from proxies.errors import ProxyFailure, as_failure
from proxies.formulas.entropy import feature_entropy
from proxies.measuring.blocks import channels_last, watch_blocks
from proxies.measuring.codes import CodeKernel
from proxies.measuring.isolation import isolation
from proxies.measuring.layer_watch import LAYER_PARTS, LayerWatch
from proxies.measuring.seeds import generator, signs
from proxies.measuring.shared import announced, collected
from proxies.measuring.state import run, scoring

__all__ = ["PARTS", "BlockEntropy", "Gradients", "labels", "part"]

PARTS = ("codes", "entropies", "isolations", "input_gradient", "gradients", "hessian", *LAYER_PARTS)
"""What one pass can measure: see :func:`part`."""

_LABELLED = frozenset({"gradients", "hessian"})


@dataclass(frozen=True)
class Gradients:
    """Derivatives of the mean cross-entropy of a batch.

    Attributes:
        gradients: for each parameter by name, in the order of definition; None where the loss does not depend on it.
        products: for each of those, the Hessian times the gradient; empty unless the part ``hessian`` was asked.
    """

    gradients: dict[str, Tensor | None]
    products: dict[str, Tensor | None] = field(default_factory=dict)


def part(name: str, module: nn.Module, inputs: Tensor, *, seed: int, targets: Tensor | None = None) -> Any:
    """One part of the training pass.

    Args:
        name: which, of :data:`PARTS`:
            ``codes``: the :class:`CodeKernel` of all activations;
            ``entropies``: a tuple of :class:`BlockEntropy`, one a call of a block, in the order of execution;
            ``isolations``: a tuple of the blocks' scores of :func:`proxies.measuring.isolation.isolation`;
            ``input_gradient``: the gradient of the sum of all logits by the inputs, shape that of ``inputs``;
            ``gradients``: the :class:`Gradients` of the loss; ``hessian``: the same with the Hessian's products;
            the parts of :class:`proxies.measuring.layer_watch.LayerWatch`.
        module: any network; left as it was found.
        inputs: shape ``(batch, ...)``.
        seed: decides labels, signs and what stochastic modules would draw.
        targets: classes of the samples, shape ``(batch,)``; None for random ones, see :func:`labels`.

    Raises:
        ProxyFailure: what went wrong with this part, or with the pass as a whole (``batch_norm_one_value``, ``output_shape``).
    """
    # Second derivatives need another attention kernel and another graph: in a pass of their own they change no other value.
    measure = _measure_hessian if name == "hessian" else _measure
    if name not in _LABELLED:  # it does not see labels: the pass is the same for all of them
        targets = announced(inputs).targets
    outcomes = collected(measure, name, module, inputs, seed=seed, targets=targets)
    outcome = outcomes[name]
    if isinstance(outcome, ProxyFailure):
        raise ProxyFailure(outcome.reason, outcome.detail)
    return outcome


def labels(count: int, classes: int, seed: int) -> Tensor:
    """Random classes for a batch of noise, int64 on the CPU, shape ``(count,)``."""
    return torch.randint(0, classes, (count,), generator=generator(seed, "labels"))


def _measure_hessian(
    parts: frozenset[str], module: nn.Module, inputs: Tensor, *, seed: int, targets: Tensor | None
) -> dict[str, object]:
    return _measure(frozenset({"hessian"}), module, inputs, seed=seed, targets=targets)


def _measure(parts: frozenset[str], module: nn.Module, inputs: Tensor, *, seed: int, targets: Tensor | None) -> dict[str, object]:
    wanted = [name for name in PARTS if name in parts]
    trained = bool(_LABELLED & parts)
    outcomes: dict[str, object] = {}
    with ExitStack() as stack:
        stack.enter_context(scoring(module, train=True, seed=seed))
        if "hessian" in parts:
            stack.enter_context(sdpa_kernel(SDPBackend.MATH))  # the fused attention kernels have no second derivative
        # Also where nothing is differentiated: torch rounds some results differently without a graph, or beside frozen weights.
        stack.enter_context(torch.enable_grad())
        stack.enter_context(_trainable(module))
        watch = _BlockWatch(module, inputs, seed, entropies="entropies" in parts, isolations="isolations" in parts)
        stack.enter_context(watch.watching() if watch.active else nullcontext())
        codes = CodeKernel(len(inputs))
        # Always, whether codes are wanted or not: a network may run layers that are listened to apart from each other.
        stack.enter_context(_listening(module, codes))
        stack.enter_context(codes.watching() if "codes" in parts else nullcontext())
        layers = LayerWatch(module, len(inputs), seed, parts)
        stack.enter_context(layers.watching())
        leaf = inputs.detach().requires_grad_(True)
        # Clone: a network may start with work in place, which a leaf forbids.
        logits = run(module, leaf.clone())
        outcomes.update(watch.outcomes())
        outcomes.update(layers.outcomes())
        if "codes" in parts:
            outcomes["codes"] = codes
        if "input_gradient" in parts:
            outcomes["input_gradient"] = _attempt(lambda: _input_gradient(logits, leaf, keep=trained))
        if trained:
            found = _attempt(lambda: _gradients(module, logits, seed, targets, hessian="hessian" in parts))
            outcomes["gradients"] = outcomes["hessian"] = found
    return {name: outcomes[name] for name in wanted}


def _attempt(measure: Callable[[], object]) -> object:
    try:
        return measure()
    except Exception as error:
        return as_failure(error)


@contextmanager
def _trainable(module: nn.Module) -> Iterator[None]:
    """Let gradients of the parameters be asked for; ``scoring`` around it puts the flags back."""
    for parameter in module.parameters():
        parameter.requires_grad_(parameter.is_floating_point())
    try:
        yield
    finally:
        for parameter in module.parameters():
            parameter.requires_grad_(False)


@contextmanager
def _listening(module: nn.Module, codes: CodeKernel) -> Iterator[None]:
    """Tell the kernel what each convolution and linear layer reads."""

    def before(layer: nn.Module, arguments: tuple[object, ...]) -> None:
        if arguments and isinstance(arguments[0], Tensor):
            codes.read(arguments[0])

    layers = [layer for layer in module.modules() if isinstance(layer, (nn.Conv2d, nn.Linear))]
    handles = [layer.register_forward_pre_hook(before) for layer in layers]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _input_gradient(logits: Tensor, leaf: Tensor, *, keep: bool) -> Tensor:
    total = logits.sum()
    gradient = torch.autograd.grad(total, leaf, retain_graph=keep, allow_unused=True)[0] if total.requires_grad else None
    if gradient is None:
        raise ProxyFailure("constant_gradient", "the logits do not depend on the input")
    return gradient


def _gradients(module: nn.Module, logits: Tensor, seed: int, targets: Tensor | None, *, hessian: bool) -> Gradients:
    samples, classes = logits.shape
    if targets is None:
        targets = labels(samples, classes, seed)
    elif int(targets.max()) >= classes:
        raise ProxyFailure("label_range", f"a label is {int(targets.max())}, the network has {classes} classes")
    loss = functional.cross_entropy(logits, targets.to(logits.device))
    if not bool(torch.isfinite(loss)):
        raise ProxyFailure("non_finite", f"the cross-entropy is {float(loss.detach())}")
    trained = {name: parameter for name, parameter in module.named_parameters() if parameter.requires_grad}
    names, parameters = list(trained), list(trained.values())
    if not loss.requires_grad:
        raise ProxyFailure("constant_gradient", "the logits do not depend on any parameter")
    first = torch.autograd.grad(loss, parameters, create_graph=hessian, allow_unused=True)
    gradients: dict[str, Tensor | None] = {
        name: None if gradient is None else gradient.detach() for name, gradient in zip(names, first, strict=True)
    }
    if not hessian:
        return Gradients(gradients)
    terms = [(g * g.detach()).sum() for g in first if g is not None and g.requires_grad]
    if not terms:
        raise ProxyFailure("constant_gradient", "the gradients do not depend on any parameter")
    second = torch.autograd.grad(sum(terms[1:], terms[0]), parameters, allow_unused=True)
    products: dict[str, Tensor | None] = dict(zip(names, second, strict=True))
    return Gradients(gradients, products)


@dataclass(frozen=True)
class BlockEntropy:
    """Feature entropies of one call of a block, in nats.

    Attributes:
        before: of its input; None where that has no covariance.
        after: of its output.
    """

    before: float | None
    after: float


class _BlockWatch:
    """Measures the blocks while the network runs; a block that cannot be measured ends its part and not the pass."""

    def __init__(self, module: nn.Module, inputs: Tensor, seed: int, *, entropies: bool, isolations: bool) -> None:
        self._module, self._seed = module, seed
        self._entropies: list[BlockEntropy] | ProxyFailure | None = [] if entropies else None
        self._isolations: list[float] | ProxyFailure | None = [] if isolations else None
        self._entered: list[tuple[Any, float | None]] = []
        self._last: tuple[Tensor, int, float] | None = None  # the last output, how often it was changed by then, its entropy
        self._calls = 0
        self._format = str(getattr(module, "output_fmt", "NCHW"))
        self._signature: ProxyFailure | None = None
        self.active = entropies or isolations

    @contextmanager
    def watching(self) -> Iterator[None]:
        with watch_blocks(self._module, self._enter, self._leave, self._unreadable):
            yield

    def _unreadable(self, failure: ProxyFailure) -> None:
        self._signature = self._signature or failure

    def _enter(self, name: str, feature: Tensor) -> None:
        # The edge outlives work in place on the block's input, which the tensor would follow.
        edge = torch.autograd.graph.get_gradient_edge(feature) if feature.requires_grad else None
        self._entered.append((edge, self._before(name, feature)))

    def _before(self, name: str, feature: Tensor) -> float | None:
        if not isinstance(self._entropies, list):
            return None
        if self._last is not None and self._last[0] is feature and self._last[1] == feature._version:
            return self._last[2]
        try:
            return self._entropy(name, feature)
        except ProxyFailure:
            return None

    def _entropy(self, name: str, feature: Tensor) -> float:
        with torch.no_grad():
            return feature_entropy(channels_last(name, feature.detach(), self._format), name)

    def _leave(self, name: str, output: Tensor) -> None:
        edge, before = self._entered.pop()
        call, self._calls = self._calls, self._calls + 1
        if isinstance(self._entropies, list):
            try:
                after = self._entropy(name, output)
                self._entropies.append(BlockEntropy(before, after))
                self._last = (output, output._version, after)
            except ProxyFailure as failure:
                self._entropies = ProxyFailure(failure.reason, failure.detail)
        if isinstance(self._isolations, list):
            gradient_out = signs(output.shape, generator(self._seed, "trainability", name, call)).to(output)
            try:
                gradient_in = None
                if edge is not None and output.requires_grad:
                    gradient_in = torch.autograd.grad(output, edge, gradient_out, retain_graph=True, allow_unused=True)[0]
                self._isolations.append(isolation(name, gradient_in, gradient_out, self._format))
            except ProxyFailure as failure:
                self._isolations = ProxyFailure(failure.reason, failure.detail)

    def outcomes(self) -> dict[str, object]:
        found: dict[str, object] = {}
        for name, values in (("entropies", self._entropies), ("isolations", self._isolations)):
            if values is None:
                continue
            if self._signature is not None:
                values = self._signature
            elif isinstance(values, list) and not values:
                values = ProxyFailure("no_blocks", f"{type(self._module).__name__} called none of its blocks with one map")
            found[name] = tuple(values) if isinstance(values, list) else values
        return found
