"""Why a try at a candidate gives none: one enumeration for edits, samples and budgets.

Journals count rejections by these strings, and a resumed search compares its own counts with them. So reasons that journals
already hold keep their strings, such as "over budget: params"; new ones are snake_case.
"""

from __future__ import annotations

from enum import StrEnum

__all__ = ["OVER_BUDGET", "Reason"]


class Reason(StrEnum):
    """Why a try gave no candidate. A member is a string, the one that journals hold; `sentence` explains it to a person."""

    NO_SITE = "no_site"
    ILL_TYPED = "ill_typed"
    NO_CHANGE = "no_change"
    DEGENERATE = "meaningless"
    UNSEEN = "unseen"
    TOO_LARGE = "too_large"
    TOO_SYMMETRIC = "too_symmetric"
    OVER_BUDGET_PARAMS = "over budget: params"
    OVER_BUDGET_MACS = "over budget: macs"
    OVER_BUDGET_LAYERS = "over budget: layers"
    OVER_BUDGET_ATTENTION_TOKENS = "over budget: attention_tokens"
    TOO_FEW_EDITS = "sample: too few edits within the budget"
    NO_LEGAL_NEIGHBOUR = "no legal neighbour"
    ILLEGAL_GENOTYPE = "illegal genotype"
    UNBUILDABLE = "cannot be built"

    @property
    def sentence(self) -> str:
        """What happened, in words."""
        return _SENTENCES[self]


_SENTENCES = {
    Reason.NO_SITE: "the architecture has no place for this kind of edit",
    Reason.ILL_TYPED: "shapes would not fit",
    Reason.NO_CHANGE: "the canonical form stays the same",
    Reason.DEGENERATE: "an operation would be degenerate at the reference size",
    Reason.UNSEEN: "no score sees what is put in: dropout or drop_path",
    Reason.TOO_LARGE: "more nodes, blocks, stages or channels than the limits allow",
    Reason.TOO_SYMMETRIC: "the graph's symmetries would take too long to resolve",
    Reason.OVER_BUDGET_PARAMS: "more parameters than the budget allows",
    Reason.OVER_BUDGET_MACS: "more MACs than the budget allows",
    Reason.OVER_BUDGET_LAYERS: "more layers than the budget allows",
    Reason.OVER_BUDGET_ATTENTION_TOKENS: "a larger attention map than the budget allows",
    Reason.TOO_FEW_EDITS: "too few of a sample's edits stayed within the budget",
    Reason.NO_LEGAL_NEIGHBOUR: "the genotype has no legal neighbour",
    Reason.ILLEGAL_GENOTYPE: "the space drew a genotype that it calls illegal",
    Reason.UNBUILDABLE: "the genotype cannot be built",
}

OVER_BUDGET = {
    "params": Reason.OVER_BUDGET_PARAMS,
    "macs": Reason.OVER_BUDGET_MACS,
    "layers": Reason.OVER_BUDGET_LAYERS,
    "attention_tokens": Reason.OVER_BUDGET_ATTENTION_TOKENS,
}
"""Cost that a budget bounds -> the reason where it is exceeded."""
