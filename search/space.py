"""The universal graph space as the algorithms see it: starts, neighbours and samples, all within the budget.

Legality and budget are decided on the graph, in plain Python, before any torch object exists. Every candidate is in
canonical form, so equal networks have equal digests.
"""

from __future__ import annotations

import dataclasses
import random
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, final

import uninas
from search.candidate import Candidate, Rejected, Space
from search.schema import BudgetConfig, SearchConfig
from uninas import edits
from uninas.errors import InputError

BUDGETED = ("params", "macs", "layers", "attention_tokens")


@final
class GraphSpace:
    """Architectures reachable by edits from the starts without ever leaving the budget.

    Args:
        starts: architectures the search begins with.
        budget: upper bounds of their cost.
        size: (H, W) in pixels at which cost is counted.
        limits: how large an edit may make a graph.
        random_edits: a sample is a start followed by 1 .. random_edits accepted edits.
        names: how messages call the starts.

    Raises:
        InputError: a start is over the budget.
    """

    def __init__(
        self,
        starts: Sequence[uninas.Architecture],
        budget: BudgetConfig,
        *,
        size: tuple[int, int],
        limits: edits.Limits,
        random_edits: int,
        names: Sequence[str] = (),
    ) -> None:
        self._bounds = {name: bound for name in BUDGETED if (bound := getattr(budget, name)) is not None}
        self._size = size
        self._limits = limits
        self._random_edits = random_edits
        self._starts = []
        for place, architecture in enumerate(starts):
            candidate = self._candidate(uninas.canonicalise(architecture))
            refuse_breach(candidate, self._bounds, names[place] if names else f"start {place}")
            self._starts.append(candidate)

    def starts(self) -> Sequence[Candidate]:
        """Give the starts, canonical and within the budget."""
        return self._starts

    def mutate(self, parent: Candidate, rng: random.Random) -> Candidate | Rejected:
        """Try one random edit of `parent`."""
        result = edits.mutate(parent.body, rng, self._limits)
        if isinstance(result, uninas.Rejection):
            return Rejected(result.reason)
        child, edit = result
        candidate = self._candidate(child, parent.digest, edit.as_dict())
        breach = next((name for name, bound in self._bounds.items() if candidate.cost[name] > bound), None)
        return candidate if breach is None else Rejected(f"over budget: {breach}")

    def sample(self, rng: random.Random) -> Candidate | Rejected:
        """Try one sample: a start, then 1 .. random_edits edits, each of them within the budget.

        A refused edit is drawn again, up to 100 times the number wanted; then the sample is refused as a whole.
        """
        start = rng.choice(self._starts)
        wanted = rng.randint(1, self._random_edits)
        current, steps, refused = start, list[Any](), Counter[str]()
        for _ in range(100 * wanted):
            step = self.mutate(current, rng)
            if isinstance(step, Rejected):
                refused[step.reason] += 1
                continue
            current = step
            steps.append(step.edit)
            if len(steps) == wanted:
                return dataclasses.replace(current, parent=start.digest, edit={"edits": steps}, refused=refused)
        return Rejected("sample: too few edits within the budget")

    def text(self, candidate: Candidate) -> str:
        """Write the candidate's canonical architecture file."""
        return uninas.to_text(candidate.body)

    def document(self, candidate: Candidate, metadata: Mapping[str, Any]) -> str:
        """Write the candidate's architecture file with `metadata`, which is no part of the architecture."""
        return uninas.to_text(candidate.body, metadata)

    def replay(self, parent: Candidate, edit: Mapping[str, Any]) -> Candidate:
        """Apply a journalled edit, or a sample's list of edits, to its parent.

        Raises:
            ValueError: the edit does not apply to that parent: another version of the code wrote it.
        """
        architecture = parent.body
        for step in edit.get("edits", [edit]):
            result = edits.apply(architecture, edits.Edit.from_dict(step), self._limits)
            if isinstance(result, uninas.Rejection):
                raise ValueError(
                    f"edit of {parent.digest[:12]}: expected to apply as it once did; {result.reason}: {result.detail}"
                )
            architecture = result
        return self._candidate(architecture, parent.digest, edit)

    def _candidate(
        self, architecture: uninas.Architecture, parent: str | None = None, edit: Mapping[str, Any] | None = None
    ) -> Candidate:
        cost = uninas.cost(architecture, self._size).as_dict()
        return Candidate(architecture.digest, architecture, cost, parent, edit)


def refuse_breach(start: Candidate, bounds: Mapping[str, int], name: str) -> None:
    """Raise InputError for a start that is over one of the bounds; `name` is how the message calls it."""
    breaches = [
        f"{key} {start.cost[key]:,} > {bound:,} (by {start.cost[key] - bound:,})"
        for key, bound in bounds.items()
        if start.cost[key] > bound
    ]
    if breaches:
        raise InputError(f"{name}: expected a start within the budget; {', '.join(breaches)}: narrow it or raise the budget")


def from_config(config: SearchConfig, stored: Path | None = None) -> Space:
    """Make the space that a configuration describes; `stored` replaces its file by a run's own copy.

    Raises:
        InputError: no such preset or file, it does not suit the widths, or it breaks its budget.
    """
    height, width = config.size
    space = config.space
    if space.name is not None or space.file is not None:
        from search import choice_space  # it builds upon this file

        return choice_space.from_config(config, stored)
    if space.preset is not None:
        name = f"preset {space.preset}"
        start = uninas.preset(
            space.preset,
            widths=space.widths,
            depths=space.depths,
            stem=space.stem,
            classes=config.classes,
            input_size=(height, width),
        )
    else:
        assert space.architecture is not None
        name = str(stored or space.architecture)
        start = dataclasses.replace(uninas.load(stored or space.architecture), classes=config.classes)
    return GraphSpace(
        [start],
        config.budget,
        size=(height, width),
        limits=edits.Limits(nodes_per_subblock=space.nodes_per_subblock),
        random_edits=space.random_edits,
        names=[name],
    )
