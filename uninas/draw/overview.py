"""What there is to draw of a network: stages, runs of equal blocks, distinct blocks, and their shares of the cost."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from uninas.cost import Cost, cost
from uninas.draw.patterns import summarise_block
from uninas.graph import Architecture, Block, Stage


@dataclass
class BlockKind:
    """A distinct block: the letter it is called by, its widths, and how often it occurs in each stage (from 1)."""

    letter: str
    block: Block
    widths: list[int] = field(default_factory=list)
    per_stage: dict[int, int] = field(default_factory=dict)

    @property
    def count(self) -> int:
        """How many blocks of the network are of this kind."""
        return sum(self.per_stage.values())

    @property
    def summary(self) -> str:
        """One line that holds at all of its widths."""
        return summarise_block(self.block, self.widths[0], count_heads=len(set(self.widths)) == 1)

    @property
    def occurrences(self) -> str:
        """Where it occurs: "stage 1 ×2, stage 2"."""
        return ", ".join(f"stage {stage}" + f" ×{n}" * (n > 1) for stage, n in self.per_stage.items())


@dataclass(frozen=True)
class Run:
    """Equal blocks in a row within one stage, with what they cost together (downsampling and norms included)."""

    kind: BlockKind
    count: int
    summary: str
    params: int
    macs: int


@dataclass(frozen=True)
class StageView:
    """A stage: number from 1, resolution (height, width), channels, its runs, and what it costs."""

    number: int
    resolution: tuple[int, int]
    width: int
    runs: tuple[Run, ...]
    params: int
    macs: int


@dataclass(frozen=True)
class Overview:
    """A network as a drawing shows it. Costs are at the reference size; stem, stages and head add up to the total."""

    architecture: Architecture
    total: Cost
    stem: tuple[int, int]
    head: tuple[int, int]
    stages: tuple[StageView, ...]
    kinds: tuple[BlockKind, ...]


def overview(architecture: Architecture) -> Overview:
    """Collect the overview of an architecture. Raises GraphError for an ill-typed graph."""
    total = cost(architecture)
    kinds: dict[Block, BlockKind] = {}
    before = _backbone(architecture, [])
    stem = before
    stages: list[StageView] = []
    done: list[Stage] = []
    for number, (stage, place) in enumerate(zip(architecture.stages, architecture.places(), strict=True), start=1):
        runs: list[Run] = []
        stage_start = before
        for block, first, stop in _runs(stage.blocks):
            kind = kinds.setdefault(block, BlockKind(_letter(len(kinds)), block))
            kind.per_stage[number] = kind.per_stage.get(number, 0) + stop - first
            if stage.width not in kind.widths:
                kind.widths.append(stage.width)
            after = _backbone(architecture, [*done, Stage(stage.width, stage.blocks[:stop])])
            summary = summarise_block(block, stage.width)
            runs.append(Run(kind, stop - first, summary, after[0] - before[0], after[1] - before[1]))
            before = after
        done.append(stage)
        spent = before[0] - stage_start[0], before[1] - stage_start[1]
        stages.append(StageView(number, (place.height, place.width), stage.width, tuple(runs), *spent))
    head = total.params - before[0], total.macs - before[1]
    return Overview(architecture, total, stem, head, tuple(stages), tuple(kinds.values()))


def _backbone(architecture: Architecture, stages: list[Stage]) -> tuple[int, int]:
    """Parameters and MACs of the network up to a point: what a block costs is the difference of two such prefixes."""
    prefix = cost(architecture.replace(stages=tuple(stages)), classes=0)
    return prefix.params, prefix.macs


def _runs(blocks: tuple[Block, ...]) -> Iterator[tuple[Block, int, int]]:
    """Maximal runs of equal blocks: (block, first index, index after the last)."""
    first = 0
    for index in range(1, len(blocks) + 1):
        if index == len(blocks) or blocks[index] != blocks[first]:
            yield blocks[first], first, index
            first = index


def _letter(index: int) -> str:
    """A, B, .., Z, AA, AB, .."""
    letters = ""
    index += 1
    while index:
        index, rest = divmod(index - 1, 26)
        letters = chr(ord("A") + rest) + letters
    return letters
