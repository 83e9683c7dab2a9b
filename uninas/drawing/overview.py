"""What there is to draw of a network: stages, runs of equal blocks, distinct blocks, and their shares of the cost."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from uninas.analysis.cost import Cost, cost
from uninas.drawing.naming.patterns import summarise_block, summarise_graph
from uninas.errors import InputError
from uninas.graph import IDENTITY, Architecture, Block, Flow, Graph, Stage


@dataclass
class BlockKind:
    """A distinct block: the letter it is called by, its class tokens and widths, how often it occurs in each stage (from 1).

    A graph of the frame is one too, as a plain block of it alone: `role` is Stem, Transition or Head, of a block it is Block.
    """

    letter: str
    block: Block
    role: str = "Block"
    tokens: int = 0
    widths: list[int] = field(default_factory=list)
    per_stage: dict[int, int] = field(default_factory=dict)

    @property
    def count(self) -> int:
        """How many blocks of the network are of this kind."""
        return sum(self.per_stage.values())

    @property
    def summary(self) -> str:
        """One line that holds at all of its widths."""
        return summarise_block(self.block, self.widths[0], self.tokens, count_heads=len(set(self.widths)) == 1)

    @property
    def occurrences(self) -> str:
        """Where it occurs: "stage 1 ×2, stage 2"; of a transition: "into stage 2, stage 3"."""
        stages = ", ".join(f"stage {stage}" + f" ×{n}" * (n > 1) for stage, n in self.per_stage.items())
        return f"into {stages}" if self.role == "Transition" else stages


@dataclass(frozen=True)
class Run:
    """Equal blocks in a row within one stage, with what they cost together (downsampling and norms included).

    `width`: the channels that each reads.
    """

    kind: BlockKind
    count: int
    width: int
    summary: str
    params: int
    macs: int


@dataclass(frozen=True)
class StageView:
    """A stage: number from 1, resolution (height, width), channels, its runs (a transition is the first), and what it costs."""

    number: int
    resolution: tuple[int, int]
    width: int
    runs: tuple[Run, ...]
    params: int
    macs: int

    @property
    def depth(self) -> int:
        """Number of blocks."""
        return sum(run.count for run in self.runs if run.kind.role == "Block")

    @property
    def content(self) -> str:
        """A transition of its own and the number of blocks: "transition, 2 blocks"."""
        parts = ["transition"] if any(run.kind.role == "Transition" for run in self.runs) else []
        if self.depth or not parts:
            parts.append(f"{self.depth} block{'s' * (self.depth != 1)}")
        return ", ".join(parts)


@dataclass(frozen=True)
class Overview:
    """A network as a drawing shows it. Costs are at the reference size; stem, stages and head add up to the total.

    `stem_flow`: what leaves the stem; `stem_text`: what it is, where a graph takes the template's place; `head_text`: what stands
    between the last stage and the linear layer.
    """

    architecture: Architecture
    total: Cost
    stem: tuple[int, int]
    head: tuple[int, int]
    stem_flow: Flow
    stem_text: str
    head_text: str
    stages: tuple[StageView, ...]
    kinds: tuple[BlockKind, ...]


def overview(architecture: Architecture) -> Overview:
    """Collect the overview of an architecture. Raises GraphError for an ill-typed graph."""
    total = cost(architecture)
    flows = architecture.flows()
    kinds: dict[tuple[str, Block, int], BlockKind] = {}

    def kind_of(role: str, block: Block, width: int, tokens: int) -> BlockKind:
        lettered = sum(kind.role in ("Block", "Transition") for kind in kinds.values())
        letter = _letter(lettered) if role in ("Block", "Transition") else role
        kind = kinds.setdefault((role, block, tokens), BlockKind(letter, block, role, tokens))
        if width not in kind.widths:
            kind.widths.append(width)
        return kind

    def frame(role: str, graph: Graph, channels: int, tokens: int = 0) -> BlockKind:
        return kind_of(role, Block((graph,), residual=False), channels, tokens)

    stem_text, head_text = "", "LayerNorm, global average"
    if isinstance(architecture.stem, Graph):
        stem_text = frame("Stem", architecture.stem, architecture.in_channels).summary
    stem = before = _backbone(architecture, [])
    stages: list[StageView] = []
    for number, (stage, given, (width, place, _)) in enumerate(zip(architecture.stages, flows, flows[1:], strict=False), start=1):
        runs: list[Run] = []
        stage_start = before

        def add_run(kind: BlockKind, count: int, reads: int, blocks: tuple[Block, ...]) -> None:
            nonlocal before
            kind.per_stage[number] = kind.per_stage.get(number, 0) + count  # noqa: B023  called within this round
            so_far = architecture.stages[: number - 1]  # noqa: B023
            after = _backbone(architecture, [*so_far, stage.with_blocks(blocks)])  # noqa: B023
            spent = after[0] - before[0], after[1] - before[1]
            runs.append(Run(kind, count, reads, summarise_block(kind.block, reads, kind.tokens), *spent))  # noqa: B023
            before = after

        if stage.transition is not None and stage.transition != IDENTITY:
            add_run(frame("Transition", stage.transition, given.channels, given.tokens), 1, given.channels, ())
        for block, first, stop in _runs(stage.blocks):
            add_run(kind_of("Block", block, width, stage.tokens), stop - first, width, stage.blocks[:stop])
        spent = before[0] - stage_start[0], before[1] - stage_start[1]
        stages.append(StageView(number, (place.height, place.width), width, tuple(runs), *spent))
    if architecture.head is not None:
        head_text = _head_text(architecture.head, flows[-1])
        if architecture.head != IDENTITY:
            frame("Head", architecture.head, flows[-1].channels, flows[-1].tokens)
    head = total.params - before[0], total.macs - before[1]
    return Overview(architecture, total, stem, head, flows[0], stem_text, head_text, tuple(stages), tuple(kinds.values()))


def select(view: Overview, stage: int, block: int | None = None) -> list[BlockKind]:
    """Return the kinds of blocks of one stage, or the kind of one of its blocks, at its width alone.

    Stages and blocks are counted from 1; block 0 is the transition.

    Raises InputError where there is no such stage or block.
    """
    if not 1 <= stage <= len(view.stages):
        raise InputError(f"expected a stage from 1 to {len(view.stages)}, got {stage}")
    chosen = view.stages[stage - 1]
    if block is not None:
        each = [run for run in chosen.runs if run.kind.role == "Block" for _ in range(run.count)]
        if not 0 <= block <= len(each):
            raise InputError(f"expected a block of stage {stage} from 1 to {len(each)}, got {block}")
        transitions = [run for run in chosen.runs if run.kind.role == "Transition"]
        if block == 0 and not transitions:
            raise InputError(f"expected a block of stage {stage} from 1 to {len(each)}: it has no transition of its own")
        runs = [each[block - 1] if block else transitions[0]]
    else:
        runs = list(chosen.runs)
    found: dict[str, BlockKind] = {}
    for run in runs:
        count = run.kind.per_stage[stage] if block is None else 1
        found[run.kind.letter] = replace(run.kind, widths=[run.width], per_stage={stage: count})
    return list(found.values())


def _head_text(head: Graph, given: Flow) -> str:
    """What a head's graph does, and the global average unless it pools by itself."""
    text = summarise_graph(head, given.channels, given.tokens)
    if given.types(head)[head.output].pooled:
        return text
    return "global average" if text == "identity" else f"{text}, global average"


def _backbone(architecture: Architecture, stages: list[Stage]) -> tuple[int, int]:
    """Parameters and MACs of the network up to a point: what a block costs is the difference of two such prefixes."""
    prefix = cost(
        architecture.replace(stages=tuple(stages), head=None), classes=0
    )  # the head might not fit what the prefix makes
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
