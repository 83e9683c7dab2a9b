"""A quick look at every set of components: which are worth exact judging.

The look is exhaustive: with 30 components and sets of up to five it is at 174,436 sets, some at a time, each of which needs one
sort by each referee. From that sort come Spearman's rho, nDCG and the correlation at equal budget of whole tables of sets.
Kendall's tau is left to the exact judging.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, combinations

import numpy as np
from numpy.typing import NDArray

from search.bench.choosing.costs import Prices
from search.bench.choosing.criterion import Panel, Weights
from search.bench.judging.aggregates import Judge, count_sets, objective
from search.bench.judging.judge import AT_BUDGET, BUDGET
from search.ranking.ranks import Floats, ranks
from uninas.runtime.progress import Progress, View

OF_EACH_SIZE = 5
"""So many sets of every size are judged exactly, whatever the larger ones promise, so that small sets are considered too."""

PRICE_LEVELS = 24
"""At so many limits of the cost, evenly spaced as logarithms, the most promising set below is judged exactly."""

_CHUNK = 2_000_000  # entries of one table of sets by networks: bounds the memory to some tens of megabytes

Sets = NDArray[np.intp]


@dataclass(frozen=True, eq=False)
class _Order:
    """A judge as the quick look needs it.

    Attributes:
        logarithms: of the ranks by each component, shape (components, networks).
        truth: standardised ranks of the accuracies.
        gains: of each network in nDCG.
        controls: standardised ranks of what is held equal, shape (controls, networks); none where the judge has none.
        metrics: that are asked for.
    """

    judge: Judge
    logarithms: Floats
    truth: Floats
    gains: Floats
    controls: Floats
    metrics: tuple[str, ...]

    def figures(self, values: Floats) -> dict[str, Floats]:
        """Give metric -> the figures of many orders of the networks, from one sort of each row of `values`.

        Equal values stand in the order of the table's rows: what is exact comes later.
        """
        order = np.argsort(-values, axis=1)
        places = _standard(np.arange(values.shape[1], 0, -1, dtype=np.float64)) / values.shape[1]
        spearman = self.truth[order] @ places
        found = {"spearman": spearman}
        if "ndcg" in self.metrics:
            top = self.judge.top
            discount = 1.0 / np.log2(1.0 + np.arange(1, top + 1))
            found["ndcg"] = self.gains[order[:, :top]] @ discount / (np.sort(self.gains)[::-1][:top] @ discount)
        if AT_BUDGET in self.metrics and not len(self.controls):
            found[AT_BUDGET] = spearman
        elif AT_BUDGET in self.metrics:
            ours = np.stack([control[order] @ places for control in self.controls], axis=1)
            theirs = self.controls @ self.truth / len(self.truth)
            inverse = np.linalg.pinv(self.controls @ self.controls.T / len(self.truth), rcond=1e-9, hermitian=True)
            left = (1 - np.einsum("si,ij,sj->s", ours, inverse, ours)) * (1 - theirs @ inverse @ theirs)
            with np.errstate(divide="ignore", invalid="ignore"):
                found[AT_BUDGET] = np.where(left > 1e-9, (spearman - ours @ inverse @ theirs) / np.sqrt(left), -np.inf)
        return found


def _standard(values: Floats) -> Floats:
    made: Floats = (values - values.mean()) / values.std()
    return made


def _order_of(judge: Judge, components: Sequence[str], metrics: tuple[str, ...]) -> _Order:
    accuracy = judge.table["accuracy"].to_numpy(dtype=np.float64)
    logarithms = np.stack([objective((name,)).rank_table(judge.table) for name in components])
    held = () if judge.held is None else BUDGET
    columns = [ranks(judge.table[name].to_numpy(dtype=np.float64)) for name in held]
    controls = [_standard(column) for column in columns if np.ptp(column) > 0]
    gains = np.exp2(accuracy - accuracy.max()) - np.exp2(-accuracy.max())
    return _Order(judge, logarithms, _standard(ranks(accuracy)), gains, np.array(controls), metrics)


def screen(
    panel: Panel,
    weights: Weights,
    components: Sequence[str],
    largest: int,
    *,
    keep: int,
    prices: Prices | None = None,
    limit: float | None = None,
    view: View | None = None,
) -> list[tuple[str, ...]]:
    """Look at every set of 1 to `largest` components, and give those worth exact judging, the most promising first.

    A set's promise is its value (`search.bench.choosing.criterion`), with Spearman's rho in the place of Kendall's tau. The best
    `keep` of all are given, the best `OF_EACH_SIZE` of each size, and the best below each of `PRICE_LEVELS` costs.

    Args:
        panel, weights: of the half that chooses.
        components: what sets are made of.
        largest: of a set.
        keep: how many.
        prices: what sets cost; None where nobody measured it.
        limit: CPU-seconds of a network that no set may exceed; None for any.
        view: sees how far it is.
    """
    largest = min(largest, len(components))
    metrics = tuple("spearman" if metric == "kendall" else metric for metric in panel.deciding)
    orders = [[_order_of(judge, components, metrics) for judge in judges] for judges in panel.judges]
    progress = Progress()
    progress.begin("sets", 0, count_sets(len(components), largest))
    by_size, promises, costs = [], [], []
    for size in range(1, largest + 1):
        sets = np.array(list(combinations(range(len(components)), size)), dtype=np.intp)
        price = np.concatenate([prices.of(part) for part in _parts(sets, len(components) * 8)]) if prices else np.zeros(len(sets))
        if limit is not None:
            progress.total -= int((price > limit).sum())
            sets, price = sets[price <= limit], price[price <= limit]
        promise: Floats = np.full(len(sets), -np.inf)
        start = 0
        for part in _parts(sets, max(order.logarithms.shape[1] for order in chain(*orders))):
            promise[start : start + len(part)] = _promise(orders, weights, metrics, part)
            start += len(part)
            progress.done += len(part)
            if view is not None:
                view.update(progress)
        by_size.append(sets)
        promises.append(promise)
        costs.append(price)
    starts = np.cumsum([0, *map(len, by_size)])
    every, cost = np.concatenate(promises), np.concatenate(costs)
    wanted = [*np.argsort(-every, kind="stable")[:keep].tolist()]
    for begin, promise in zip(starts, promises, strict=False):
        wanted += (begin + np.argsort(-promise, kind="stable")[:OF_EACH_SIZE]).tolist()
    if prices is not None:
        wanted += _best_below(every, cost)
    found = []
    for place in sorted(dict.fromkeys(wanted), key=lambda place: (-every[place], place)):
        size = int(np.searchsorted(starts, place, side="right")) - 1
        found.append(tuple(components[column] for column in by_size[size][place - starts[size]]))
    return found


def _parts(sets: Sets, width: int) -> Iterator[Sets]:
    step = max(1, _CHUNK // width)
    for start in range(0, len(sets), step):
        yield sets[start : start + step]


def _promise(orders: Sequence[Sequence[_Order]], weights: Weights, metrics: Sequence[str], sets: Sets) -> Floats:
    promise: Floats = np.zeros(len(sets))
    for place, of_set in enumerate(orders):
        shares = {metric: weights.shares(metric)[place] for metric in metrics}
        if not any(shares.values()):
            continue
        for order in of_set:
            values = order.logarithms[sets[:, 0]]
            for column in range(1, sets.shape[1]):
                values += order.logarithms[sets[:, column]]
            figures = order.figures(values)
            for metric in metrics:  # one may be there twice, and counts twice
                if shares[metric] > 0:
                    gain = figures[metric] - order.judge.reference[metric][0]
                    promise += shares[metric] * gain / len(of_set) / weights.unit(metric) / len(metrics)
    return promise


def _best_below(promise: Floats, cost: Floats) -> list[int]:
    """Give the place of the most promising set below each limit of the cost."""
    order = np.argsort(cost, kind="stable")
    sorted_costs, best = cost[order], np.maximum.accumulate(promise[order])
    cheapest = max(float(sorted_costs[0]), 1e-9)
    found = []
    for level in np.geomspace(cheapest, max(float(sorted_costs[-1]), cheapest), PRICE_LEVELS):
        last = int(np.searchsorted(sorted_costs, level * (1 + 1e-9), side="right")) - 1
        if last >= 0:
            found.append(int(order[int(np.argmax(promise[order[: last + 1]] >= best[last]))]))
    return found
