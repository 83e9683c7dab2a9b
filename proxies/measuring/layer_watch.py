"""What each layer and activation function of a pass makes, measured while it runs: dimensions, effective ranks, patterns."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from proxies.errors import ProxyFailure
from proxies.formulas.patterns import distinct_patterns
from proxies.measuring.codes import codes_of, switches
from proxies.measuring.seeds import generator

__all__ = ["LAYER_PARTS", "LayerWatch", "drawn_rows", "effective_rank", "participation_ratio"]

LAYER_PARTS = ("participations", "ranks", "patterns", "layer_patterns")
"""What a watch can measure, see :class:`LayerWatch`."""

_BOUNDED = frozenset({"tanh", "tanh_", "sigmoid", "sigmoid_", "hardsigmoid", "hardsigmoid_"})


class LayerWatch:
    """Measures layers and activation functions while a network runs. What it finds, by part:

    - ``participations``: for each call of a convolution or linear layer :func:`participation_ratio` of its result; None where
      that does not vary.
    - ``ranks``: for each such call :func:`effective_rank` of its result, and for each call of an activation function that of its
      result, once for every layer that reads it and at least once.
    - ``patterns``: for each call of an activation function that switches how many patterns its units show over the samples,
      once for every layer that reads it and at least once.
    - ``layer_patterns``: for the name of each such layer how many patterns the entries of its input show, above zero or not.

    Whether layers share an activation or each has its own of the same map is a matter of writing, and shows in none of it.
    """

    def __init__(self, module: nn.Module, samples: int, seed: int, wanted: frozenset[str]) -> None:
        self._module, self._samples, self._seed = module, samples, seed
        self._wanted = wanted & frozenset(LAYER_PARTS)
        self._names = {id(layer): name for name, layer in module.named_modules() if isinstance(layer, (nn.Conv2d, nn.Linear))}
        self._participations: list[float | None] = []
        self._ranks: list[float] = []
        self._patterns: list[int] = []
        self._layer_patterns: dict[str, int] = {}
        self._made: dict[int, _Made] = {}
        self._drawn: dict[tuple[int, int], Tensor] = {}
        self._result_of_linear: Tensor | None = None
        self._finite = True

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Measure all that runs inside."""
        if not self._wanted:
            yield
            return
        layers = [layer for layer in self._module.modules() if id(layer) in self._names]
        handles = [layer.register_forward_pre_hook(self._before) for layer in layers]
        handles += [layer.register_forward_hook(self._after) for layer in layers]
        try:
            with ExitStack() as stack:
                if self._wanted - {"participations"}:
                    stack.enter_context(_Activations(self))
                yield
        finally:
            for handle in handles:
                handle.remove()
            self._made.clear()  # the activations themselves are not to outlive the pass
            self._result_of_linear = None

    def _before(self, layer: nn.Module, arguments: tuple[object, ...]) -> None:
        if not (arguments and isinstance(arguments[0], Tensor)):
            return
        given = arguments[0]
        made = self._made.get(id(given))
        if made is not None:
            made.readers += 1
            if made.readers > 1:
                self._count(made)
        if "layer_patterns" in self._wanted:
            patterns = self._patterns_of(given) if made is None or made.patterns is None else made.patterns
            if patterns is not None:
                name = self._names[id(layer)]
                self._layer_patterns[name] = self._layer_patterns.get(name, 0) + patterns

    def _after(self, layer: nn.Module, arguments: tuple[object, ...], result: object) -> None:
        if not isinstance(result, Tensor) or result.dim() < 2 or result.numel() == 0:
            return
        linear = isinstance(layer, nn.Linear)
        rows = _rows(result, last=linear)
        if "participations" in self._wanted:
            ratio = participation_ratio(rows)
            self._finite = self._finite and (ratio is None or math.isfinite(ratio))
            self._participations.append(ratio)
        if "ranks" in self._wanted:
            self._ranks.append(self._rank(rows))
            self._result_of_linear = result if linear else None

    def activated(self, given: Tensor, result: Tensor, patterns: int | None) -> None:
        """Note one call of an activation function."""
        rank = None
        if "ranks" in self._wanted and result.dim() > 1 and result.numel():
            rank = self._rank(_rows(result, last=given is self._result_of_linear))
        made = _Made(result, rank, patterns)
        self._made[id(result)] = made
        self._count(made)

    def patterns_before(self, given: Tensor) -> int | None:
        """The patterns of what an activation function is given, which it may overwrite."""
        return self._patterns_of(given) if self._wanted & {"patterns", "layer_patterns"} else None

    def _patterns_of(self, given: Tensor) -> int | None:
        if given.dim() < 2 or given.numel() == 0 or given.shape[0] % self._samples:
            return None
        return distinct_patterns(codes_of(given, self._samples))

    def _count(self, made: _Made) -> None:
        if made.rank is not None:
            self._ranks.append(made.rank)
        if made.patterns is not None:
            self._patterns.append(made.patterns)

    def _rank(self, rows: Tensor) -> float:
        """Of as many rows as there are columns, the same of all matrices of one shape."""
        count, channels = rows.shape
        if count > channels:
            if (count, channels) not in self._drawn:
                self._drawn[count, channels] = drawn_rows(count, channels, self._seed).to(rows.device)
            rows = rows[self._drawn[count, channels]]
        rank = effective_rank(rows)
        self._finite = self._finite and math.isfinite(rank)
        return rank

    def outcomes(self) -> dict[str, object]:
        """What was found, or the failure, by part."""
        found: dict[str, object] = {
            "participations": tuple(self._participations),
            "ranks": tuple(self._ranks),
            "patterns": tuple(self._patterns),
            "layer_patterns": dict(self._layer_patterns),
        }
        broken = ProxyFailure("non_finite", "the result of some layer holds NaN or infinity")
        return {
            name: broken if name in ("participations", "ranks") and not self._finite else found[name] for name in self._wanted
        }


class _Made:
    """One result of an activation function: the tensor, its effective rank and patterns, how many layers have read it."""

    def __init__(self, result: Tensor, rank: float | None, patterns: int | None) -> None:
        self.result, self.rank, self.patterns, self.readers = result, rank, patterns, 0


class _Activations(TorchFunctionMode):  # of functions: a mode of the dispatcher would have torch round some results differently
    def __init__(self, watch: LayerWatch) -> None:
        super().__init__()
        self._watch = watch

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        switching = switches(func)
        if not (switching or getattr(func, "__name__", "") in _BOUNDED) or not (args and isinstance(args[0], Tensor)):
            return func(*args, **(kwargs or {}))
        patterns = self._watch.patterns_before(args[0]) if switching and args[0].dim() > 1 else None
        result = func(*args, **(kwargs or {}))
        if isinstance(result, Tensor):
            self._watch.activated(args[0], result, patterns)
        return result


def _rows(result: Tensor, *, last: bool) -> Tensor:
    """Samples and positions by channels, shape ``(rows, channels)``. Channels are second of four dimensions, else last."""
    values = result.detach()
    if values.dim() == 4 and not last:
        values = values.permute(0, 2, 3, 1)
    return values.flatten(0, -2)


def drawn_rows(count: int, wanted: int, seed: int) -> Tensor:
    """Numbers of `wanted` different rows of `count`, ascending: one at random of each of as many equal stretches."""
    bounds = torch.arange(wanted + 1) * count // wanted
    lengths = bounds[1:] - bounds[:-1]
    offsets = torch.rand(wanted, generator=generator(seed, "near", count), dtype=torch.float64) * lengths
    return bounds[:-1] + torch.minimum(offsets.long(), lengths - 1)


def participation_ratio(rows: Tensor) -> float | None:
    """(tr S)^2 / tr(S^2), S the covariance of the columns: the number of directions that the rows spread over, evenly weighed.

    Args:
        rows: shape ``(rows, channels)``.

    Returns:
        A number from 1 to the number of channels, NaN where a row is not finite; None where the rows do not differ.
    """
    rows = rows if rows.element_size() >= 4 else rows.float()
    low, high = (float(bound) for bound in torch.aminmax(rows))
    largest = max(-low, high)
    if not math.isfinite(largest):
        return math.nan
    if largest == 0.0:
        return None
    if not 1e-12 < largest < 1e12:  # squares are neither to overflow nor to vanish
        rows, largest = rows / largest, 1.0
    centred = rows - rows.mean(dim=0)
    wide = centred.shape[1] > centred.shape[0]
    gram = (centred @ centred.T if wide else centred.T @ centred).to(torch.float64)
    trace = float(gram.trace())
    # Rounding leaves some 1e-7 of the mean in a constant column.
    if not trace > centred.numel() * (1e-6 * largest) ** 2:
        return None
    return trace**2 / float(gram.square().sum())


def effective_rank(rows: Tensor) -> float:
    """exp of the entropy of the singular values as shares of their sum (Roy and Vetterli, 2007); 0 of zeros, NaN of NaN.

    Args:
        rows: a matrix.
    """
    matrix = rows.to(torch.float64)
    if not bool(torch.isfinite(matrix).all()):
        return math.nan
    largest = float(matrix.abs().max())
    if largest == 0.0:
        return 0.0
    matrix = matrix / largest
    matrix = matrix if matrix.shape[0] >= matrix.shape[1] else matrix.T
    squares = torch.linalg.eigvalsh(matrix.T @ matrix)
    # The square of a singular value below 1e-8 of the largest is rounding: it is 0.
    values = squares[squares > float(squares[-1]) * len(squares) * 2.0**-52].sqrt()
    shares = values / values.sum()
    return math.exp(-float((shares * shares.log()).sum()))
